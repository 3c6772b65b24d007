//! A whole server under virtual time: one thread, no socket, no clock, no file.
//!
//! The parts are those of production: [`Signalling`](hushbox_call::Signalling) with its SIP endpoint, a
//! [`Call`](hushbox_call::Call) for each call, the spool on a disk that forgets, deliveries, the audit log, the lock-out
//! counters, PINs compared by Argon2id. Only the shell between them is this module's: a queue of what happens when.
//! Callers and lamps write their own SIP, and callers have an SRTP of their own (`webrtc-srtp`), so both ends cannot
//! share a mistake.

mod agenda;
pub mod caller;
pub mod installation;
pub mod lamp;
pub mod prompts;
pub mod server;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hushbox_call::CallReport;
use hushbox_call::signalling::Peer;
use hushbox_policy::Now;
use hushbox_sip::Transport;
use hushbox_store::Directory;
use hushbox_store::model::Entity;

pub use agenda::{Agenda, Happening, Link};
use caller::Caller;
use installation::Installation;
use lamp::{Lamp, LampId};
use server::Server;

/// How long a packet is on its way, in either direction.
const LINK_DELAY: Duration = Duration::from_millis(1);
/// How long the disk takes to sync the spool.
pub const SYNC_DELAY: Duration = Duration::from_millis(5);
/// How long the audit log takes.
const AUDIT_DELAY: Duration = Duration::from_millis(3);
/// How long index, objects and keys take.
const STORE_DELAY: Duration = Duration::from_millis(2);
/// How long a PIN takes to compare.
const PIN_DELAY: Duration = Duration::from_millis(40);

/// Which caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallerId(pub usize);

/// A server, its callers, and what is on its way between them.
pub struct World {
    now: Now,
    start: Instant,
    agenda: Agenda,
    callers: Vec<Caller>,
    lamps: Vec<Lamp>,
    /// The server.
    pub server: Server,
    transcript: String,
}

impl World {
    /// A server on a fresh installation.
    pub fn new() -> Self {
        Self::on(Installation::new())
    }

    /// A server on an installation that was made before, perhaps with messages on its disks.
    pub fn on(installation: Installation) -> Self {
        let now = Now { monotonic: Instant::now(), utc: installation.utc };
        Self::at(now, installation)
    }

    fn at(now: Now, installation: Installation) -> Self {
        let server = Server::start(now, installation);
        let transcript = String::new();
        let mut world = Self {
            now,
            start: now.monotonic,
            agenda: Agenda::default(),
            callers: Vec::new(),
            lamps: Vec::new(),
            server,
            transcript,
        };
        world.server.recover(world.now, &mut world.agenda);
        world
    }

    /// Now.
    pub fn now(&self) -> Now {
        self.now
    }

    /// From here on the link of media is as bad as this.
    pub fn set_link(&mut self, link: Link) {
        self.agenda.link = link;
    }

    /// From here on the link of lamps is as bad as this.
    pub fn set_lamp_link(&mut self, link: Link) {
        self.agenda.lamp_link = link;
    }

    /// A caller with a connection, and whom its certificate stands for.
    pub fn connect(&mut self, transport: Transport, peer: Peer) -> CallerId {
        let id = CallerId(self.callers.len());
        let caller = Caller::new(id, transport);
        self.server.connected(self.now, caller.flow(), peer);
        self.callers.push(caller);
        id
    }

    /// A lamp for the messages of this address, whose subscriptions last so long.
    pub fn add_lamp(&mut self, account: &str, expires: Duration) -> LampId {
        let id = LampId(self.lamps.len());
        self.lamps.push(Lamp::new(id, account, expires));
        id
    }

    /// A lamp.
    pub fn lamp(&mut self, id: LampId) -> &mut Lamp {
        &mut self.lamps[id.0]
    }

    /// Lets a lamp do something now.
    pub fn with_lamp(&mut self, id: LampId, act: impl FnOnce(&mut Lamp, Instant, &mut Agenda)) {
        act(&mut self.lamps[id.0], self.now.monotonic, &mut self.agenda);
    }

    /// A caller.
    pub fn caller(&mut self, id: CallerId) -> &mut Caller {
        &mut self.callers[id.0]
    }

    /// Lets a caller do something now.
    pub fn with<T>(
        &mut self,
        id: CallerId,
        act: impl FnOnce(&mut Caller, Instant, &mut Agenda) -> T,
    ) -> T {
        let done = act(&mut self.callers[id.0], self.now.monotonic, &mut self.agenda);
        self.note_callers();
        done
    }

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let until = self.now.monotonic + duration;
        while self.step(until) {}
    }

    /// Lets time pass until something is so, or panics after `at_most`.
    pub fn run_until(&mut self, what: &str, at_most: Duration, so: impl Fn(&mut Self) -> bool) {
        let until = self.now.monotonic + at_most;
        while !so(self) {
            assert!(
                self.step(until) && self.now.monotonic < until,
                "not within {at_most:?}: {what}\n{}",
                self.transcript
            );
        }
    }

    /// What happened so far, with simulated times.
    pub fn transcript(&self) -> &str {
        &self.transcript
    }

    /// The reports of calls that have ended.
    pub fn reports(&self) -> &[CallReport] {
        self.server.reports()
    }

    /// Somebody changes the directory: what `keep` says no to is gone.
    pub fn change_directory(&mut self, keep: impl Fn(&Entity) -> bool) {
        let entities =
            self.server.installation().directory.entities().filter(|e| keep(e)).collect::<Vec<_>>();
        let directory = Directory::of(entities).expect("a directory");
        self.server.set_directory(self.now, directory, &mut self.agenda);
    }

    /// One caller goes on with the dialog of another, from elsewhere.
    pub fn take_over(&mut self, to: CallerId, from: CallerId) {
        let [to, from] =
            self.callers.get_disjoint_mut([to.0, from.0]).expect("two different callers");
        to.take_over(from);
    }

    /// The operator stops the server.
    pub fn shut_down(&mut self) {
        self.server.shut_down(self.now, &mut self.agenda);
    }

    /// A caller's connection breaks.
    pub fn disconnect(&mut self, id: CallerId) {
        let flow = self.callers[id.0].flow();
        self.server.disconnect(self.now, flow, &mut self.agenda);
    }

    /// A stranger sends bytes to the lab listener, and opens a connection to send them there too.
    pub fn garbage(&mut self, bytes: &[u8]) {
        for transport in [Transport::Udp, Transport::Tcp] {
            let stranger = self.connect(transport, Peer::Nobody);
            let flow = self.callers[stranger.0].flow();
            self.server.sip(self.now, flow, bytes, &mut self.agenda);
            self.server.disconnect(self.now, flow, &mut self.agenda);
        }
    }

    /// Somebody else sends a packet to the server's media port of its only call.
    pub fn inject(&mut self, from: SocketAddr, bytes: &[u8]) {
        let port = self.server.port().expect("a call");
        self.server.media(self.now, from, port, bytes, &mut self.agenda);
    }

    /// The machine dies. What its disk had not synced is lost as `seed` says; connections are gone.
    pub fn crash(self, seed: u64) -> Installation {
        let mut installation = self.server.into_installation();
        installation.utc = self.now.utc;
        installation.spool.crash(seed);
        installation
    }

    /// The machine dies, and a server is started again at once. Lamps know nothing of it; callers are gone.
    pub fn restart(mut self, seed: u64) -> Self {
        let (now, link, lamp_link) = (self.now, self.agenda.link, self.agenda.lamp_link);
        let lamps = std::mem::take(&mut self.lamps);
        let history = std::mem::take(&mut self.server.history);
        let mut world = Self::at(now, self.crash(seed));
        world.agenda.link = link;
        world.agenda.lamp_link = lamp_link;
        world.lamps = lamps;
        world.server.history.splice(..0, history);
        world
    }

    /// Goes to the next moment at which something happens. False when that is after `until`.
    fn step(&mut self, until: Instant) -> bool {
        let next = [
            self.agenda.first(),
            self.server.deadline(),
            self.callers.iter().filter_map(Caller::deadline).min(),
            self.lamps.iter().filter_map(Lamp::deadline).min(),
        ];
        let next = next.into_iter().flatten().min().filter(|next| *next <= until);
        let to = next.unwrap_or(until).max(self.now.monotonic);
        let passed = to - self.now.monotonic;
        self.now.utc = self.now.utc.checked_add(passed).expect("a time");
        self.now.monotonic = to;
        if next.is_none() {
            return false;
        }
        self.server.timeout(self.now, &mut self.agenda);
        for caller in &mut self.callers {
            caller.timeout(self.now.monotonic, &mut self.agenda);
        }
        for lamp in &mut self.lamps {
            lamp.timeout(self.now.monotonic, &mut self.agenda);
        }
        while let Some(what) = self.agenda.take(self.now.monotonic) {
            self.happen(what);
        }
        self.note_callers();
        true
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::SipToServer(caller, bytes) => {
                let flow = self.callers[caller.0].flow();
                self.server.sip(self.now, flow, &bytes, &mut self.agenda);
            }
            Happening::SipToCaller(caller, bytes) => {
                self.callers[caller.0].sip(self.now.monotonic, &bytes, &mut self.agenda);
            }
            Happening::LampToServer(lamp, bytes) => {
                let flow = self.lamps[lamp.0].flow();
                self.server.sip(self.now, flow, &bytes, &mut self.agenda);
            }
            Happening::ServerToLamp(lamp, bytes) => {
                self.lamps[lamp.0].sip(self.now.monotonic, &bytes, &mut self.agenda);
            }
            Happening::MediaToServer { from, port, bytes } => {
                self.server.media(self.now, from, port, &bytes, &mut self.agenda);
            }
            Happening::MediaToCaller { to, bytes } => {
                if let Some(caller) = self.callers.iter_mut().find(|c| c.has_port(to)) {
                    caller.media(to, &bytes);
                }
            }
            Happening::Server(reply) => self.server.reply(self.now, reply, &mut self.agenda),
        }
    }

    /// Writes what callers and server have noted into the transcript, in order.
    fn note_callers(&mut self) {
        let at = self.now.monotonic.duration_since(self.start);
        let at = format!("{:>5}.{:03}", at.as_secs(), at.subsec_millis());
        for caller in &mut self.callers {
            for line in caller.take_notes() {
                let _ = writeln!(self.transcript, "{at}  {line}");
            }
        }
        for line in self.server.take_notes() {
            let _ = writeln!(self.transcript, "{at}  {line}");
        }
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}
