//! Many requests, each with the mailbox, the greeting and the reasons that it must have.

mod headers;
mod loops;
mod places;
mod random;

use super::*;
use crate::testing::{OTHER_TRUNK, TRUNK, device_id, directory, mailbox_id};
use bytes::Bytes;
use hushbox_policy::Diverted;
use hushbox_sip::{ConnectionId, Flow, Headers, OwnedUri, Transport};
use hushbox_store::model::{CertificateBinding, Entity};
use proptest::prelude::*;
use std::sync::{Arc, OnceLock};

fn shared() -> Arc<Directory> {
    static DIRECTORY: OnceLock<Arc<Directory>> = OnceLock::new();
    Arc::clone(DIRECTORY.get_or_init(directory))
}

fn invite(uri: &str, headers: &[(&str, &str)]) -> Invite {
    let address = "198.51.100.7:5061".parse().unwrap();
    let connection = Some(ConnectionId(1));
    let flow = Flow { transport: Transport::Tls, local: address, remote: address, connection };
    let mut invite = Invite::new(flow, OwnedUri::parse(uri).expect(uri));
    let fields = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Bytes::copy_from_slice(value.as_bytes())));
    invite.headers = Headers::new(fields.collect());
    invite
}

/// What becomes of it, and after a bar what was left aside.
fn said(directory: &Directory, trunk: &Trunk, lab: bool, invite: &Invite) -> String {
    let question = Question { directory, asker: Asker::Trunk(trunk), lab, product: "Hushbox/0.1" };
    text(&resolve(&question, invite))
}

fn text(resolution: &Resolution<'_>) -> String {
    let outcome = match &resolution.outcome {
        Outcome::Deposit(Chosen { mailbox, rule, way, cause }) => format!(
            "{} {} {way:?} {}",
            mailbox.number,
            rule.map_or("-", AddressRule::as_str),
            cause.map_or("-", Cause::as_str)
        ),
        Outcome::Retrieval => "*97".to_owned(),
        Outcome::Loop(found) => found.status().to_string(),
        Outcome::Nobody => "404".to_owned(),
    };
    let ignored = resolution.ignored.iter().map(|i| {
        let place = i.place.as_ref().map(|p| format!(" {p}")).unwrap_or_default();
        format!(" | {}{place} {}", i.rule.as_str(), i.why.as_str())
    });
    outcome + &ignored.collect::<String>()
}

/// The trunk of both accounts, with these settings.
fn trunk(addressing: Addressing) -> Trunk {
    let mut trunk = shared().trunk(TRUNK).unwrap().clone();
    trunk.addressing = addressing;
    trunk
}

/// Request-URI, header fields, what must become of it.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

#[track_caller]
fn check(trunk: &Trunk, cases: &[Case<'_>]) {
    let directory = shared();
    for (uri, headers, expected) in cases {
        let got = said(&directory, trunk, false, &invite(uri, headers));
        assert_eq!(got, *expected, "{uri} {headers:?}");
    }
}

const VM: &str = "sip:vm@192.0.2.1";
