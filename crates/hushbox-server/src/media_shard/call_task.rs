//! One call on its shard: its two sockets, its timer, its requests.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use hushbox_audit::{self as audit, Event, EventExtra, EventName, Who};
use hushbox_call::call::{
    Call, CallReport, Input, LogInReply, LogInRequest, Output, Parts, SpoolRequest,
};
use hushbox_call::setup::{CallSetup, ToSignalling};
use hushbox_media::LegConfig;
use hushbox_policy::CallId;
use hushbox_store::ObjectsRequest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::requests::{Asked, Inbox, News, Worker};
use super::spool_task::SpoolHandle;
use crate::locks::Tried;
use crate::log_in::Outcome;
use crate::metrics::{self, Counted};
use crate::rtp_ports::{PortLease, PortPair};
use crate::signalling::ToSignallingTask;
use crate::{limits, random, unplayable};

/// Packets that are taken from one socket before the other things of a call have their turn.
const PACKETS_AT_ONCE: usize = 32;
/// The longest packet that is looked at; what is longer is cut and fails its authentication.
const PACKET_BYTES: usize = 2048;

thread_local! {
    /// Every call of a shard receives into the same buffer: nothing is awaited while it is in use.
    static BUFFER: RefCell<[u8; PACKET_BYTES]> = const { RefCell::new([0; PACKET_BYTES]) };
}

pub(super) struct CallTask {
    id: CallId,
    call: Call,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    inbox: Inbox,
    news: mpsc::UnboundedReceiver<News>,
    worker: Worker,
    shared: Rc<Shared>,
    spool: SpoolHandle,
    /// Gives the ports back when the call is over.
    _lease: PortLease,
    _counted: Counted,
}

impl CallTask {
    /// Takes ports and makes the call.
    pub(super) fn new(
        setup: CallSetup,
        shared: &Rc<Shared>,
        spool: &SpoolHandle,
    ) -> std::io::Result<(Inbox, Self)> {
        let PortPair { rtp, rtcp, lease } = shared.ports.take()?;
        let id = setup.id;
        let counted = Counted::call(metrics::kind(&setup.purpose));
        let leg = LegConfig {
            local_ip: shared.media_address.towards(setup.media_peer()),
            rtp_port: lease.port(),
            security: setup.security(),
            seed: random::bytes(),
        };
        let parts = Parts {
            leg,
            directory: shared.services.directory(),
            prompts: Arc::clone(&shared.prompts),
            message_key: zeroize::Zeroizing::new(random::bytes()),
            seed: random::bytes(),
            recording: shared.recording,
        };
        let call = Call::new(shared.services.clock.now(), setup, parts);
        let (inbox, news) = Inbox::new();
        let task = Self {
            id,
            call,
            rtp: UdpSocket::from_std(rtp)?,
            rtcp: UdpSocket::from_std(rtcp)?,
            inbox: inbox.clone(),
            news,
            worker: Worker::new(),
            shared: Rc::clone(shared),
            spool: spool.clone(),
            _lease: lease,
            _counted: counted,
        };
        Ok((inbox, task))
    }

    pub(super) async fn run(mut self) {
        let sleep = sleep_until(Instant::now());
        tokio::pin!(sleep);
        loop {
            let (deadline, ended) = self.drain();
            if ended {
                return;
            }
            if let Some(deadline) = deadline {
                sleep.as_mut().reset(deadline.into());
            }
            tokio::select! {
                biased;
                Some(news) = self.news.recv() => {
                    self.call.handle_input(self.shared.services.clock.now(), news.into_input());
                }
                // Readiness is all that is awaited: an error stands in the socket until it is read.
                _ = self.rtp.readable() => self.receive(false),
                _ = self.rtcp.readable() => self.receive(true),
                () = sleep.as_mut(), if deadline.is_some() => {
                    self.call.handle_input(self.shared.services.clock.now(), Input::Timeout);
                }
            }
        }
    }

    /// Takes the packets that wait on one socket.
    fn receive(&mut self, control: bool) {
        let now = self.shared.services.clock.now();
        BUFFER.with_borrow_mut(|buffer| {
            for _ in 0..PACKETS_AT_ONCE {
                let socket = if control { &self.rtcp } else { &self.rtp };
                // An error is an ICMP message about something that was sent, or "nothing waits".
                let Ok((length, from)) = socket.try_recv_from(buffer) else { return };
                let bytes = &mut buffer[..length];
                let input =
                    if control { Input::Rtcp { from, bytes } } else { Input::Rtp { from, bytes } };
                self.call.handle_input(now, input);
                self.outputs_of_a_packet();
            }
        });
    }

    /// Drains what a packet led to, so that a burst of packets does not pile up outputs.
    fn outputs_of_a_packet(&mut self) {
        // The deadline is asked for again by the loop; polling is cheap and changes nothing.
        let _again = self.drain_until_timeout();
    }

    fn drain(&mut self) -> (Option<std::time::Instant>, bool) {
        let deadline = self.drain_until_timeout();
        (deadline, self.call.is_over())
    }

    fn drain_until_timeout(&mut self) -> Option<std::time::Instant> {
        loop {
            match self.call.poll_output() {
                Output::Timeout(deadline) => return deadline,
                output => self.run_output(output),
            }
        }
    }

    fn run_output(&mut self, output: Output) {
        match output {
            // A full socket buffer loses the packet, as the network may.
            Output::TransmitRtp { to, bytes } => drop(self.rtp.try_send_to(&bytes, to)),
            Output::TransmitRtcp { to, bytes } => drop(self.rtcp.try_send_to(&bytes, to)),
            Output::Signalling(says) => self.say(says),
            Output::Spool(SpoolRequest::Append(record)) => {
                self.spool.append(self.id, record, &self.inbox)
            }
            Output::Spool(SpoolRequest::Sync) => self.spool.sync(self.id, &self.inbox),
            Output::Saved(message) => {
                // Before signalling hears that the call is over, so that no end of the server comes between.
                self.shared.deliveries.expect();
                metrics::message_saved();
                self.spool.saved(self.id, message);
            }
            Output::Abandoned(message) => {
                self.shared.deliveries.expect();
                metrics::message_cut();
                self.spool.abandoned(self.id, message);
            }
            Output::Audit(request) => {
                let inbox = self.inbox.clone();
                let extra = EventExtra { call: Some(self.id), ..EventExtra::default() };
                self.shared.services.audit.submit(
                    request,
                    extra,
                    Box::new(move |reply| inbox.send(News::Audit(reply))),
                );
            }
            Output::AuditedManifest { message, seq } => {
                self.ask(Asked::AuditedManifest { message, seq });
            }
            Output::LogIn(request) => self.log_in(request),
            Output::Key(request) => self.ask(Asked::Key(request)),
            Output::Index(request) => self.ask(Asked::Index(request)),
            Output::Object { key, range } => {
                self.ask(Asked::Object(ObjectsRequest::Get { key, range }))
            }
            Output::Unplayable { message, why } => {
                unplayable::say(message, why.is_damage(), &why);
            }
            Output::Ended(report) => {
                log(&report);
                metrics::call_ended(&report);
                self.shared.services.trace.ended(report.call, report.end.as_str());
                self.note_forged_packets(&report);
            }
            Output::Timeout(_) => {}
        }
    }

    /// Somebody sent packets into the call that were not the peer's.
    fn note_forged_packets(&self, report: &CallReport) {
        let failures = report.leg.as_ref().map_or(0, |leg| leg.auth_failures);
        if failures >= limits::AUTH_FAILURES_NOTED {
            let mut event = Event::new(EventName::SrtpAuthFail, Who::Stranger);
            event.call = Some(self.id);
            event.outcome = audit::Outcome::Refused;
            event.detail = event.detail.with("packets", failures);
            self.shared.services.audit.note(event);
        }
    }

    fn say(&self, says: ToSignalling) {
        let _stopping = self.shared.signalling.send(ToSignallingTask::Call { call: self.id, says });
    }

    fn ask(&mut self, asked: Asked) {
        self.worker.ask(asked, &self.shared.runtime, &self.shared.services, &self.inbox);
    }

    fn log_in(&self, request: LogInRequest) {
        let inbox = self.inbox.clone();
        let Some(opening) = &self.shared.services.opening else {
            inbox.send(News::LogIn(LogInReply::Unavailable));
            return;
        };
        match request {
            LogInRequest::Check(attempt) => opening.log_ins.check(
                attempt,
                Box::new(move |tried| {
                    inbox.send(News::LogIn(match tried {
                        Tried::Locked(locked) if locked.is_spoken() => LogInReply::Locked,
                        Tried::Unavailable => LogInReply::Unavailable,
                        Tried::Free | Tried::Counted { .. } | Tried::Locked(_) => LogInReply::Free,
                    }));
                }),
            ),
            LogInRequest::Try { attempt, pin, verifier, bound } => opening.log_ins.attempt(
                attempt,
                pin,
                *verifier,
                bound,
                Box::new(move |outcome| {
                    inbox.send(News::LogIn(match outcome {
                        Outcome::Right => LogInReply::Accepted,
                        Outcome::Wrong => LogInReply::Refused,
                        Outcome::WrongAndLocked => LogInReply::RefusedAndLocked,
                        Outcome::Locked => LogInReply::RefusedByLock,
                        Outcome::Busy => LogInReply::Busy,
                        Outcome::Unavailable => LogInReply::Unavailable,
                    }));
                }),
            ),
        }
    }
}

/// One line a call.
fn log(report: &CallReport) {
    let leg = report.leg.as_ref();
    tracing::info!(
        call = %report.call,
        purpose = report.purpose,
        end = report.end.as_str(),
        cause = report.cause.map(tracing::field::display),
        stage = report.stage,
        duration_ms = u64::try_from(report.duration.as_millis()).unwrap_or(u64::MAX),
        saved = report.saved.map(tracing::field::display),
        heard = report.heard,
        lost_changes = report.lost_changes,
        suite = leg.and_then(|leg| leg.suite).map(|suite| suite.name()),
        packets = leg.map(|leg| leg.received),
        lost = leg.map(|leg| leg.lost),
        auth_failures = leg.map(|leg| leg.auth_failures),
        replays = leg.map(|leg| leg.replays),
        "call ended"
    );
}
