//! The shell of the simulated server: what production does with sockets, threads and files, as a queue.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hushbox_audit::{
    AuditError, AuditReply, AuditRequest, Durable, EventExtra, FrameReader, Hash, Log,
    PendingReply, Record, Resume,
};
use hushbox_backend::SpoolOptions;
use hushbox_backend::spool::RecoveredMessage;
use hushbox_backend::spool::log::SpoolLog;
use hushbox_call::call::{
    self, LogInReply, LogInRequest, Parts, Recording, SpoolReply, SpoolRequest,
};
use hushbox_call::signalling::{self, Peer, Refused};
use hushbox_call::{Call, CallReport, CallSetup, Prompts, Signalling, ToSignalling};
use hushbox_media::{LegConfig, Security};
use hushbox_policy::lockout::Lockout;
use hushbox_policy::{CallId, MailboxId, MessageId, Now};
use hushbox_sip::{ConnectionId, Flow, HostPort, Listener, Transport};
use hushbox_store::index::{Counts, IndexReply, IndexRequest};
use hushbox_store::{
    Audited, Delivery, IndexError, KeyError, KeyReply, KeyRequest, MessageRow, ObjectsError,
    Recovery, Step, StepDone,
};
use zeroize::Zeroizing;

use super::caller::server_address;
use super::installation::{Installation, NODE, REALM};
use super::{
    AUDIT_DELAY, Agenda, CallerId, Happening, LINK_DELAY, PIN_DELAY, STORE_DELAY, SYNC_DELAY,
    prompts,
};

/// The spool's segments in the simulation.
const SEGMENT_BYTES: u64 = 1024 * 1024;
/// The first port for media.
const FIRST_PORT: u16 = 20_000;

/// An answer of the server's own parts to one of its calls.
#[derive(Debug)]
pub enum Reply {
    /// What was appended until then is synced.
    SpoolSynced(CallId, call::SpoolReply),
    /// The log's batch is synced.
    AuditSynced,
    /// To a call's question.
    Call(CallId, Box<Answer>),
}

/// An answer to a call's question.
#[derive(Debug)]
pub enum Answer {
    /// Of those who compare PINs.
    LogIn(LogInReply),
    /// Of the key provider.
    Key(Result<KeyReply, KeyError>),
    /// Of the index.
    Index(Result<IndexReply, IndexError>),
    /// Of the objects.
    Object(Result<Bytes, ObjectsError>),
    /// Of the log's reader.
    Manifest(Option<Hash>),
}

/// A simulated server.
pub struct Server {
    installation: Installation,
    signalling: Signalling,
    signalling_deadline: Option<Instant>,
    calls: BTreeMap<CallId, Running>,
    ports: BTreeMap<u16, CallId>,
    next_port: u16,
    seeds: u64,
    prompts: Arc<Prompts>,
    spool: SpoolLog,
    recovered: Vec<RecoveredMessage>,
    log: Log,
    pending: Vec<(Option<CallId>, PendingReply)>,
    records: Vec<Record>,
    lockout: Lockout,
    /// How often a PIN was compared.
    pub comparisons: usize,
    /// Makes the audit log refuse everything.
    pub audit_fails: bool,
    /// Makes the spool refuse everything.
    pub spool_fails: bool,
    recording: Recording,
    reports: Vec<CallReport>,
    refused: Vec<Refused>,
    /// Mailboxes whose messages have changed, and signalling does not know.
    changed: BTreeSet<MailboxId>,
    notes: VecDeque<String>,
}

struct Running {
    call: Call,
    port: u16,
    deadline: Option<Instant>,
    stage: &'static str,
}

impl Server {
    /// Starts on an installation.
    pub fn start(now: Now, mut installation: Installation) -> Self {
        installation.starts += 1;
        let listeners = [Transport::Tls, Transport::Tcp, Transport::Udp].map(|transport| {
            let local = server_address(transport);
            Listener { transport, local, advertised: HostPort::from(local) }
        });
        let config = signalling::Config {
            sip: hushbox_sip::Config {
                product: "Hushbox/sim".to_owned(),
                listeners: listeners.into(),
                limits: hushbox_sip::Limits::default(),
            },
            realm: REALM.to_owned(),
            service_key: Installation::service_key(),
            admission: installation.admission,
            record_only: false,
            mwi: signalling::MwiConfig::default(),
        };
        let volume = Arc::new(installation.spool.clone());
        let options = SpoolOptions { segment_bytes: SEGMENT_BYTES };
        let (spool, recovered) = SpoolLog::open(volume, options).expect("a spool");
        let records = read_log(&installation.audit);
        let resume = records.last().map_or(Resume::default(), |last| Resume {
            next_seq: last.seq + 1,
            prev_hash: last.leaf_hash(),
        });
        let directory = Arc::clone(&installation.directory);
        let mut signalling = Signalling::new(config, directory, signalling_seed(&installation));
        let kept = installation.subscriptions.values().cloned().collect();
        signalling.handle_input(now, signalling::Input::Restore(kept));
        Self {
            signalling,
            signalling_deadline: None,
            calls: BTreeMap::new(),
            ports: BTreeMap::new(),
            next_port: FIRST_PORT,
            seeds: installation.starts << 32,
            installation,
            prompts: prompts::prompts(),
            spool,
            recovered: recovered.messages,
            log: Log::new(NODE, resume, now),
            pending: Vec::new(),
            records,
            lockout: Lockout::new(),
            comparisons: 0,
            audit_fails: false,
            spool_fails: false,
            recording: Recording::default(),
            reports: Vec::new(),
            refused: Vec::new(),
            changed: BTreeSet::new(),
            notes: VecDeque::new(),
        }
    }

    /// Delivers what an earlier run left in the spool.
    pub fn recover(&mut self, now: Now, agenda: &mut Agenda) {
        for found in std::mem::take(&mut self.recovered) {
            let how = if found.finished { "a finished" } else { "an unfinished" };
            self.notes.push_back(format!("server  recovered {how} message"));
            self.saved(now, found.message, agenda);
        }
    }

    /// Lets recordings be longer than 180 s.
    pub fn set_recording(&mut self, recording: Recording) {
        self.recording = recording;
    }

    /// What outlives it.
    pub fn into_installation(self) -> Installation {
        self.installation
    }

    /// What outlives it, while it runs.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// The audit log.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The rows of the index, oldest first.
    pub fn rows(&self) -> impl Iterator<Item = &MessageRow> {
        self.installation.rows.values()
    }

    /// The reports of ended calls.
    pub fn reports(&self) -> &[CallReport] {
        &self.reports
    }

    /// Refused INVITEs.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// Whether nothing is left of any call.
    pub fn is_quiet(&self) -> bool {
        self.calls.is_empty() && self.signalling.is_quiet()
    }

    /// Whether not even a transaction is left: what is true once all timers of SIP have run out.
    pub fn is_empty(&self) -> bool {
        let load = self.signalling.endpoint_load();
        self.is_quiet() && load.sessions == 0 && load.transactions == 0
    }

    /// The media port of the only call.
    pub(super) fn port(&self) -> Option<u16> {
        self.calls.values().next().map(|running| running.port)
    }

    /// What outlives it, to be tampered with.
    pub fn installation_mut(&mut self) -> &mut Installation {
        &mut self.installation
    }

    /// The stage of the only call.
    pub fn stage(&self) -> Option<&'static str> {
        self.calls.values().next().map(|running| running.call.stage())
    }

    pub(super) fn take_notes(&mut self) -> Vec<String> {
        for running in self.calls.values_mut() {
            let stage = running.call.stage();
            if stage != running.stage {
                running.stage = stage;
                self.notes.push_back(format!("server  tui {stage}"));
            }
        }
        self.notes.drain(..).collect()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let calls = self.calls.values().filter_map(|running| running.deadline);
        calls.chain(self.signalling_deadline).min()
    }

    pub(super) fn connected(&mut self, now: Now, flow: Flow, peer: Peer) {
        if flow.connection.is_some() {
            self.signalling.handle_input(now, signalling::Input::Connected { flow, peer });
        }
    }

    pub(super) fn sip(&mut self, now: Now, flow: Flow, bytes: &[u8], agenda: &mut Agenda) {
        let input = match flow.transport {
            Transport::Udp => signalling::Input::Datagram { flow, bytes },
            Transport::Tcp | Transport::Tls => signalling::Input::StreamData { flow, bytes },
        };
        self.signalling.handle_input(now, input);
        self.drain_signalling(now, agenda);
    }

    /// The connection of a caller breaks.
    pub fn disconnect(&mut self, now: Now, flow: Flow, agenda: &mut Agenda) {
        self.signalling.handle_input(now, signalling::Input::StreamClosed { flow });
        self.drain_signalling(now, agenda);
    }

    pub(super) fn media(
        &mut self,
        now: Now,
        from: SocketAddr,
        port: u16,
        bytes: &[u8],
        agenda: &mut Agenda,
    ) {
        let Some(id) = self.ports.get(&(port & !1)).copied() else { return };
        let mut bytes = bytes.to_vec();
        let input = if port.is_multiple_of(2) {
            call::Input::Rtp { from, bytes: &mut bytes }
        } else {
            call::Input::Rtcp { from, bytes: &mut bytes }
        };
        self.call(now, id, input, agenda);
    }

    pub(super) fn timeout(&mut self, now: Now, agenda: &mut Agenda) {
        if self.signalling_deadline.is_some_and(|at| at <= now.monotonic) {
            self.signalling.handle_input(now, signalling::Input::Timeout);
            self.drain_signalling(now, agenda);
        }
        let due: Vec<CallId> = self
            .calls
            .iter()
            .filter(|(_, running)| running.deadline.is_some_and(|at| at <= now.monotonic))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.call(now, id, call::Input::Timeout, agenda);
        }
    }

    /// The operator stops the server.
    pub fn shut_down(&mut self, now: Now, agenda: &mut Agenda) {
        self.signalling.handle_input(now, signalling::Input::Drain);
        for id in self.calls.keys().copied().collect::<Vec<_>>() {
            self.call(now, id, call::Input::ShutDown, agenda);
        }
    }

    /// The directory changes.
    pub fn set_directory(
        &mut self,
        now: Now,
        directory: hushbox_store::Directory,
        agenda: &mut Agenda,
    ) {
        let directory = Arc::new(directory);
        self.installation.directory = Arc::clone(&directory);
        let input = signalling::Input::Directory(Arc::clone(&directory));
        self.signalling.handle_input(now, input);
        self.drain_signalling(now, agenda);
        for id in self.calls.keys().copied().collect::<Vec<_>>() {
            self.call(now, id, call::Input::Directory(Arc::clone(&directory)), agenda);
        }
    }

    fn tell_changes(&mut self, now: Now, agenda: &mut Agenda) {
        for mailbox in std::mem::take(&mut self.changed) {
            self.signalling.handle_input(now, signalling::Input::MailboxChanged(mailbox));
            self.drain_signalling(now, agenda);
        }
    }

    fn drain_signalling(&mut self, now: Now, agenda: &mut Agenda) {
        loop {
            match self.signalling.poll_output() {
                signalling::Output::Transmit { flow, bytes } => {
                    let caller = caller_of(flow);
                    agenda.plan(now.monotonic + LINK_DELAY, Happening::SipToCaller(caller, bytes));
                }
                signalling::Output::Connect { .. }
                | signalling::Output::Locate { .. }
                | signalling::Output::Registration { .. } => {
                    panic!("nothing is sent outside of the calls")
                }
                signalling::Output::Disconnect { flow } => {
                    self.notes.push_back("server  disconnects".to_owned());
                    self.signalling.handle_input(now, signalling::Input::StreamClosed { flow });
                }
                signalling::Output::Start(setup) => self.start_call(now, *setup, agenda),
                signalling::Output::ToCall { call, says } => {
                    self.call(now, call, call::Input::Signalling(says), agenda);
                }
                signalling::Output::Known { .. } => {}
                signalling::Output::Count(mailbox) => {
                    let counts = self.count(mailbox);
                    let input = signalling::Input::Counted { mailbox, counts: Some(counts) };
                    self.signalling.handle_input(now, input);
                }
                signalling::Output::KeepSubscription(row) => {
                    self.installation.subscriptions.insert(row.id, *row);
                }
                signalling::Output::ForgetSubscription(id) => {
                    self.installation.subscriptions.remove(&id);
                }
                signalling::Output::Refused(refused) => self.refused.push(refused),
                signalling::Output::Timeout(deadline) => {
                    self.signalling_deadline = deadline;
                    return;
                }
            }
        }
    }

    fn seed(&mut self) -> [u8; 32] {
        self.seeds += 1;
        let mut seed = [0x5a; 32];
        seed[..8].copy_from_slice(&self.seeds.to_be_bytes());
        seed
    }

    fn start_call(&mut self, now: Now, setup: CallSetup, agenda: &mut Agenda) {
        let id = setup.id;
        let port = self.next_port;
        self.next_port += 2;
        let parts = Parts {
            leg: LegConfig {
                local_ip: server_address(Transport::Tls).ip(),
                rtp_port: port,
                security: Security::SrtpOnly,
                seed: self.seed(),
            },
            directory: Arc::clone(&self.installation.directory),
            prompts: Arc::clone(&self.prompts),
            message_key: Zeroizing::new(self.seed()),
            seed: self.seed(),
            recording: self.recording,
        };
        let call = Call::new(now, setup, parts);
        let stage = call.stage();
        self.calls.insert(id, Running { call, port, deadline: None, stage });
        self.ports.insert(port, id);
        self.drain_call(now, id, agenda);
    }

    fn call(&mut self, now: Now, id: CallId, input: call::Input<'_>, agenda: &mut Agenda) {
        if let Some(running) = self.calls.get_mut(&id) {
            running.call.handle_input(now, input);
            self.drain_call(now, id, agenda);
        }
    }

    fn drain_call(&mut self, now: Now, id: CallId, agenda: &mut Agenda) {
        loop {
            let Some(running) = self.calls.get_mut(&id) else { return };
            let later = |delay, answer| {
                (now.monotonic + delay, Happening::Server(Reply::Call(id, Box::new(answer))))
            };
            match running.call.poll_output() {
                call::Output::TransmitRtp { to, bytes }
                | call::Output::TransmitRtcp { to, bytes } => {
                    agenda.send_media(now.monotonic, || Happening::MediaToCaller {
                        to,
                        bytes: bytes.clone(),
                    });
                }
                call::Output::Signalling(says) => {
                    let over = says == ToSignalling::Over;
                    let input = signalling::Input::Call { call: id, says };
                    self.signalling.handle_input(now, input);
                    if !over {
                        self.drain_signalling(now, agenda);
                    }
                }
                call::Output::Spool(SpoolRequest::Append(record)) => {
                    if self.spool_fails || self.spool.append(&record).is_err() {
                        let reply = Reply::SpoolSynced(id, SpoolReply::Failed);
                        agenda.plan(now.monotonic, Happening::Server(reply));
                    }
                }
                call::Output::Spool(SpoolRequest::Sync) => {
                    let reply = Reply::SpoolSynced(id, SpoolReply::Synced);
                    agenda.plan(now.monotonic + SYNC_DELAY, Happening::Server(reply));
                }
                call::Output::Saved(message) => {
                    self.notes.push_back("server  saved (last record synced)".to_owned());
                    self.saved(now, message, agenda);
                }
                call::Output::Abandoned(message) => {
                    self.notes.push_back("server  abandoned (the spool failed)".to_owned());
                    if self.spool.reader(message).is_some() {
                        self.saved(now, message, agenda);
                    }
                }
                call::Output::Audit(request) => self.audit(now, id, request, agenda),
                call::Output::AuditedManifest { message, .. } => {
                    let hash = audited(&self.records, message).map(|audited| audited.manifest);
                    let (at, what) = later(STORE_DELAY, Answer::Manifest(hash));
                    agenda.plan(at, what);
                }
                call::Output::LogIn(request) => {
                    let reply = self.log_in(now, request);
                    let (at, what) = later(PIN_DELAY, Answer::LogIn(reply));
                    agenda.plan(at, what);
                }
                call::Output::Key(request) => {
                    let reply = self.key(request);
                    let (at, what) = later(STORE_DELAY, Answer::Key(reply));
                    agenda.plan(at, what);
                }
                call::Output::Index(request) => {
                    let reply = self.index(request);
                    self.tell_changes(now, agenda);
                    let (at, what) = later(STORE_DELAY, Answer::Index(reply));
                    agenda.plan(at, what);
                }
                call::Output::Object { key, range } => {
                    let reply = self.object(&key, range);
                    let (at, what) = later(STORE_DELAY, Answer::Object(reply));
                    agenda.plan(at, what);
                }
                call::Output::Ended(report) => {
                    let saved = if report.saved.is_some() { " { saved }" } else { "" };
                    self.notes.push_back(format!("server  end {}{saved}", report.end));
                    self.reports.push(*report);
                }
                call::Output::Timeout(deadline) => {
                    running.deadline = deadline;
                    if running.call.is_over() {
                        let port = running.port;
                        self.calls.remove(&id);
                        self.ports.remove(&port);
                    }
                    return;
                }
            }
        }
    }

    pub(super) fn reply(&mut self, now: Now, reply: Reply, agenda: &mut Agenda) {
        match reply {
            Reply::SpoolSynced(id, SpoolReply::Failed) => {
                self.call(now, id, call::Input::Spool(SpoolReply::Failed), agenda);
            }
            Reply::SpoolSynced(id, SpoolReply::Synced) => {
                self.spool.sync_now();
                let reply = if self.spool_fails { SpoolReply::Failed } else { SpoolReply::Synced };
                self.call(now, id, call::Input::Spool(reply), agenda);
            }
            Reply::AuditSynced => self.audit_synced(now, agenda),
            Reply::Call(id, answer) => {
                let input = match *answer {
                    Answer::LogIn(reply) => call::Input::LogIn(reply),
                    Answer::Key(reply) => call::Input::Key(reply),
                    Answer::Index(reply) => call::Input::Index(reply),
                    Answer::Object(reply) => call::Input::Object(reply),
                    Answer::Manifest(hash) => call::Input::AuditedManifest(hash),
                };
                self.call(now, id, input, agenda);
            }
        }
    }

    /// Everything that was appended so far is synced, as the shard's timer does each second.
    pub fn sync_spool(&mut self) {
        self.spool.sync_now();
    }

    fn audit(&mut self, now: Now, id: CallId, request: AuditRequest, agenda: &mut Agenda) {
        if self.audit_fails {
            self.call(now, id, call::Input::Audit(Err(AuditError::Unavailable)), agenda);
            return;
        }
        let extra = EventExtra { call: Some(id), ..EventExtra::default() };
        let pending = self.log.submit(now, request, extra);
        self.pending.push((Some(id), pending));
        agenda.plan(now.monotonic + AUDIT_DELAY, Happening::Server(Reply::AuditSynced));
    }

    fn audit_synced(&mut self, now: Now, agenda: &mut Agenda) {
        let Some(durable) = self.sync_log() else { return };
        for (id, pending) in std::mem::take(&mut self.pending) {
            let reply: AuditReply = pending.confirmed(&durable).expect("in this batch");
            if let Some(id) = id {
                self.call(now, id, call::Input::Audit(Ok(reply)), agenda);
            }
        }
    }

    fn sync_log(&mut self) -> Option<Durable> {
        let batch = self.log.take_batch()?;
        self.installation.audit.extend_from_slice(batch.bytes());
        for record in read_log(batch.bytes()) {
            self.notes.push_back(format!("audit   {}", record.event.name));
            self.records.push(record);
        }
        Some(batch.synced())
    }

    fn saved(&mut self, now: Now, message: MessageId, agenda: &mut Agenda) {
        let reader = self.spool.reader(message).expect("what was saved is in the spool");
        let mut recovery = Recovery::new();
        for record in reader.read().expect("readable") {
            recovery.record(&record);
        }
        for found in recovery.finish().messages {
            self.deliver(now, found, agenda);
        }
    }

    fn deliver(&mut self, now: Now, message: hushbox_store::SpooledMessage, agenda: &mut Agenda) {
        let known = audited(&self.records, message.message());
        let key = &self.installation.node_key;
        let mut delivery = Delivery::new(message, NODE, key, known).expect("signed");
        loop {
            let done = match delivery.poll_step() {
                Step::PutObject { key, bytes } => {
                    self.installation.objects.insert(key, bytes);
                    StepDone::ObjectPut
                }
                Step::Audit(event) => {
                    let seq = self.log.append_event(now, *event).seq();
                    self.audit_synced(now, agenda);
                    StepDone::Audited { seq }
                }
                Step::InsertRow(row) => {
                    self.notes.push_back(format!("store   indexed, {}", row.state));
                    self.changed.insert(row.mailbox);
                    self.installation.rows.entry(row.id).or_insert(*row);
                    self.tell_changes(now, agenda);
                    StepDone::RowInserted
                }
                Step::FreeSpool(message) => {
                    let record = hushbox_store::spool::Record::delivered(message);
                    self.spool.append(&record).expect("room");
                    StepDone::SpoolFreed
                }
                Step::Quarantined { .. } => {
                    self.notes.push_back("store   quarantined".to_owned());
                    return;
                }
                Step::Done => return,
            };
            delivery.handle(done);
        }
    }

    fn log_in(&mut self, now: Now, request: LogInRequest) -> LogInReply {
        match request {
            LogInRequest::Check(attempt) => match self.lockout.check(now, &attempt) {
                Err(locked) if locked.is_spoken() => LogInReply::Locked,
                Ok(()) | Err(_) => LogInReply::Free,
            },
            LogInRequest::Try { attempt, pin, verifier, .. } => {
                if self.lockout.check(now, &attempt).is_err() {
                    return LogInReply::RefusedByLock;
                }
                self.lockout.count(now, &attempt);
                let locks = self.lockout.check(now, &attempt).is_err();
                self.comparisons += 1;
                if verifier.verify(&pin, &self.installation.pepper) {
                    self.lockout.success(now, &attempt);
                    LogInReply::Accepted
                } else if locks {
                    LogInReply::RefusedAndLocked
                } else {
                    LogInReply::Refused
                }
            }
        }
    }

    fn key(&self, request: KeyRequest) -> Result<KeyReply, KeyError> {
        hushbox_store::unlock(&self.installation.root, request)
    }

    fn index(&mut self, request: IndexRequest) -> Result<IndexReply, IndexError> {
        let rows = &mut self.installation.rows;
        match request {
            IndexRequest::Messages(listing) => {
                let mut found: Vec<MessageRow> = rows
                    .values()
                    .filter(|row| listing.mailbox().is_none_or(|mailbox| mailbox == row.mailbox))
                    .filter(|row| listing.states().contains(&row.state))
                    .cloned()
                    .collect();
                found.sort_by_key(|row| (row.received_at, row.id));
                Ok(IndexReply::Messages(found))
            }
            IndexRequest::ChangeState(change) => {
                let id = change.message().message;
                let row = rows.get_mut(&id).ok_or(IndexError::NoMessage(id))?;
                change.apply(row);
                self.notes.push_back(format!("store   {}", row.state));
                self.changed.insert(row.mailbox);
                Ok(IndexReply::Changed(Box::new(row.clone())))
            }
            IndexRequest::Counts(mailbox) => Ok(IndexReply::Counts(self.count(mailbox))),
            _ => Err(IndexError::Unavailable("a call does not ask this".to_owned())),
        }
    }

    fn count(&self, mailbox: MailboxId) -> Counts {
        let mut counts = Counts::default();
        for row in self.installation.rows.values().filter(|row| row.mailbox == mailbox) {
            counts.add(row.state, 1);
        }
        counts
    }

    fn object(
        &self,
        key: &hushbox_store::ObjectKey,
        range: std::ops::Range<u64>,
    ) -> Result<Bytes, ObjectsError> {
        let object = self.installation.objects.get(key).ok_or(ObjectsError::NotFound)?;
        let end = usize::try_from(range.end).expect("small").min(object.len());
        let start = usize::try_from(range.start).expect("small").min(end);
        Ok(object.slice(start..end))
    }
}

fn signalling_seed(installation: &Installation) -> [u8; 32] {
    let mut seed = [41; 32];
    seed[..8].copy_from_slice(&installation.starts.to_be_bytes());
    seed
}

/// Every record in some frames of the log.
fn read_log(bytes: &[u8]) -> Vec<Record> {
    let mut reader = FrameReader::new();
    reader.push(bytes);
    let mut records = Vec::new();
    while let Some(frame) = reader.next_frame().expect("whole frames") {
        records.push(Record::from_bytes(frame.record).expect("a record"));
    }
    records
}

fn audited(records: &[Record], message: MessageId) -> Option<Audited> {
    records.iter().filter_map(Audited::in_record).find(|(id, _)| *id == message).map(|(_, a)| a)
}

/// The caller at the other end of a flow: each has a connection and an address of its own.
fn caller_of(flow: Flow) -> CallerId {
    let index = match flow.connection {
        Some(ConnectionId(number)) => usize::try_from(number).expect("few"),
        None => usize::from(flow.remote.port()) - 30_000,
    };
    CallerId(index)
}

/// What every test may ask for at its end: nothing is left over, each call had one end.
pub fn names(reports: &[CallReport]) -> Vec<String> {
    let mut ids = BTreeSet::new();
    reports
        .iter()
        .inspect(|report| assert!(ids.insert(report.call), "a call ended twice"))
        .map(|report| report.end.to_string())
        .collect()
}
