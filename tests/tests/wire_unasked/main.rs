//! A PBX that Hushbox connects to so that it tells it of lamps, over TLS and real sockets. One has not subscribed: a
//! message comes and goes, the PBX has a bad moment, the server is killed, and the directory turns it off. One has
//! subscribed, and its connection is gone.

mod pbx;

use std::collections::BTreeMap;
use std::time::Duration;

use hushbox_load::message::{Message, Writer};
use hushbox_load::scenario;
use hushbox_load::transport::{Connection, Transport};
use hushbox_tests::calls::{
    delete_the_first, delivered, forwarded, leave_at_once, owner, run, set_trunk, speech,
};
use hushbox_tests::trial::Trial;
use pbx::{Heard, ListeningPbx};

/// What a PBX knows of its lamps.
struct Pbx {
    listening: ListeningPbx,
    /// What each mailbox's last NOTIFY said.
    lamps: BTreeMap<String, String>,
}

impl Pbx {
    /// The next NOTIFY, whose mailbox and body are noted, and which is not answered yet.
    async fn told(&mut self) -> (String, Heard) {
        let heard = self.listening.next().await;
        let request = &heard.request;
        assert_eq!(request.method, "NOTIFY");
        let number = request.uri.strip_prefix("sip:").and_then(|uri| uri.split('@').next());
        let number = number.expect("a number").to_owned();
        assert_eq!(request.uri, format!("sip:{number}@{}", self.listening.address));
        let to = format!("<sip:{number}@127.0.0.1>");
        for (name, value) in [
            ("To", to.as_str()),
            ("Event", "message-summary"),
            ("Subscription-State", "active"),
            ("Content-Type", "application/simple-message-summary"),
        ] {
            assert_eq!(request.headers.first(name), Some(value), "{name}");
        }
        self.lamps.insert(number.clone(), heard.body());
        (number, heard)
    }

    /// Takes what comes until a mailbox's lamp says this.
    async fn shows(&mut self, mailbox: &str, wanted: &str) {
        while !self.lamps.get(mailbox).is_some_and(|body| body.contains(wanted)) {
            self.told().await.1.answer("200 OK", &[]);
        }
    }
}

fn set(trial: &Trial, options: &[&str]) -> Result<(), String> {
    tokio::task::block_in_place(|| set_trunk(trial, options)).map(drop)
}

fn leave_a_message(trial: &Trial, mailbox: &str, count: usize) {
    let sound = speech(61, Duration::from_secs(2));
    let (plan, script) = (forwarded(trial, mailbox), leave_at_once(&sound));
    tokio::task::block_in_place(|| {
        let done = run(scenario::call(&plan, &script)).expect("a call");
        assert!(done.is_ok(), "{:?} {:?}", done.refusal, done.steps);
        assert_eq!(delivered(trial, mailbox, count).len(), count);
    });
}

fn delete_in(trial: &Trial, mailbox: &str) {
    let (plan, pin) = owner(trial, mailbox);
    let script = delete_the_first(&pin);
    tokio::task::block_in_place(|| run(scenario::call(&plan, &script))).expect("a call");
}

fn run_wire(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(test);
}

#[test]
fn a_pbx_that_has_not_subscribed_is_told_of_every_lamp_until_that_is_turned_off() {
    let mut trial = Trial::start(&[]);
    run_wire(async {
        let listening = ListeningPbx::listen(&trial).await;
        let target = format!("sip:{};transport=tls", listening.address);
        let mut pbx = Pbx { listening, lamps: BTreeMap::new() };

        // Some of its accounts are hipaa's: nothing in the clear, and nothing that is no address.
        for (wrong, why) in [
            ("sip:127.0.0.1;transport=udp", "TLS only"),
            ("sip:1001@127.0.0.1", "a user has no place there"),
            ("sips:127.0.0.1", "begins with sip:"),
        ] {
            let said = set(&trial, &["--mwi", wrong]).expect_err(wrong);
            assert!(said.contains(why), "{wrong}: {said}");
        }
        set(&trial, &["--mwi", &target]).expect("set");
        assert_eq!(trial.list(&["trunk", "list"])[0]["mwi"], target.as_str());

        for mailbox in ["1001", "1002", "2001"] {
            pbx.shows(mailbox, "Messages-Waiting: no").await;
        }
        leave_a_message(&trial, "1001", 1);
        pbx.shows("1001", "Messages-Waiting: yes").await;
        assert!(pbx.lamps["1001"].contains("Voice-Message: 1/0 (0/0)"), "{:?}", pbx.lamps);
        assert!(pbx.lamps["1001"].contains("Message-Account: sip:1001@clinic.example"));

        // A bad moment: it is told again when it says.
        leave_a_message(&trial, "1001", 2);
        let (number, heard) = pbx.told().await;
        assert_eq!(number, "1001");
        heard.answer("503 Busy", &[("Retry-After", "1")]);
        pbx.lamps.clear();
        pbx.shows("1001", "Voice-Message: 2/0").await;

        let explained = trial.list(&["mwi", "explain", "1001"]).remove(0);
        let lamps = explained["watchers"].as_array().expect("watchers");
        let lamp = lamps.iter().find(|lamp| lamp["subscription"].is_null()).expect("unasked");
        assert_eq!((&lamp["kind"], &lamp["name"]), (&"trunk".into(), &"pbx".into()));
        assert_eq!(lamp["told"], "2/0");

        // It knows nothing that outlives the server, and is told everything again.
        pbx.lamps.clear();
        tokio::task::block_in_place(|| {
            trial.kill();
            trial.serve();
        });
        pbx.shows("1001", "Voice-Message: 2/0").await;
        pbx.shows("1002", "Messages-Waiting: no").await;
        pbx.shows("2001", "Messages-Waiting: no").await;

        delete_in(&trial, "1001");
        pbx.shows("1001", "Voice-Message: 1/").await;
        delete_in(&trial, "1001");
        pbx.shows("1001", "Messages-Waiting: no").await;

        set(&trial, &["--no-mwi"]).expect("set");
        assert!(trial.list(&["trunk", "list"])[0]["mwi"].is_null());
        let explained = trial.list(&["mwi", "explain", "1001"]).remove(0);
        assert_eq!(explained["watchers"].as_array().map(Vec::len), Some(0));
    });
    let log = trial.stop();
    assert!(!log.contains("1001@"), "no address in the log");
}

#[test]
fn a_pbx_that_takes_no_such_notify_is_said_in_the_log_and_in_explain() {
    let mut trial = Trial::start(&[]);
    run_wire(async {
        let listening = ListeningPbx::listen(&trial).await;
        let target = format!("sip:{}", listening.address);
        let mut pbx = Pbx { listening, lamps: BTreeMap::new() };
        set(&trial, &["--mwi", &target]).expect("set");
        while pbx.lamps.len() < 3 {
            pbx.told().await.1.answer("489 Bad Event", &[]);
        }
        let explained = || trial.list(&["mwi", "explain", "1001"]).remove(0);
        let mut said = explained();
        while said["watchers"][0]["answer"] != "489" {
            tokio::task::yield_now().await;
            said = explained();
        }
        let text = said["watchers"][0]["text"].as_str().expect("text").to_owned();
        assert!(text.contains("takes no such NOTIFY"), "{text}");
    });
    let log = trial.stop();
    assert_eq!(log.matches("refuses what it is told of a lamp unasked").count(), 1, "{log}");
}

/// Subscribes as the trunk, with this Contact, takes the first NOTIFY, and goes without a word.
async fn subscribe_and_go(trial: &Trial, contact: &str) {
    let identity = forwarded(trial, "1001").identity;
    let connection = Connection::open(Transport::Tls, trial.address("tls"), &identity).await;
    let mut connection = connection.expect("a connection");
    let uri = "sip:1001@clinic.example";
    let subscribe = Writer::new(&format!("SUBSCRIBE {uri} SIP/2.0"))
        .header("Via", &format!("SIP/2.0/TLS {};branch=z9hG4bKgone", connection.local))
        .header("Max-Forwards", "70")
        .header("From", &format!("<{uri}>;tag=mine"))
        .header("To", &format!("<{uri}>"))
        .header("Call-ID", "wire-gone")
        .header("CSeq", "1 SUBSCRIBE")
        .header("Contact", &format!("<{contact}>"))
        .header("Event", "message-summary")
        .header("Expires", "600");
    connection.send(&subscribe.end()).await.expect("sent");
    loop {
        match connection.receive().await.expect("a message") {
            Message::Response(response) => assert_eq!(response.status, 200, "{response:?}"),
            Message::Request(notify) => {
                let mut writer = Writer::new("SIP/2.0 200 OK");
                for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
                    for value in notify.headers.all(name) {
                        writer = writer.header(name, value);
                    }
                }
                return connection.send(&writer.end()).await.expect("sent");
            }
        }
    }
}

#[test]
fn a_pbx_that_has_subscribed_and_whose_connection_is_gone_is_connected_to() {
    let mut trial = Trial::start(&[]);
    run_wire(async {
        let mut listening = ListeningPbx::listen(&trial).await;
        let contact = format!("sip:pbx@{};transport=tls", listening.address);
        subscribe_and_go(&trial, &contact).await;
        leave_a_message(&trial, "1001", 1);
        let mut number = 0;
        for again in [false, true] {
            if again {
                tokio::task::block_in_place(|| {
                    trial.kill();
                    trial.serve();
                });
            }
            loop {
                let heard = listening.next().await;
                let headers = &heard.request.headers;
                assert_eq!(
                    (heard.request.method.as_str(), &heard.request.uri),
                    ("NOTIFY", &contact)
                );
                assert_eq!(headers.first("Call-ID"), Some("wire-gone"), "in its dialog");
                assert!(headers.first("To").is_some_and(|to| to.ends_with(";tag=mine")));
                let state = headers.first("Subscription-State").expect("a state");
                assert!(state.starts_with("active;expires="), "{state}");
                let (cseq, _) = headers.cseq().expect("CSeq");
                assert!(cseq > number, "numbers go on");
                number = cseq;
                heard.answer("200 OK", &[]);
                if heard.body().contains("Voice-Message: 1/0") {
                    break;
                }
            }
        }
    });
}
