//! Lamps over real sockets: a scripted telephone by certificate and by digest over TLS, a scripted PBX on `lab`, and a
//! server that is killed in between.

use std::time::Duration;

use hushbox_load::digest::{self, Credentials};
use hushbox_load::message::{Message, Request, Response, Writer};
use hushbox_load::scenario;
use hushbox_load::transport::{Connection, Identity, Transport};
use hushbox_tests::calls::{
    delete_the_first, delivered, forwarded, leave_at_once, owner, run, speech,
};
use hushbox_tests::trial::Trial;
use serde_json::Value;

const LONGEST: Duration = Duration::from_secs(30);

/// A subscriber of our own.
struct Subscriber {
    connection: Connection,
    uri: String,
    cseq: u32,
    credentials: Option<Credentials>,
}

impl Subscriber {
    async fn connect(trial: &Trial, transport: Transport, uri: &str, identity: &Identity) -> Self {
        let listener = if transport == Transport::Tls { "tls" } else { "lab_udp" };
        let connection = Connection::open(transport, trial.address(listener), identity);
        let connection = connection.await.expect("a connection");
        let credentials = identity.credentials.clone();
        Subscriber { connection, uri: uri.to_owned(), cseq: 0, credentials }
    }

    async fn request(&mut self, to_tag: Option<&str>, authorization: Option<&str>) -> Response {
        self.cseq += 1;
        let (uri, cseq) = (self.uri.clone(), self.cseq);
        let transport = self.connection.transport;
        let local = self.connection.local;
        let tag = to_tag.map_or(String::new(), |tag| format!(";tag={tag}"));
        let mut writer = Writer::new(&format!("SUBSCRIBE {uri} SIP/2.0"))
            .header(
                "Via",
                &format!("SIP/2.0/{} {local};rport;branch=z9hG4bK{cseq}", transport.via()),
            )
            .header("Max-Forwards", "70")
            .header("From", "<sip:watcher@pbx.example>;tag=mine")
            .header("To", &format!("<{uri}>{tag}"))
            .header("Call-ID", "wire-mwi")
            .header("CSeq", &format!("{cseq} SUBSCRIBE"))
            .header(
                "Contact",
                &format!("<sip:watcher@{local};transport={}>", transport.parameter()),
            )
            .header("Event", "message-summary")
            .header("Accept", "application/simple-message-summary")
            .header("Expires", "600");
        if let Some(authorization) = authorization {
            writer = writer.header("Authorization", authorization);
        }
        self.connection.send(&writer.end()).await.expect("sent");
        loop {
            match self.receive().await {
                Message::Response(response) if response.status >= 200 => return response,
                Message::Response(_) => {}
                Message::Request(request) => panic!("before the answer: {request:?}"),
            }
        }
    }

    /// Subscribes, with its password where it is asked for one; our tag.
    async fn subscribe(&mut self) -> String {
        let mut answer = self.request(None, None).await;
        if let Some(credentials) = self.credentials.clone() {
            assert_eq!(answer.status, 401, "a telephone without a certificate");
            let challenges = digest::challenges(&answer.headers);
            let uri = self.uri.clone();
            let proof = digest::authorization(&credentials, &challenges, "SUBSCRIBE", &uri, "c1");
            answer = self.request(None, Some(&proof.expect("an answer"))).await;
        }
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.headers.first("Expires"), Some("600"));
        let to = answer.headers.first("To").expect("To");
        to.rsplit_once("tag=").expect("a tag").1.to_owned()
    }

    async fn receive(&mut self) -> Message {
        let received = tokio::time::timeout(LONGEST, self.connection.receive()).await;
        received.expect("in time").expect("a message")
    }

    /// The next NOTIFY, answered; repetitions of one before are passed over.
    async fn notified(&mut self, last: &mut u32) -> String {
        loop {
            let Message::Request(request) = self.receive().await else { continue };
            assert_eq!(request.method, "NOTIFY", "{request:?}");
            self.answer(&request).await;
            let (number, _) = request.headers.cseq().expect("CSeq");
            if number > *last {
                *last = number;
                return String::from_utf8_lossy(&request.body).into_owned();
            }
        }
    }

    async fn answer(&mut self, request: &Request) {
        let mut writer = Writer::new("SIP/2.0 200 OK");
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            for value in request.headers.all(name) {
                writer = writer.header(name, value);
            }
        }
        self.connection.send(&writer.end()).await.expect("sent");
    }

    /// NOTIFYs until one says this.
    async fn wait(&mut self, last: &mut u32, wanted: &str) -> String {
        loop {
            let body = self.notified(last).await;
            if body.contains(wanted) {
                return body;
            }
        }
    }
}

fn leave_a_message(trial: &Trial, mailbox: &str) {
    let sound = speech(51, Duration::from_secs(2));
    let (plan, script) = (forwarded(trial, mailbox), leave_at_once(&sound));
    tokio::task::block_in_place(|| {
        let done = run(scenario::call(&plan, &script)).expect("a call");
        assert!(done.is_ok(), "{:?} {:?}", done.refusal, done.steps);
        assert_eq!(delivered(trial, mailbox, 1).len(), 1);
    });
}

fn explained(trial: &Trial, mailbox: &str) -> Value {
    trial.list(&["mwi", "explain", mailbox]).remove(0)
}

/// The owner's telephone, and its mailbox's address.
fn telephone(trial: &Trial, mailbox: &str) -> (Identity, String) {
    let (plan, _) = owner(trial, mailbox);
    let domain = plan.uri.split_once('@').expect("a domain").1.to_owned();
    (plan.identity, format!("sip:{mailbox}@{domain}"))
}

/// The same with its password in place of its certificate.
fn by_password(trial: &Trial, mailbox: &str) -> (Identity, String) {
    let (mut identity, uri) = telephone(trial, mailbox);
    let json = trial.json();
    let accounts = json["accounts"].as_array().expect("accounts").iter();
    let mailboxes = accounts.flat_map(|a| a["mailboxes"].as_array().into_iter().flatten());
    let mut found = mailboxes.filter(|m| m["number"] == mailbox);
    let device = found.next().expect("the mailbox")["persons"][0]["device"].clone();
    let text = |key: &str| device[key].as_str().expect("text").to_owned();
    identity.certificate = None;
    identity.credentials = Some(Credentials {
        username: text("username"),
        password: text("password"),
        algorithm: Some(digest::Algorithm::Sha256),
    });
    (identity, uri)
}

#[test]
fn a_telephones_lamp_goes_on_with_a_message_and_off_when_it_is_deleted() {
    let trial = Trial::start(&[]);
    let rooms = [telephone(&trial, "1001"), by_password(&trial, "1001")];
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut lamps = Vec::new();
        for (identity, uri) in &rooms {
            let mut lamp = Subscriber::connect(&trial, Transport::Tls, uri, identity).await;
            lamp.subscribe().await;
            let mut last = 0;
            let body = lamp.notified(&mut last).await;
            assert!(body.starts_with("Messages-Waiting: no\r\n"), "{body}");
            assert!(body.contains(&format!("Message-Account: {uri}\r\n")), "{body}");
            lamps.push((lamp, last));
        }
        leave_a_message(&trial, "1001");
        for (lamp, last) in &mut lamps {
            let body = lamp.wait(last, "Voice-Message: 1/0 (0/0)").await;
            assert!(body.starts_with("Messages-Waiting: yes\r\n"), "{body}");
        }
        let said = explained(&trial, "1001");
        assert_eq!((&said["lamp"], &said["new"]), (&"on".into(), &1.into()));
        assert_eq!(said["watchers"].as_array().map(Vec::len), Some(2), "{said}");

        let (plan, pin) = owner(&trial, "1001");
        let script = delete_the_first(&pin);
        tokio::task::block_in_place(|| run(scenario::call(&plan, &script))).expect("a call");
        for (lamp, last) in &mut lamps {
            lamp.wait(last, "Messages-Waiting: no").await;
        }
    });
}

#[test]
fn a_subscription_outlives_a_server_that_is_killed() {
    let mut trial = Trial::start(&["--lab-udp", "127.0.0.1:0"]);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let identity = Identity::default();
        let (_, uri) = telephone(&trial, "2001");
        let mut pbx = Subscriber::connect(&trial, Transport::Udp, &uri, &identity).await;
        let tag = pbx.subscribe().await;
        let mut last = 0;
        pbx.wait(&mut last, "Messages-Waiting: no").await;
        tokio::task::block_in_place(|| {
            trial.kill();
            trial.serve();
        });
        // It is told again, in the same dialog and with a number that was not there before.
        let before = last;
        pbx.wait(&mut last, "Messages-Waiting: no").await;
        assert!(last > before);
        leave_a_message(&trial, "2001");
        pbx.wait(&mut last, "Voice-Message: 1/0 (0/0)").await;
        let answer = pbx.request(Some(&tag), None).await;
        assert_eq!(answer.status, 200, "a refresh goes on with it");
        pbx.wait(&mut last, "Voice-Message: 1/0 (0/0)").await;
    });
}
