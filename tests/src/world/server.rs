//! The shell of the simulated server: what production does with sockets, threads and files, as a queue.

mod answers;
mod calls;
mod delivery;
mod records;
mod sip;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hushbox_audit::{Hash, Log, PendingReply, Record, Resume};
use hushbox_backend::SpoolOptions;
use hushbox_backend::spool::RecoveredMessage;
use hushbox_backend::spool::log::SpoolLog;
use hushbox_call::call::{self, LogInReply, Recording, SpoolReply};
use hushbox_call::signalling::{self, Refused};
use hushbox_call::{CallReport, Prompts, Signalling};
use hushbox_policy::lockout::Lockout;
use hushbox_policy::{CallId, MailboxId, MessageId, Now};
use hushbox_sip::{HostPort, Listener, Transport};
use hushbox_store::index::{Counts, IndexReply};
use hushbox_store::{IndexError, KeyError, KeyReply, MessageRow, ObjectsError};

use super::caller::server_address;
use super::installation::{Installation, NODE, REALM};
use super::{Agenda, prompts};
use calls::Running;

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
    /// The messages of a mailbox, as they were when signalling asked.
    Counted(MailboxId, Counts),
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
    /// Makes the reading of objects fail.
    pub objects_fail: Option<ObjectsError>,
    /// Messages that could not be played, and why.
    pub unplayable: Vec<(MessageId, call::Unplayable)>,
    recording: Recording,
    reports: Vec<CallReport>,
    refused: Vec<Refused>,
    /// Mailboxes whose messages have changed, and signalling does not know.
    changed: BTreeSet<MailboxId>,
    /// What a mailbox's messages were counted as, from change to change.
    pub history: Vec<(MailboxId, Counts)>,
    notes: VecDeque<String>,
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
        let records = records::read_log(&installation.audit);
        let resume = records.last().map_or(Resume::default(), |last| Resume {
            next_seq: last.seq + 1,
            prev_hash: last.leaf_hash(),
        });
        let directory = Arc::clone(&installation.directory);
        let mut signalling = Signalling::new(config, directory, sip::seed(&installation));
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
            objects_fail: None,
            unplayable: Vec::new(),
            recording: Recording::default(),
            reports: Vec::new(),
            refused: Vec::new(),
            changed: BTreeSet::new(),
            history: Vec::new(),
            notes: VecDeque::new(),
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

    /// Whether not even a transaction or a subscription is left: what is true once all timers of SIP have run out.
    pub fn is_empty(&self) -> bool {
        let load = self.signalling.endpoint_load();
        let left = load.sessions + load.transactions + load.subscriptions;
        self.is_quiet() && left == 0 && self.installation.subscriptions.is_empty()
    }

    /// What outlives it, to be tampered with.
    pub fn installation_mut(&mut self) -> &mut Installation {
        &mut self.installation
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
            Reply::Counted(mailbox, counts) => self.counted(now, mailbox, counts, agenda),
            Reply::Call(id, answer) => {
                let input = match *answer {
                    Answer::LogIn(reply) => call::Input::LogIn(reply),
                    Answer::Key(reply) => call::Input::Key(reply),
                    Answer::Index(reply) => call::Input::Index(reply),
                    Answer::Object(reply) => call::Input::Object(reply),
                    Answer::Manifest(hash) => call::Input::AuditedManifest(Ok(hash)),
                };
                self.call(now, id, input, agenda);
            }
        }
    }
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
