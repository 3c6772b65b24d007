//! Many calls at once, to measure a server: each is placed, answered, acknowledged, perhaps spoken into, and ended.
//!
//! One task has all calls, so that the generator costs little beside the server: what it sends is written from
//! templates, of what comes it reads the few header fields that a call needs (`reply`), and the sound is
//! protected once for all calls (`sound`). What a server does right is for [`crate::scenario`] to say; here only
//! counts and times are ([`figures`]).
//!
//! Deliberately absent: digest, Record-Route, checks of what the server says or sends as media.

mod call;
pub mod figures;
mod links;
mod process;
mod reply;
mod sound;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use crate::client::token;
use crate::error::Error;
use crate::g711::Codec;
use crate::limits::{CALLS_AT_ONCE_MAX, FINAL_RESPONSE_MAX, T2};
use crate::sdp::{Offer, Security};
use crate::transport::{Identity, Transport};
use call::{Call, Dialled, Phase};
use figures::{Figures, Tally};
use links::{Arrival, Links};
use process::Process;
use reply::Reply;
use sound::{Packets, Port};

/// How often the clock is looked at. Packets of a call leave every 20 ms, those of all calls spread over the time.
const TICK: Duration = Duration::from_millis(2);
/// Time of a packet.
const PTIME: Duration = Duration::from_millis(20);
/// After the last call is answered, until every greeting is skipped.
const SETTLING: Duration = Duration::from_secs(3);

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server.
    pub address: SocketAddr,
    /// How to reach it.
    pub transport: Transport,
    /// The Request-URI.
    pub uri: String,
    /// Certificates and CA; no credentials.
    pub identity: Identity,
    /// Calls in all.
    pub calls: usize,
    /// Calls at once.
    pub at_once: usize,
    /// Calls placed a second at most; none: as fast as calls end.
    pub rate: Option<f64>,
    /// How long each call is spoken into, from its answer on; zero: BYE at once, and no media.
    pub stay: Duration,
    /// Connections (UDP: sockets) that the calls share.
    pub connections: usize,
    /// SRTP in one suite, or plain RTP.
    pub security: Security,
    /// The server's process, if it runs here: its processor time and memory are measured.
    pub server_pid: Option<u32>,
}

/// Places the calls, and says what came of them.
pub async fn run(plan: &Plan) -> Result<Figures, Error> {
    if plan.at_once == 0 || plan.at_once > CALLS_AT_ONCE_MAX {
        return Err(Error::Plan(format!("1 to {CALLS_AT_ONCE_MAX} calls at once")));
    }
    let mut crowd = Crowd::new(plan).await?;
    let mut clock = interval(TICK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while !crowd.is_over() {
        tokio::select! {
            arrival = crowd.links.next() => crowd.arrived(&arrival)?,
            _ = clock.tick() => crowd.tick()?,
        }
        crowd.place()?;
    }
    Ok(crowd.tally.figures(plan))
}

struct Crowd<'a> {
    plan: &'a Plan,
    dialled: Dialled,
    links: Links,
    offer: Offer,
    /// What is said, and where the calls listen that say nothing.
    packets: Packets,
    idle: Port,
    live: BTreeMap<usize, Call>,
    placed: usize,
    began: Instant,
    tally: Tally,
}

impl<'a> Crowd<'a> {
    async fn new(plan: &'a Plan) -> Result<Self, Error> {
        let links =
            Links::open(plan.transport, plan.address, &plan.identity, plan.connections).await?;
        let idle = Port::bind(links.local(0).ip())?;
        let offer = Offer::new(idle.local, &plan.security, &[Codec::Pcmu], 1)?;
        let packets = Packets::new(plan.stay, &offer)?;
        let process = plan.server_pid.map(Process::of).transpose()?;
        Ok(Self {
            plan,
            dialled: Dialled { uri: plan.uri.clone(), run: token()?, transport: plan.transport },
            links,
            offer,
            packets,
            idle,
            live: BTreeMap::new(),
            placed: 0,
            began: Instant::now(),
            tally: Tally::new(process),
        })
    }

    fn is_over(&self) -> bool {
        self.placed == self.plan.calls && self.live.is_empty()
    }

    /// Places the calls that are due.
    fn place(&mut self) -> Result<(), Error> {
        let due = match self.plan.rate {
            // The first at once.
            Some(rate) => (self.began.elapsed().as_secs_f64() * rate) as usize + 1,
            None => usize::MAX,
        };
        while self.placed < self.plan.calls.min(due) && self.live.len() < self.plan.at_once {
            let number = self.placed;
            let link = number % self.links.count();
            let port = match self.plan.stay.is_zero() {
                true => None,
                false => Some(Port::bind(self.idle.local.ip())?),
            };
            self.offer.local = port.as_ref().map_or(self.idle.local, |port| port.local);
            let local = (self.links.local(link), self.plan.transport);
            let mut call = Call::new(number, link, local, port, Instant::now());
            call.last = call.invite(&self.dialled, &self.offer.text());
            self.links.send(link, &call.last)?;
            self.live.insert(number, call);
            self.placed += 1;
            self.tally.placed(self.live.len());
        }
        Ok(())
    }

    fn arrived(&mut self, arrival: &Arrival) -> Result<(), Error> {
        let (link, bytes) = match arrival {
            Arrival::Message(link, bytes) => (link, bytes),
            Arrival::Lost(what) => return Err(Error::ConnectionLost(what.clone())),
        };
        let Some(reply) = Reply::read(bytes) else { return Ok(()) };
        if let Some(method) = reply.method {
            if method != "ACK" {
                self.links.send(*link, &reply.accept())?;
            }
            // The server ends a call that we would have ended.
            if method == "BYE" && self.live.remove(&reply.call).is_some() {
                self.tally.failed("ended by the server");
            }
            return Ok(());
        }
        let Some(call) = self.live.get_mut(&reply.call) else { return Ok(()) };
        let now = Instant::now();
        match (reply.cseq_method, reply.status, call.phase) {
            (_, 100..200, Phase::Inviting) => call.repeat_at = None,
            ("INVITE", 200..300, Phase::Inviting) => {
                self.tally.answered(now - call.began);
                call.answered(&reply, now);
                let ack = call.ack(&self.dialled);
                self.links.send(call.link, &ack)?;
                if let Some(port) = &call.port {
                    port.connect(self.offer.read_answer(reply.body)?.rtp)?;
                }
                if self.plan.stay.is_zero() {
                    self.leave(reply.call)?;
                }
            }
            // RFC 3261 §13.2.2.4: a 2xx that comes again wants its ACK again.
            ("INVITE", 200..300, _) => {
                let ack = call.ack(&self.dialled);
                self.links.send(call.link, &ack)?;
            }
            ("INVITE", status @ 300.., Phase::Inviting) => {
                let ack = call.refused(&self.dialled, &reply);
                self.links.send(call.link, &ack)?;
                self.tally.refused(status, now - call.began);
                self.live.remove(&reply.call);
            }
            ("BYE", 200.., Phase::Leaving) => {
                self.live.remove(&reply.call);
                self.tally.completed();
            }
            _ => {}
        }
        Ok(())
    }

    fn leave(&mut self, number: usize) -> Result<(), Error> {
        let Some(call) = self.live.get_mut(&number) else { return Ok(()) };
        let bye = call.leave(&self.dialled, Instant::now());
        self.links.send(call.link, &bye)?;
        call.last = bye;
        Ok(())
    }

    /// Says what is due, repeats what was not answered, ends calls.
    fn tick(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        let mut over = Vec::new();
        for (number, call) in &mut self.live {
            match call.phase {
                Phase::Talking { since } => {
                    self.tally.packets(call.speak(&self.packets, now - since));
                    if now - since >= self.plan.stay {
                        over.push(*number);
                    }
                }
                Phase::Inviting | Phase::Leaving => {
                    if now - call.asked > FINAL_RESPONSE_MAX {
                        over.push(*number);
                    } else if call.repeat_at.is_some_and(|at| now >= at) {
                        // RFC 3261 §17.1.1.2, §17.1.2.2: on UDP only.
                        call.repeat_after = (call.repeat_after * 2).min(T2);
                        call.repeat_at = Some(now + call.repeat_after);
                        self.links.send(call.link, &call.last)?;
                        self.tally.repeated();
                    }
                }
            }
        }
        for number in over {
            match self.live.get(&number).map(|call| call.phase) {
                Some(Phase::Talking { .. }) => self.leave(number)?,
                _ => {
                    self.live.remove(&number);
                    self.tally.failed("no answer");
                }
            }
        }
        let talking = |call: &Call| matches!(call.phase, Phase::Talking { .. });
        if self.placed == self.plan.calls
            && self.tally.has_ended_none()
            && self.live.values().all(talking)
        {
            self.tally.all_talking(now, self.live.len())?;
        }
        Ok(())
    }
}
