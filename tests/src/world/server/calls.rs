//! The calls: each with its media port, and what it asks of the rest.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use hushbox_call::call::{self, Parts, SpoolReply, SpoolRequest};
use hushbox_call::signalling;
use hushbox_call::{Call, CallSetup, ToSignalling};
use hushbox_media::{LegConfig, Security};
use hushbox_policy::{CallId, Now};
use hushbox_sip::Transport;
use zeroize::Zeroizing;

use super::records::audited;
use super::{Answer, Reply, Server};
use crate::world::caller::server_address;
use crate::world::{Agenda, Happening, PIN_DELAY, STORE_DELAY, SYNC_DELAY};

/// A call that runs.
pub(super) struct Running {
    pub(super) call: Call,
    pub(super) port: u16,
    pub(super) deadline: Option<Instant>,
    pub(super) stage: &'static str,
}

impl Server {
    /// The media port of the only call.
    pub(in crate::world) fn port(&self) -> Option<u16> {
        self.calls.values().next().map(|running| running.port)
    }

    /// The stage of the only call.
    pub fn stage(&self) -> Option<&'static str> {
        self.calls.values().next().map(|running| running.call.stage())
    }

    pub(in crate::world) fn media(
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

    fn seed(&mut self) -> [u8; 32] {
        self.seeds += 1;
        let mut seed = [0x5a; 32];
        seed[..8].copy_from_slice(&self.seeds.to_be_bytes());
        seed
    }

    pub(super) fn start_call(&mut self, now: Now, setup: CallSetup, agenda: &mut Agenda) {
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

    pub(super) fn call(
        &mut self,
        now: Now,
        id: CallId,
        input: call::Input<'_>,
        agenda: &mut Agenda,
    ) {
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
                call::Output::Unplayable { message, why } => {
                    self.notes.push_back(format!("server  cannot play a message: {why}"));
                    self.unplayable.push((message, why));
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
}
