//! Signalling: what comes from callers and goes to them, and what it asks of the rest.

use std::sync::Arc;

use bytes::Bytes;
use hushbox_call::call;
use hushbox_call::signalling::{self, Peer};
use hushbox_policy::{MailboxId, Now};
use hushbox_sip::{ConnectionId, Flow, Transport};
use hushbox_store::index::Counts;

use super::{Reply, Server};
use crate::world::installation::Installation;
use crate::world::lamp::LampId;
use crate::world::{Agenda, CallerId, Happening, LINK_DELAY, STORE_DELAY};

impl Server {
    pub(in crate::world) fn connected(&mut self, now: Now, flow: Flow, peer: Peer) {
        if flow.connection.is_some() {
            self.signalling.handle_input(now, signalling::Input::Connected { flow, peer });
        }
    }

    pub(in crate::world) fn sip(
        &mut self,
        now: Now,
        flow: Flow,
        bytes: &[u8],
        agenda: &mut Agenda,
    ) {
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

    pub(super) fn tell_changes(&mut self, now: Now, agenda: &mut Agenda) {
        for mailbox in std::mem::take(&mut self.changed) {
            let counts = self.count(mailbox);
            self.history.push((mailbox, counts));
            self.signalling.handle_input(now, signalling::Input::MailboxChanged(mailbox));
            self.drain_signalling(now, agenda);
        }
    }

    pub(super) fn counted(
        &mut self,
        now: Now,
        mailbox: MailboxId,
        counts: Counts,
        agenda: &mut Agenda,
    ) {
        let input = signalling::Input::Counted { mailbox, counts: Some(counts) };
        self.signalling.handle_input(now, input);
        self.drain_signalling(now, agenda);
    }

    pub(super) fn drain_signalling(&mut self, now: Now, agenda: &mut Agenda) {
        loop {
            match self.signalling.poll_output() {
                signalling::Output::Transmit { flow, bytes } => {
                    send(now, flow, bytes, agenda);
                }
                // There is no DNS here: nothing is found.
                signalling::Output::Locate { look_up, .. } => {
                    let destinations = Vec::new();
                    let input = signalling::Input::Located { look_up, destinations };
                    self.signalling.handle_input(now, input);
                }
                signalling::Output::Connect { .. }
                | signalling::Output::Mwi { .. }
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
                    let reply = Happening::Server(Reply::Counted(mailbox, counts));
                    agenda.plan(now.monotonic + STORE_DELAY, reply);
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
}

pub(super) fn seed(installation: &Installation) -> [u8; 32] {
    let mut seed = [41; 32];
    seed[..8].copy_from_slice(&installation.starts.to_be_bytes());
    seed
}

fn send(now: Now, flow: Flow, bytes: Bytes, agenda: &mut Agenda) {
    match LampId::at(flow) {
        Some(lamp) => {
            let what = || Happening::ServerToLamp(lamp, bytes.clone());
            agenda.send_to_or_from_lamp(now.monotonic, what);
        }
        None => {
            let what = Happening::SipToCaller(caller_of(flow), bytes);
            agenda.plan(now.monotonic + LINK_DELAY, what);
        }
    }
}

/// The caller at the other end of a flow: each has a connection and an address of its own.
fn caller_of(flow: Flow) -> CallerId {
    let index = match flow.connection {
        Some(ConnectionId(number)) => usize::try_from(number).expect("few"),
        None => usize::from(flow.remote.port()) - 30_000,
    };
    CallerId(index)
}
