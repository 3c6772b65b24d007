//! The signalling task: bytes from listeners into [`Signalling`], what it says out to connections and shards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use hushbox_call::limits::STRAIN_EVERY;
use hushbox_call::setup::ToSignalling;
use hushbox_call::signalling::{
    Asked, Input, Lamp, LookUp, Output, Part, Peer, Refused, Signalling, Strain, Why,
};
use hushbox_policy::{CallId, MailboxId};
use hushbox_sip::registration::Settings;
use hushbox_sip::resolution::Target;
use hushbox_sip::{ConnectionId, Destination, Flow, Rejection};
use hushbox_store::{CertificateOwner, Counts, Directory};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::client_certificates::Match;
use crate::clock::Clock;
use crate::listener::{Acquaintance, Arrival, WriteQueue};
use crate::media_shard::strain::filled_percent;
use crate::media_shard::{Shard, ToShard};
use crate::metrics::EndpointGauges;
use crate::mwi::{self, Mwi};
use crate::outbound::{Connector, Finder, registrations};
use crate::sip_watch::SipWatch;

/// What calls and tasks say to signalling.
#[derive(Debug)]
pub enum ToSignallingTask {
    /// A call says something.
    Call {
        /// Which call.
        call: CallId,
        /// What.
        says: ToSignalling,
    },
    /// Whether the data disk has too little room for one more recording on a shard.
    DiskFull {
        /// The shard that says so.
        shard: u16,
        /// Whether it has.
        full: bool,
    },
    /// Where something is to be sent.
    Located {
        /// Which question this answers.
        look_up: LookUp,
        /// In the order of trying.
        destinations: Vec<Destination>,
    },
    /// The directory has changed.
    Directory(Arc<Directory>),
    /// How a shard keeps up.
    Strain {
        /// Which shard.
        part: Part,
        /// How it does.
        strain: Strain,
    },
    /// The messages of a mailbox have changed.
    MailboxChanged(MailboxId),
    /// A mailbox's messages were counted, or could not be.
    Counted {
        /// Whose.
        mailbox: MailboxId,
        /// How many.
        counts: Option<Counts>,
    },
    /// Somebody asks for a mailbox's lamps, and its version.
    Lamps {
        /// Which mailbox.
        mailbox: MailboxId,
        /// Where the answer goes.
        answer: oneshot::Sender<(u64, Vec<Lamp>)>,
    },
    /// No new calls from now on.
    Drain,
    /// Somebody wants a sign of life.
    Ping(oneshot::Sender<()>),
}

/// What the task is made of.
pub struct SignallingTask {
    /// The core.
    pub signalling: Signalling,
    /// The clock.
    pub clock: Arc<Clock>,
    /// The lab listener's socket.
    pub udp: Option<Arc<UdpSocket>>,
    /// Opens connections.
    pub connector: Connector,
    /// Finds out where to send, and says it.
    pub finder: Finder,
    /// The queue that this task reads.
    pub says: mpsc::UnboundedSender<ToSignallingTask>,
    /// The PBXs that this server is an extension of.
    pub registrations: Vec<Settings>,
    /// The media shards.
    pub shards: Vec<Shard>,
    /// What counts for lamps and keeps subscriptions.
    pub mwi: Mwi,
    /// How many calls there are, whether anything is left to say about ended ones, and what would be refused.
    pub load: watch::Sender<Load>,
    /// Counts and traces messages.
    pub watch: SipWatch,
}

/// What the end of the server waits for, and what readiness says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Calls.
    pub calls: usize,
    /// Neither calls nor sessions are left.
    pub quiet: bool,
    /// Why new calls would be refused.
    pub refuses: Option<Why>,
}

/// The way to a connection.
struct Writer {
    queue: WriteQueue,
    acquaintance: Acquaintance,
}

struct Running {
    task: SignallingTask,
    writers: BTreeMap<ConnectionId, Writer>,
    /// Where each call lives.
    calls: BTreeMap<CallId, usize>,
    full: FullShards,
    gauges: EndpointGauges,
    /// Whether calls are refused for load.
    sheds: bool,
}

/// The shards that have too little room on the disk. While there is one, no deposit is admitted: nobody can say on
/// which shard it would live.
#[derive(Debug, Default)]
struct FullShards(BTreeSet<u16>);

impl FullShards {
    /// Takes what a shard says; whether any has too little room now.
    fn says(&mut self, shard: u16, full: bool) -> bool {
        if full {
            self.0.insert(shard);
        } else {
            self.0.remove(&shard);
        }
        !self.0.is_empty()
    }
}

impl SignallingTask {
    /// Runs until both queues are closed.
    pub async fn run(
        self,
        mut arrivals: mpsc::Receiver<Arrival<CertificateOwner>>,
        mut says: mpsc::UnboundedReceiver<ToSignallingTask>,
    ) {
        let mut running = Running {
            task: self,
            writers: BTreeMap::new(),
            calls: BTreeMap::new(),
            full: FullShards::default(),
            gauges: EndpointGauges::new(),
            sheds: false,
        };
        running.task.signalling.set_tap(Box::new(running.task.watch.clone()));
        let registrations = std::mem::take(&mut running.task.registrations);
        running.input(Input::Register(registrations));
        let sleep = sleep_until(Instant::now());
        tokio::pin!(sleep);
        let pulse = sleep_until(Instant::now() + STRAIN_EVERY);
        tokio::pin!(pulse);
        loop {
            let deadline = running.drain().await;
            if let Some(deadline) = deadline {
                sleep.as_mut().reset(deadline.into());
            }
            tokio::select! {
                arrival = arrivals.recv() => match arrival {
                    Some(arrival) => running.arrived(arrival),
                    None => return,
                },
                said = says.recv() => match said {
                    Some(said) => running.said(said).await,
                    None => return,
                },
                () = sleep.as_mut(), if deadline.is_some() => running.input(Input::Timeout),
                () = pulse.as_mut() => {
                    let strain = Strain {
                        late: pulse.deadline().elapsed(),
                        queue_percent: filled_percent(arrivals.capacity(), arrivals.max_capacity()),
                        ..Strain::default()
                    };
                    running.strained(Part::Signalling, strain);
                    pulse.as_mut().reset(Instant::now() + STRAIN_EVERY);
                }
            }
        }
    }
}

impl Running {
    fn input(&mut self, input: Input<'_>) {
        self.task.signalling.handle_input(self.task.clock.now(), input);
    }

    fn arrived(&mut self, arrival: Arrival<CertificateOwner>) {
        match arrival {
            Arrival::Datagram { flow, bytes } => {
                self.input(Input::Datagram { flow, bytes: &bytes })
            }
            Arrival::Opened { flow, peer, writer, acquaintance, attempt } => {
                if let Some(connection) = flow.connection {
                    self.writers.insert(connection, Writer { queue: writer, acquaintance });
                }
                let peer = whose(peer);
                self.task.watch.opened(flow, peer);
                self.input(match attempt {
                    Some(attempt) => Input::Opened { attempt, flow, peer },
                    None => Input::Connected { flow, peer },
                });
            }
            Arrival::Unconnected { attempt } => self.input(Input::Unopened { attempt }),
            Arrival::Data { flow, bytes } => self.input(Input::StreamData { flow, bytes: &bytes }),
            Arrival::Closed { flow } => {
                if let Some(connection) = flow.connection {
                    self.writers.remove(&connection);
                }
                self.task.watch.closed(flow);
                self.input(Input::StreamClosed { flow });
            }
        }
    }

    async fn said(&mut self, said: ToSignallingTask) {
        match said {
            ToSignallingTask::Call { call, says } => {
                if says == ToSignalling::Over {
                    self.calls.remove(&call);
                }
                self.input(Input::Call { call, says });
            }
            ToSignallingTask::DiskFull { shard, full } => {
                let any = self.full.says(shard, full);
                self.input(Input::DiskFull(any));
            }
            ToSignallingTask::Directory(directory) => {
                for shard in &self.task.shards {
                    shard.say(ToShard::Directory(Arc::clone(&directory))).await;
                }
                self.task.watch.directory(Arc::clone(&directory));
                self.input(Input::Directory(directory));
            }
            ToSignallingTask::Strain { part, strain } => {
                self.strained(part, strain);
            }
            ToSignallingTask::MailboxChanged(mailbox) => self.input(Input::MailboxChanged(mailbox)),
            ToSignallingTask::Counted { mailbox, counts } => {
                self.input(Input::Counted { mailbox, counts });
            }
            ToSignallingTask::Lamps { mailbox, answer } => {
                let _gone = answer.send(self.task.signalling.lamps(mailbox));
            }
            ToSignallingTask::Located { look_up, destinations } => {
                self.input(Input::Located { look_up, destinations });
            }
            ToSignallingTask::Drain => self.input(Input::Drain),
            ToSignallingTask::Ping(answer) => {
                // Whoever asked may have gone.
                let _gone = answer.send(());
            }
        }
    }

    fn strained(&mut self, part: Part, strain: Strain) {
        self.input(Input::Strain { part, strain });
        let sheds = self.task.signalling.shed_percent() > 0;
        if std::mem::replace(&mut self.sheds, sheds) != sheds {
            if sheds {
                tracing::warn!(
                    ?part,
                    ?strain,
                    "the server is behind: part of the new calls is refused"
                );
            } else {
                tracing::info!("the server keeps up again: no call is refused for load");
            }
        }
    }

    /// Does everything that signalling asks for; its next deadline.
    async fn drain(&mut self) -> Option<std::time::Instant> {
        let deadline = loop {
            match self.task.signalling.poll_output() {
                Output::Transmit { flow, bytes } => self.transmit(flow, bytes),
                Output::Disconnect { flow } => self.disconnect(flow),
                Output::Connect { attempt, destination } => {
                    self.task.connector.open(attempt, destination);
                }
                Output::Locate { look_up, target } => self.locate(look_up, target),
                Output::Registration { number, news } => registrations::log(number, news),
                Output::Mwi { trunk, news } => {
                    mwi::log(trunk.and_then(|id| self.task.watch.trunk_name(id)).as_deref(), news);
                }
                Output::Start(setup) => {
                    let (call, call_id_hash) = (setup.id, setup.call_id_hash);
                    let trunk = setup.caller.trunk();
                    let (at, shard) = self.least_busy();
                    if let Some(room) = shard.and_then(Shard::room) {
                        let name = self.task.watch.admitted(&setup);
                        room.send(ToShard::Start(setup, name));
                        self.calls.insert(call, at);
                    } else {
                        tracing::warn!(%call, "a call was refused: its shard is overwhelmed");
                        let (asked, why) = (Asked::Call, Why::Overloaded);
                        let refused = Refused { asked, status: 503, why, call_id_hash, trunk };
                        self.task.watch.refused(&refused);
                        let rejection = Rejection::new(503).with_retry_after(10);
                        self.input(Input::Call { call, says: ToSignalling::Reject(rejection) });
                        self.input(Input::Call { call, says: ToSignalling::Over });
                    }
                }
                Output::ToCall { call, says } => {
                    let shard = self.calls.get(&call).and_then(|at| self.task.shards.get(*at));
                    if let Some(shard) = shard {
                        shard.say(ToShard::ToCall(call, says)).await;
                    }
                }
                Output::Count(mailbox) => self.task.mwi.count(mailbox),
                Output::KeepSubscription(row) => self.task.mwi.keep(row),
                Output::ForgetSubscription(id) => self.task.mwi.forget(id),
                Output::Known { flow } => {
                    let writer = flow.connection.and_then(|id| self.writers.get(&id));
                    if let Some(writer) = writer {
                        writer.acquaintance.make();
                    }
                }
                Output::Refused(refused) => {
                    self.task.watch.refused(&refused);
                    log(refused);
                }
                Output::Timeout(deadline) => break deadline,
            }
        };
        let signalling = &self.task.signalling;
        self.gauges.set(signalling.endpoint_load());
        let load = Load {
            calls: signalling.calls(),
            quiet: signalling.is_quiet(),
            refuses: signalling.refuses(),
        };
        self.task.load.send_if_modified(|before| std::mem::replace(before, load) != load);
        deadline
    }

    fn locate(&self, look_up: LookUp, target: Target) {
        let (finder, says) = (self.task.finder.clone(), self.task.says.clone());
        tokio::spawn(async move {
            let destinations = finder.find(target).await;
            // A failure here means that signalling has ended.
            let _ended = says.send(ToSignallingTask::Located { look_up, destinations });
        });
    }

    fn least_busy(&self) -> (usize, Option<&Shard>) {
        let least = self.task.shards.iter().enumerate().min_by_key(|(_, shard)| shard.live());
        least.map_or((0, None), |(at, shard)| (at, Some(shard)))
    }

    fn transmit(&mut self, flow: Flow, bytes: Bytes) {
        self.task.watch.sent(flow, &bytes);
        match flow.connection {
            None => {
                if let Some(socket) = &self.task.udp {
                    // A full socket buffer loses the datagram, as the network may: it is repeated.
                    let _lost = socket.try_send_to(&bytes, flow.remote);
                }
            }
            Some(connection) => {
                let slow =
                    self.writers.get(&connection).is_some_and(|writer| !writer.queue.send(bytes));
                if slow {
                    tracing::info!("a peer that reads too slowly was disconnected");
                    self.writers.remove(&connection);
                }
            }
        }
    }

    fn disconnect(&mut self, flow: Flow) {
        if let Some(connection) = flow.connection {
            // The connection's task sends what waits, closes, and says so.
            self.writers.remove(&connection);
        }
    }
}

/// Why a call was refused: at `info` where the caller is known, so that an engineer can read it; at `debug` where a
/// stranger decides how many lines there are.
fn log(refused: Refused) {
    let (status, why, sip) = (refused.status, refused.why.as_str(), refused.call_id_hash);
    let what = match refused.asked {
        Asked::Call => "a call was refused",
        Asked::InCall => "a request inside a call was refused",
        Asked::Subscription => "a subscription was refused",
    };
    match refused.why {
        Why::Challenged | Why::WrongDigest | Why::StaleNonce | Why::TooManyWrongDigests => {
            tracing::debug!(status, why, %sip, "{what}");
        }
        Why::AmbiguousCertificate
        | Why::NotThisDevices
        | Why::NoSuchNumber
        | Why::Loop
        | Why::NotUnderstood
        | Why::DiskFull
        | Why::Full
        | Why::TrunkFull
        | Why::Overloaded
        | Why::Flood
        | Why::Draining
        | Why::NoMediaPort
        | Why::NoSubscription
        | Why::Overtaken => tracing::info!(status, why, %sip, "{what}"),
    }
}

fn whose(found: Match<CertificateOwner>) -> Peer {
    match found {
        Match::Nobody => Peer::Nobody,
        Match::One(CertificateOwner::Device(id)) => Peer::Device(id),
        Match::One(CertificateOwner::Trunk(id)) => Peer::Trunk(id),
        Match::Several => Peer::Ambiguous,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_is_full_until_the_last_shard_has_room() {
        let mut shards = FullShards::default();
        assert!(shards.says(0, true));
        assert!(shards.says(1, true));
        assert!(shards.says(0, false), "shard 1 is still full");
        assert!(!shards.says(1, false));
        assert!(!shards.says(1, false));
    }
}
