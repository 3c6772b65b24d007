//! `mwi explain`: what a mailbox's lamps should show, what each was told, and why one is on, off or not told.

use hushbox_call::mwi::{Answer, Told};
use hushbox_call::signalling::Lamp;
use hushbox_sip::mwi::VoiceMessages;
use hushbox_store::{CertificateOwner, Counts, Directory, IndexReply, IndexRequest};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::listing::account_name;
use super::{Operator, OperatorError, Replies, numbered, send};
use crate::control::Reply;
use crate::signalling::ToSignallingTask;

impl Operator {
    pub(super) async fn mwi_explain(
        &self,
        uid: u32,
        mailbox: &str,
        replies: &Replies,
    ) -> Result<(), OperatorError> {
        let directory = self.services.directory();
        let found = numbered(mailbox, &directory, Directory::mailbox_by_number)?;
        let found =
            found.ok_or_else(|| OperatorError::Unknown(format!("no mailbox {mailbox:?}")))?;
        let _written = self.listing(uid, Some(found.id), &directory).await?;
        let counts = self.services.index(IndexRequest::Counts(found.id), |reply| match reply {
            IndexReply::Counts(counts) => Some(counts),
            _ => None,
        });
        let counts = counts.await?;
        let (answer, lamps) = oneshot::channel();
        let ask = ToSignallingTask::Lamps { mailbox: found.id, answer };
        let gone = || OperatorError::Unknown("the server is stopping".to_owned());
        self.signalling.send(ask).map_err(|_| gone())?;
        let (version, lamps) = lamps.await.map_err(|_| gone())?;
        let lamps: Vec<Value> = lamps.iter().map(|lamp| shown(lamp, counts, &directory)).collect();
        let row = json!({
            "account": account_name(&directory, found.account),
            "mailbox": found.number.as_str(),
            "new": counts.new, "heard": counts.heard,
            "quiet": counts.quiet, "deleted": counts.deleted,
            "lamp": if counts.new > 0 { "on" } else { "off" },
            "version": version,
            "text": why(counts, lamps.len()),
            "watchers": lamps,
        });
        send(replies, Reply::Row(row)).await
    }
}

/// Why the lamp should be as it is.
fn why(counts: Counts, watchers: usize) -> String {
    let mut text = match counts.new {
        0 => "the lamp is off: no message is new".to_owned(),
        1 => "the lamp is on: one message is new".to_owned(),
        new => format!("the lamp is on: {new} messages are new"),
    };
    if counts.quiet > 0 || counts.deleted > 0 {
        text += "; quiet and deleted messages light no lamp";
    }
    if watchers == 0 {
        text += "; nobody is told: no telephone and no PBX has subscribed, and no trunk of its account is told unasked";
    }
    text
}

fn shown(lamp: &Lamp, counts: Counts, directory: &Directory) -> Value {
    let (kind, name) = match lamp.owner {
        CertificateOwner::Device(id) => ("device", directory.device(id).map(|d| &d.username)),
        CertificateOwner::Trunk(id) => ("trunk", directory.trunk(id).map(|t| &t.name)),
    };
    let told = lamp.report.told;
    let pair = |counts: VoiceMessages| format!("{}/{}", counts.new, counts.old);
    json!({
        "kind": kind,
        "name": name,
        "subscription": lamp.subscription.map(|(id, _)| id.to_string()),
        "expires": lamp.subscription.map(|(_, expires)| expires.to_string()),
        "told": told.map(|told| pair(told.counts)),
        "told_at": told.map(|told| told.at.to_string()),
        "told_version": told.map(|told| told.version),
        "answer": told.and_then(|told| told.answer).map(answered),
        "taken": lamp.report.taken.map(pair),
        "pending": lamp.report.pending,
        "text": state(lamp, told, counts),
    })
}

fn answered(answer: Answer) -> String {
    match answer {
        Answer::Taken => "200".to_owned(),
        Answer::Later(status) | Answer::Refused(status) => status.to_string(),
        Answer::None => "none".to_owned(),
        Answer::NoWay => "not sent".to_owned(),
    }
}

/// What a person does with it.
fn state(lamp: &Lamp, told: Option<Told>, counts: Counts) -> String {
    let Some(told) = told else {
        return match lamp.subscription {
            Some(_) => "it was told nothing yet: its NOTIFY waits for its turn".to_owned(),
            None => {
                "it was told nothing yet: its NOTIFY waits for its turn, or until the PBX is found and reached"
                    .to_owned()
            }
        };
    };
    let shows = |shown: VoiceMessages| {
        u64::from(shown.new) == counts.new && u64::from(shown.old) == counts.heard
    };
    match told.answer {
        None => "a NOTIFY is on its way and was not answered yet".to_owned(),
        Some(Answer::Taken) if lamp.report.taken.is_some_and(shows) => {
            "it has acknowledged what the store has".to_owned()
        }
        Some(Answer::Taken) => {
            "it has acknowledged something else than the store has: it is told again".to_owned()
        }
        Some(Answer::Later(status)) => {
            format!("it answered {status}, and is told again later")
        }
        Some(Answer::Refused(status)) => format!(
            "it answered {status}: it takes no such NOTIFY of this mailbox; it is asked again now and then, within an hour"
        ),
        Some(Answer::None) => "it did not answer, and is told again later".to_owned(),
        Some(Answer::NoWay) if lamp.subscription.is_none() => {
            "it was not told: it could not be reached; it is told again later".to_owned()
        }
        Some(Answer::NoWay) if matches!(lamp.owner, CertificateOwner::Trunk(_)) => {
            "it was not told: its connection is gone; another one is tried again and again"
                .to_owned()
        }
        Some(Answer::NoWay) => {
            "it was not told: its connection is gone; it is told when it connects again".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use hushbox_call::mwi::{LampReport, Watcher};
    use hushbox_policy::{DeviceId, SubscriptionId};
    use hushbox_sip::Subscription;

    use super::*;

    #[test]
    fn the_words_follow_from_the_counts_and_the_last_answer() {
        let counts = Counts { new: 1, heard: 2, quiet: 1, deleted: 0 };
        assert!(why(counts, 1).starts_with("the lamp is on: one message is new; quiet"));
        assert!(why(Counts::default(), 0).contains("off: no message is new; nobody is told"));
        let told = |answer| Told {
            counts: VoiceMessages { new: 1, old: 2, ..VoiceMessages::default() },
            version: 3,
            at: jiff::Timestamp::UNIX_EPOCH,
            answer,
        };
        let lamp = |answer, taken| Lamp {
            subscription: Some((SubscriptionId::from_bytes([2; 16]), jiff::Timestamp::UNIX_EPOCH)),
            owner: CertificateOwner::Device(DeviceId::from_bytes([1; 16])),
            report: LampReport {
                watcher: Watcher::Subscription(Subscription(1)),
                told: Some(told(answer)),
                taken,
                pending: false,
            },
        };
        let say = |answer, taken: Option<VoiceMessages>| {
            let lamp = lamp(answer, taken);
            state(&lamp, lamp.report.told, counts)
        };
        let right = Some(told(None).counts);
        assert!(say(Some(Answer::Taken), right).contains("what the store has"));
        assert!(say(Some(Answer::Taken), Some(VoiceMessages::default())).contains("told again"));
        assert!(say(Some(Answer::Later(503)), None).contains("503"));
        assert!(say(Some(Answer::NoWay), None).contains("connects again"));
        assert!(say(None, None).contains("not answered yet"));
        let unasked = |answer| {
            let lamp = Lamp { subscription: None, ..lamp(answer, None) };
            state(&lamp, lamp.report.told, counts)
        };
        assert!(unasked(Some(Answer::NoWay)).contains("could not be reached"));
        assert!(unasked(Some(Answer::None)).contains("did not answer"));
        assert!(unasked(Some(Answer::Refused(489))).contains("489"));
        let lamp = Lamp { subscription: None, ..lamp(None, None) };
        assert!(state(&lamp, None, counts).contains("until the PBX is found"));
    }
}
