//! Registration with a PBX as one of its extensions (RFC 3261 §10.2, RFC 5626 §4.2): a user agent
//! that asks to be called, keeps that up, and gives it back at the end.
//!
//! Time and what became of its requests come in; requests, questions and news come out. It never
//! has two requests under way (RFC 3261 §10.2), and after a failure it waits longer each time
//! (RFC 5626 §4.5): a PBX that restarts meets no storm.

mod binding;
#[cfg(test)]
mod tests;

use crate::auth::{Algorithm, Credentials, DigestClient, Unanswerable};
use crate::invite::OwnedUri;
use crate::limits;
use crate::outgoing::{Destination, Outgoing, OwnContact, Response, Undelivered};
use crate::resolution::Target;
use crate::transport::{ConnectionId, Flow, Transport};
use binding::{flow_timer, granted, min_expires};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

/// What to register, where, and as whom.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// The address of record, `sip:EXTENSION@DOMAIN`: From, To, and the domain of the Request-URI.
    pub address_of_record: OwnedUri,
    /// Where the registrar, or an outbound proxy before it, is found.
    pub target: Target,
    /// The outbound proxy, as a Route value.
    pub route: Option<String>,
    /// Who we are to the registrar.
    pub credentials: Credentials,
    /// The user part of the Contact: what calls are sent to.
    pub contact_user: String,
    /// How long a registration is to last.
    pub expires: Duration,
    /// How often a connection is asked whether it is still there.
    pub keep_alive: Duration,
    /// Whether MD5 is answered where the PBX offers nothing better: over TLS, and nowhere else.
    pub allow_md5: bool,
    /// Stands for this server, the same across restarts (RFC 5626 §4.1): `urn:uuid:...`.
    pub instance: String,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("expires", &self.expires)
            .field("allow_md5", &self.allow_md5)
            .finish_non_exhaustive()
    }
}

/// What a registration asks for.
#[derive(Debug)]
pub enum Action {
    /// Find out where this leads, and say [`Registration::located`].
    Locate(Target),
    /// Send this, and say what became of it.
    Send(Box<Outgoing>),
    /// Calls come by this connection: keep it.
    KeepAlive {
        /// Which.
        connection: ConnectionId,
        /// How often to ask.
        every: Duration,
        /// Whether the peer is known to answer.
        answers: bool,
    },
    /// This connection is no longer needed.
    LetGo(ConnectionId),
    /// Something to be told to the operator.
    News(News),
}

/// What became of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Calls can come. Said once, not at each refresh.
    Registered {
        /// For how long, until it is refreshed.
        expires: Duration,
        /// Whether the PBX had nothing better than MD5.
        is_weak: bool,
    },
    /// It did not work out, and will be tried again.
    Failed {
        /// Why.
        failure: Failure,
        /// When.
        again_in: Duration,
    },
    /// The registration has run out, or its connection is gone: no calls can come.
    Lost,
    /// It was given back.
    Ended,
}

/// Why a registration failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Failure {
    /// The name of the registrar leads nowhere.
    Unresolved,
    /// No registrar answered.
    Unanswered(Undelivered),
    /// The challenge was not answered, or in vain.
    Challenge(Unanswerable),
    /// The registrar refused, with this status.
    Refused(u16),
    /// The registrar said 200 and has not bound us.
    NotBound,
}

impl Failure {
    /// Whether somebody must do something about it before it can work.
    pub fn needs_a_person(self) -> bool {
        match self {
            Failure::Challenge(_) | Failure::NotBound => true,
            Failure::Refused(status) => !matches!(status, 408 | 480 | 500..=599),
            Failure::Unresolved | Failure::Unanswered(_) => false,
        }
    }
}

/// One registration.
pub struct Registration {
    settings: Settings,
    digest: DigestClient,
    rng: ChaCha20Rng,
    state: State,
    binding: Option<Binding>,
    destinations: Vec<Destination>,
    /// What we ask for: the registrar may insist on more.
    expires: Duration,
    call_id: String,
    cseq: u32,
    /// Failures since it last worked for a while.
    failures: u32,
    /// How often this request was sent with a longer interval.
    extended: u32,
    is_stopping: bool,
    actions: VecDeque<Action>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waiting for the next try, or the next refresh.
    Waiting { until: Instant },
    /// The registrar is being looked for.
    Locating { until: Instant },
    /// A request is under way: for a registration, or to give it back.
    Asking { gives_back: bool },
    /// Nothing is left to do.
    Over,
}

/// What the registrar has of us.
struct Binding {
    since: Instant,
    until: Instant,
    flow: Flow,
}

impl Registration {
    /// A registration that begins when [`Registration::handle_timeout`] is called next. The seed
    /// must be fresh and secret.
    pub fn new(now: Instant, settings: Settings, seed: [u8; 32]) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let mut call_id = [0; 16];
        rng.fill_bytes(&mut call_id);
        Registration {
            digest: DigestClient::new(settings.credentials.clone()),
            expires: settings.expires,
            settings,
            rng,
            state: State::Waiting { until: now },
            binding: None,
            destinations: Vec::new(),
            call_id: hex::encode(call_id),
            cseq: 0,
            failures: 0,
            extended: 0,
            is_stopping: false,
            actions: VecDeque::new(),
        }
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`Registration::handle_timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        let next = match self.state {
            State::Waiting { until } | State::Locating { until } => Some(until),
            State::Asking { .. } | State::Over => None,
        };
        next.into_iter().chain(self.binding.as_ref().map(|b| b.until)).min()
    }

    /// Whether calls can come.
    pub fn is_registered(&self) -> bool {
        self.binding.is_some()
    }

    /// Whether nothing is left to do, after [`Registration::stop`].
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether the PBX made us use MD5.
    pub fn is_weak(&self) -> bool {
        self.digest.is_weak()
    }

    /// The connection that calls come by.
    pub fn connection(&self) -> Option<ConnectionId> {
        self.binding.as_ref()?.flow.connection
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.binding.as_ref().is_some_and(|binding| now >= binding.until) {
            self.lose();
        }
        match self.state {
            State::Waiting { until } if now >= until => {
                let until = now + limits::LOCATE_TIMEOUT;
                self.state = State::Locating { until };
                self.actions.push_back(Action::Locate(self.settings.target.clone()));
            }
            State::Locating { until } if now >= until => self.fail(now, Failure::Unresolved, None),
            State::Waiting { .. } | State::Locating { .. } | State::Asking { .. } | State::Over => {
            }
        }
    }

    /// Where the registrar is.
    pub fn located(&mut self, now: Instant, mut destinations: Vec<Destination>) {
        if !matches!(self.state, State::Locating { .. }) {
            return;
        }
        if destinations.is_empty() {
            return self.fail(now, Failure::Unresolved, None);
        }
        // The registrar that has us is asked first, wherever it stands in the list.
        if let Some(binding) = &self.binding {
            destinations.sort_by_key(|d| d.remote != binding.flow.remote);
        }
        self.destinations = destinations;
        self.digest.begin();
        self.extended = 0;
        self.ask();
    }

    /// The request was answered.
    pub fn answered(&mut self, now: Instant, response: &Response) {
        let State::Asking { gives_back } = self.state else { return };
        match response.status {
            200..=299 if gives_back => self.end(),
            200..=299 => self.succeeded(now, response),
            401 | 407 => self.challenged(now, response),
            // RFC 3261 §10.2.8.
            423 if !gives_back && self.extended < limits::MAX_EXTENDED => {
                match min_expires(&response.headers).filter(|min| *min > self.expires) {
                    Some(min) => {
                        self.expires = min;
                        self.extended += 1;
                        self.ask();
                    }
                    None => self.fail(now, Failure::Refused(423), None),
                }
            }
            status => self.fail(now, Failure::Refused(status), response.retry_after()),
        }
    }

    /// No destination has answered the request.
    pub fn unanswered(&mut self, now: Instant, why: Undelivered) {
        if let State::Asking { .. } = self.state {
            self.fail(now, Failure::Unanswered(why), None);
        }
    }

    /// A connection has closed. If it was ours, another one is wanted soon.
    pub fn connection_lost(&mut self, now: Instant, connection: ConnectionId) {
        let Some(binding) = &self.binding else { return };
        if binding.flow.connection != Some(connection) {
            return;
        }
        let was_stable = now >= binding.since + limits::STABLE_AFTER;
        self.lose();
        if let State::Waiting { .. } = self.state {
            // RFC 5626 §4.5: one that broke at once counts as a failure.
            let wait = if was_stable {
                self.failures = 0;
                limits::FLOW_RETRY.mul_f64(self.share())
            } else {
                self.back_off(limits::RETRY_BASE, limits::RETRY_MAX)
            };
            self.state = State::Waiting { until: now + wait };
        }
    }

    /// Gives the registration back (RFC 3261 §10.2.2).
    pub fn stop(&mut self) {
        if std::mem::replace(&mut self.is_stopping, true) {
            return;
        }
        match self.state {
            // The answer comes first (RFC 3261 §10.2).
            State::Asking { .. } | State::Over => {}
            State::Waiting { .. } | State::Locating { .. } => self.give_back(),
        }
    }

    fn give_back(&mut self) {
        if self.binding.is_none() {
            return self.end();
        }
        self.digest.begin();
        self.ask();
    }

    fn end(&mut self) {
        self.state = State::Over;
        if let Some(binding) = self.binding.take()
            && let Some(connection) = binding.flow.connection
        {
            self.actions.push_back(Action::LetGo(connection));
        }
        self.actions.push_back(Action::News(News::Ended));
    }

    fn ask(&mut self) {
        let gives_back = self.is_stopping;
        self.state = State::Asking { gives_back };
        self.cseq += 1;
        let aor = &self.settings.address_of_record;
        let host = aor.host();
        let uri = if host.contains(':') { format!("sip:[{host}]") } else { format!("sip:{host}") };
        let address = format!("<{}>", aor.text());
        let mut outgoing = Outgoing::new(
            "REGISTER",
            uri.clone(),
            address.clone(),
            address,
            self.destinations.clone(),
        );
        let expires = if gives_back { 0 } else { self.expires.as_secs() };
        outgoing.call_id = Some(self.call_id.clone().into_bytes());
        outgoing.cseq = Some(self.cseq);
        outgoing.route = self.settings.route.iter().map(|r| r.clone().into_bytes()).collect();
        // RFC 5626 §4.2.1. Who knows nothing of it passes over what it does not know.
        let instance = &self.settings.instance;
        outgoing.contact = Some(OwnContact {
            user: self.settings.contact_user.clone(),
            uri_params: String::new(),
            params: format!(";expires={expires};+sip.instance=\"<{instance}>\";reg-id=1"),
        });
        outgoing.headers.push(("Expires".to_owned(), expires.to_string()));
        outgoing.headers.push(("Supported".to_owned(), "path, outbound".to_owned()));
        let mut cnonce = [0; 16];
        self.rng.fill_bytes(&mut cnonce);
        outgoing.headers.extend(self.digest.fields("REGISTER", &uri, cnonce));
        self.actions.push_back(Action::Send(Box::new(outgoing)));
    }

    fn challenged(&mut self, now: Instant, response: &Response) {
        const STRONG: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512_256];
        const ALL: [Algorithm; 3] = [Algorithm::Sha256, Algorithm::Sha512_256, Algorithm::Md5];
        // MD5 only inside of TLS: there nobody else sees what could be guessed at.
        let may_be_weak = self.settings.allow_md5 && response.flow.transport == Transport::Tls;
        let allowed = if may_be_weak { &ALL[..] } else { &STRONG[..] };
        match self.digest.challenged(&response.headers, allowed) {
            Ok(()) => {
                // The credentials are for who asked, not for the next one in the list.
                self.destinations.sort_by_key(|d| d.remote != response.flow.remote);
                self.ask();
            }
            Err(why) => self.fail(now, Failure::Challenge(why), None),
        }
    }

    fn succeeded(&mut self, now: Instant, response: &Response) {
        self.digest.accepted(&response.headers);
        let (user, instance) = (&self.settings.contact_user, &self.settings.instance);
        let Some(granted) = granted(&response.headers, user, instance, self.expires) else {
            return self.fail(now, Failure::NotBound, None);
        };
        let before = self.binding.take();
        if let Some(old) = before.as_ref().and_then(|b| b.flow.connection)
            && response.flow.connection != Some(old)
        {
            self.actions.push_back(Action::LetGo(old));
        }
        let since = before.as_ref().map_or(now, |b| b.since);
        if before.is_none() {
            let is_weak = self.digest.is_weak();
            self.actions.push_back(Action::News(News::Registered { expires: granted, is_weak }));
        } else if now >= since + limits::STABLE_AFTER {
            self.failures = 0;
        }
        self.binding = Some(Binding { since, until: now + granted, flow: response.flow });
        if self.is_stopping {
            return self.give_back();
        }
        self.state = State::Waiting { until: now + self.refresh_in(granted) };
        if let Some(connection) = response.flow.connection {
            let timer = flow_timer(&response.headers);
            let every = timer.map_or(self.settings.keep_alive, |t| t.min(self.settings.keep_alive));
            self.actions.push_back(Action::KeepAlive {
                connection,
                every,
                answers: timer.is_some(),
            });
        }
    }

    fn fail(&mut self, now: Instant, failure: Failure, retry_after: Option<Duration>) {
        match self.state {
            State::Asking { gives_back: true } => return self.end(),
            _ if self.is_stopping => return self.give_back(),
            _ => {}
        }
        let (base, max) = if failure.needs_a_person() {
            (limits::REFUSED_RETRY_BASE, limits::REFUSED_RETRY_MAX)
        } else {
            (limits::RETRY_BASE, limits::RETRY_MAX)
        };
        let wait = self.back_off(base, max).max(retry_after.unwrap_or_default());
        self.state = State::Waiting { until: now + wait };
        self.actions.push_back(Action::News(News::Failed { failure, again_in: wait }));
    }

    fn lose(&mut self) {
        if let Some(binding) = self.binding.take() {
            if let Some(connection) = binding.flow.connection {
                self.actions.push_back(Action::LetGo(connection));
            }
            self.actions.push_back(Action::News(News::Lost));
        }
    }

    /// Early enough that another registrar can be tried before the time is over.
    fn refresh_in(&mut self, granted: Duration) -> Duration {
        let margin = (granted / 5).max(limits::REFRESH_MARGIN).min(granted / 2);
        (granted - margin).mul_f64(0.9 + 0.1 * self.share())
    }

    /// RFC 5626 §4.5: twice as long each time, up to a limit, and a random half of it.
    fn back_off(&mut self, base: Duration, max: Duration) -> Duration {
        let upper = base.saturating_mul(1 << self.failures.min(16)).min(max);
        self.failures = self.failures.saturating_add(1);
        upper.mul_f64(0.5 + 0.5 * self.share())
    }

    /// A random number from 0 to 1.
    fn share(&mut self) -> f64 {
        f64::from(self.rng.next_u32()) / f64::from(u32::MAX)
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registration({:?}, {} failures)", self.state, self.failures)
    }
}
