//! A telephone with a script: it registers to the PBX over TLS, and then does one thing with every call.

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use hushbox_load::client::token;
use hushbox_load::digest::{answered_in, authorization, challenges};
use hushbox_load::message::{Message, Request, Response, Writer, parameter};
use hushbox_load::transport::{Connection, Identity, Transport};
use tokio::sync::oneshot;

use crate::kamailio::{DOMAIN, Kamailio};

/// How long anything may take.
const WITHIN: Duration = Duration::from_secs(20);

/// What it does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Answers 486.
    IsBusy,
    /// Rings until it is cancelled.
    RingsOn,
}

/// What happened to it.
#[derive(Debug)]
pub(crate) enum Event {
    Registered,
    Called {
        headers: String,
    },
    Cancelled,
    /// The answer to its SUBSCRIBE.
    Subscribed {
        status: u16,
    },
    /// The body of a NOTIFY and its Subscription-State.
    Notified {
        summary: String,
        state: String,
    },
}

/// A telephone that is registered.
pub(crate) struct Phone {
    events: mpsc::Receiver<Event>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Phone {
    /// Registers this extension.
    pub(crate) fn start(kamailio: &Kamailio, extension: &str, habit: Habit) -> Self {
        Self::watching(kamailio, extension, habit, None)
    }

    /// Registers this extension, and asks for the messages of `watched`.
    pub(crate) fn watching(
        kamailio: &Kamailio,
        extension: &str,
        habit: Habit,
        watched: Option<&str>,
    ) -> Self {
        let watched = watched.map(str::to_owned);
        let (sender, events) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let (server, identity) = (kamailio.phones, kamailio.identity(extension));
        let extension = extension.to_owned();
        let thread = std::thread::spawn(move || {
            hushbox_tests::calls::run(async {
                let connection = Connection::open(Transport::Tls, server, &identity).await;
                let line = Line {
                    connection: connection.expect("the PBX"),
                    identity,
                    extension,
                    habit,
                    sender,
                    ringing: None,
                };
                tokio::select! {
                    () = line.live(watched) => {}
                    _ = stopped => {}
                }
            });
        });
        let phone = Self { events, stop: Some(stop), thread: Some(thread) };
        phone.wait(|event| matches!(event, Event::Registered).then_some(()));
        phone
    }

    /// Waits for what this picks; what comes before is passed over.
    pub(crate) fn wait<T>(&self, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        loop {
            let event = self.events.recv_timeout(WITHIN).expect("the phone was told so in time");
            if let Some(found) = pick(event) {
                return found;
            }
        }
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Line {
    connection: Connection,
    identity: Identity,
    extension: String,
    habit: Habit,
    sender: mpsc::Sender<Event>,
    ringing: Option<Request>,
}

impl Line {
    async fn live(mut self, watched: Option<String>) {
        let registered = self.transact("REGISTER", &format!("sip:{DOMAIN}"), &[]).await;
        assert_eq!(registered, 200, "it registers");
        self.tell(Event::Registered);
        if let Some(watched) = watched {
            let more = [("Event", "message-summary"), ("Expires", "600")];
            let status =
                self.transact("SUBSCRIBE", &format!("sip:{watched}@{DOMAIN}"), &more).await;
            self.tell(Event::Subscribed { status });
        }
        loop {
            match self.connection.receive().await {
                Ok(Message::Request(request)) => self.serve(request).await,
                Ok(Message::Response(_)) => {}
                Err(_) => return,
            }
        }
    }

    /// Sends a request, answers a challenge once, and gives the final status; serves what comes meanwhile.
    async fn transact(&mut self, method: &str, uri: &str, more: &[(&str, &str)]) -> u16 {
        let (call_id, tag) = (token().expect("random"), token().expect("random"));
        let mut credentials: Option<(&str, String)> = None;
        for cseq in 1..=2 {
            let (user, local) = (&self.extension, self.connection.local);
            let branch = token().expect("random");
            let mut writer = Writer::new(&format!("{method} {uri} SIP/2.0"))
                .header("Via", &format!("SIP/2.0/TLS {local};branch=z9hG4bK{branch};rport"))
                .header("Max-Forwards", "70")
                .header("From", &format!("<sip:{user}@{DOMAIN}>;tag={tag}"))
                .header("To", &format!("<sip:{user}@{DOMAIN}>"))
                .header("Call-ID", &call_id)
                .header("CSeq", &format!("{cseq} {method}"))
                // Nobody could reach this address: it is the connection that counts.
                .header("Contact", &format!("<sip:{user}@192.0.2.1:5061;transport=tls>"));
            for (name, value) in more {
                writer = writer.header(name, value);
            }
            if let Some((name, value)) = &credentials {
                writer = writer.header(name, value);
            }
            self.connection.send(&writer.end()).await.expect("sent");
            let response = self.response(cseq, method).await;
            let Some(header) = answered_in(response.status).filter(|_| cseq == 1) else {
                return response.status;
            };
            let secret = self.identity.credentials.as_ref().expect("a password");
            let asked = challenges(&response.headers);
            let value = authorization(secret, &asked, method, uri, &token().expect("random"));
            credentials = Some((header, value.expect("an answer")));
        }
        unreachable!("the second answer is final");
    }

    async fn response(&mut self, cseq: u32, method: &str) -> Response {
        loop {
            match self.connection.receive().await.expect("the connection stands") {
                Message::Response(r)
                    if r.status >= 200 && r.headers.cseq() == Some((cseq, method)) =>
                {
                    return r;
                }
                Message::Response(_) => {}
                Message::Request(request) => self.serve(request).await,
            }
        }
    }

    async fn serve(&mut self, request: Request) {
        let header = |name: &str| request.headers.first(name).unwrap_or_default().to_owned();
        match (request.method.as_str(), self.habit) {
            ("INVITE", habit) => {
                let names = ["P-Asserted-Identity", "Remote-Party-ID", "Diversion", "History-Info"];
                let headers = names.map(header).concat();
                self.tell(Event::Called { headers });
                match habit {
                    Habit::IsBusy => self.answer(&request, "486 Busy Here").await,
                    Habit::RingsOn => {
                        self.answer(&request, "180 Ringing").await;
                        self.ringing = Some(request);
                    }
                }
            }
            ("CANCEL", _) => {
                self.answer(&request, "200 OK").await;
                if let Some(invite) = self.ringing.take() {
                    self.answer(&invite, "487 Request Terminated").await;
                }
                self.tell(Event::Cancelled);
            }
            ("NOTIFY", _) => {
                self.answer(&request, "200 OK").await;
                let summary = String::from_utf8(request.body.clone()).expect("text");
                self.tell(Event::Notified { summary, state: header("Subscription-State") });
            }
            ("ACK", _) => {}
            _ => self.answer(&request, "200 OK").await,
        }
    }

    async fn answer(&mut self, request: &Request, status: &str) {
        let mut writer = Writer::new(&format!("SIP/2.0 {status}"));
        for via in request.headers.all("Via") {
            writer = writer.header("Via", via);
        }
        for route in request.headers.all("Record-Route") {
            writer = writer.header("Record-Route", route);
        }
        for name in ["From", "Call-ID", "CSeq"] {
            writer = writer.header(name, request.headers.first(name).expect("a header"));
        }
        let mut to = request.headers.first("To").expect("a header").to_owned();
        if parameter(&to, "tag").is_none() {
            to += ";tag=phone";
        }
        let contact = format!("<sip:{}@192.0.2.1:5061;transport=tls>", self.extension);
        let bytes = writer.header("To", &to).header("Contact", &contact).end();
        self.connection.send(&bytes).await.expect("sent");
    }

    fn tell(&self, event: Event) {
        // The test may have heard enough.
        let _ = self.sender.send(event);
    }
}
