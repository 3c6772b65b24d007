//! `resolve`: whose mailbox a pasted INVITE would reach, and why. Nothing of the INVITE is kept or called. The answer
//! is what a listing of the directory has, so that somebody asked is written down as one, with their uid.

use hushbox_audit::{AuditRequest, Detail, EventExtra};
use hushbox_call::addressing::{self, Asker, Cause, Loop, Outcome, Question, Resolution, Way};
use hushbox_policy::{AddressRule, RecordKind};
use hushbox_sip::{Transport, pasted};
use hushbox_store::Directory;
use serde_json::{Value, json};

use super::listing::account_name;
use super::{Operator, OperatorError, Replies, send};
use crate::control::{Reply, Resolve};
use crate::{decisions, limits};

impl Operator {
    pub(super) async fn resolve(
        &self,
        uid: u32,
        asked: &Resolve,
        replies: &Replies,
    ) -> Result<(), OperatorError> {
        let row = row(&self.services.directory(), asked)?;
        let kind = RecordKind::Mailbox;
        let permit = decisions::list_directory(uid, kind, self.services.clock.now())?;
        let detail = Detail::new().with("kind", kind.as_str()).with("resolve", true);
        let extra = EventExtra { call: None, detail };
        let _written =
            self.services.audit.write(AuditRequest::ListDirectory(permit), extra).await?;
        send(replies, Reply::Row(row)).await
    }
}

fn row(directory: &Directory, asked: &Resolve) -> Result<Value, OperatorError> {
    let transport = if asked.lab { Transport::Udp } else { Transport::Tls };
    let invite = pasted::invite(asked.message.expose(), transport)
        .map_err(|error| OperatorError::Unknown(format!("this is no INVITE: {error}")))?;
    let asker = asker(directory, asked)?;
    let question = Question { directory, asker, lab: asked.lab, product: limits::PRODUCT };
    let resolution = addressing::resolve(&question, &invite);
    let (kind, name) = match asker {
        Asker::Trunk(trunk) => ("trunk", &trunk.name),
        Asker::Device(device) => ("device", &device.username),
    };
    Ok(explained(directory, kind, name, &resolution))
}

/// Whose call it would be.
fn asker<'a>(directory: &'a Directory, asked: &Resolve) -> Result<Asker<'a>, OperatorError> {
    if let Some(name) = &asked.device {
        let device = directory.device_by_username(name);
        return device
            .map(Asker::Device)
            .ok_or_else(|| OperatorError::Unknown(format!("no device {name:?}")));
    }
    let mut trunks: Vec<_> = directory.trunks().collect();
    trunks.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<_> = trunks.iter().map(|trunk| trunk.name.as_str()).collect();
    match (&asked.trunk, trunks.as_slice()) {
        (Some(name), all) => all
            .iter()
            .find(|trunk| trunk.name == *name)
            .map(|trunk| Asker::Trunk(trunk))
            .ok_or_else(|| OperatorError::Unknown(format!("no trunk {name:?}"))),
        (None, [one]) => Ok(Asker::Trunk(one)),
        (None, []) => Err(OperatorError::Unknown("there is no trunk: give --device".to_owned())),
        (None, _) => Err(OperatorError::Unknown(format!(
            "there are several trunks: give --trunk, one of {}",
            names.join(", ")
        ))),
    }
}

fn explained(directory: &Directory, kind: &str, name: &str, resolution: &Resolution<'_>) -> Value {
    let (outcome, status) = match &resolution.outcome {
        Outcome::Deposit(_) => ("deposit", None),
        Outcome::Retrieval => ("retrieval", None),
        Outcome::Loop(found @ (Loop::SameMailbox | Loop::OtherServer)) => {
            ("loop", Some(found.status()))
        }
        Outcome::Nobody => ("nobody", Some(if kind == "trunk" { 404 } else { 403 })),
    };
    let ignored: Vec<_> = resolution
        .ignored
        .iter()
        .map(|ignored| {
            json!({
                "header": ignored.rule.as_str(), "place": ignored.place,
                "why": ignored.why.as_str(), "text": ignored.to_string(),
            })
        })
        .collect();
    let mut row = json!({
        "caller": { kind: name }, "outcome": outcome, "status": status,
        "text": resolution.outcome.sentence(), "ignored": ignored,
        "account": null, "mailbox": null, "rule": null, "way": null, "digit_rule": null,
        "cause": null, "greeting": null,
    });
    if let Outcome::Deposit(chosen) = &resolution.outcome {
        let (way, digit_rule) = match chosen.way {
            Way::Number => ("number", None),
            Way::Alias => ("alias", None),
            Way::Digits(place) => ("digits", Some(place)),
            Way::CatchAll => ("catch-all", None),
        };
        row["account"] = account_name(directory, chosen.mailbox.account).into();
        row["mailbox"] = chosen.mailbox.number.as_str().into();
        row["rule"] = chosen.rule.map(AddressRule::as_str).into();
        row["way"] = way.into();
        row["digit_rule"] = digit_rule.into();
        row["cause"] = chosen.cause.map(Cause::as_str).into();
        row["greeting"] = chosen.cause.unwrap_or(Cause::Unavailable).as_str().into();
    }
    row
}
