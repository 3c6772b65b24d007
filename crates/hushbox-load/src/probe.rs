//! The proof that a server works: one message left, heard again by its owner, and deleted.
//!
//! Everything goes over TLS and SRTP: the message comes from the doctor's telephone with its client certificate,
//! which alone reaches the doctor's mailbox, and the mailbox is opened by the same telephone and by a PIN in
//! RFC 4733 digits. What is said is drawn anew each time, so that no older message passes for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::{Plan, fill_random};
use crate::error::Error;
use crate::limits::MESSAGES_MAX;
use crate::measure::{self, Comparison};
use crate::report::{Report, Step as ReportStep};
use crate::scenario::{Outcome, StepOutcome, call_watched};
use crate::script::{Keys, Step};
use crate::timeline::{RATE, time_of};
use crate::transport::{Identity, Transport};
use crate::trial::{Doctor, Trial};
use crate::voice;

/// What is said: long enough to be like nothing else.
const VOICE_SECS: usize = 4;

/// Runs the proof; `watch` hears of each step as soon as it is over.
pub async fn run(
    trial: &Trial,
    watch: &mut (dyn FnMut(&ReportStep) + Send),
) -> Result<Report, Error> {
    let doctor = trial.doctor.as_ref();
    let doctor = doctor.ok_or_else(|| Error::Plan("trial.json has no doctor's mailbox".into()))?;
    let bound =
        trial.sip.tls.ok_or_else(|| Error::Plan("the server has no TLS listener".into()))?;
    let address = here(bound);
    let pin = doctor
        .person
        .pin
        .as_deref()
        .ok_or_else(|| Error::Plan("the doctor's PIN is missing".into()))?;
    let mut seed = [0; 32];
    fill_random(&mut seed)?;
    let voice: Arc<[i16]> = voice::babble(seed, VOICE_SECS * RATE).into();
    let mut steps = Steps { done: Vec::new(), watch };

    let mut deposit =
        Plan::new(Transport::Tls, address, format!("sip:{}@{}", doctor.mailbox, doctor.domain));
    deposit.from.clone_from(&doctor.person.device.username);
    deposit.identity = telephone(trial, doctor);
    let script = deposit_script(&voice)?;
    if steps.call("leave a message", &deposit, &script, &DEPOSIT_NAMES).await.is_none() {
        return Ok(Report::new(steps.done));
    }

    let mut retrieval =
        Plan::new(Transport::Tls, address, format!("sip:{}@{}", trial.retrieval, doctor.domain));
    retrieval.from.clone_from(&doctor.person.device.username);
    retrieval.identity = telephone(trial, doctor);
    let script = retrieval_script(&voice, pin)?;
    if let Some(outcome) = steps.call("hear it", &retrieval, &script, &RETRIEVAL_NAMES).await {
        let began = Instant::now();
        let comparison = measure::compare(&voice, outcome.heard_during("find"));
        let (ok, detail) = verdict(comparison);
        steps.add(ReportStep::new("the same audio", ok, began.elapsed(), detail));
    }
    Ok(Report::new(steps.done))
}

/// How a listener is reached from its own machine: on every address it is so by loopback, which every trial's
/// certificate names.
fn here(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}

/// The doctor's telephone, by its certificate: nobody else reaches the doctor's mailbox.
fn telephone(trial: &Trial, doctor: &Doctor) -> Identity {
    let device = &doctor.person.device;
    Identity {
        ca: Some(trial.ca.clone()),
        certificate: Some((device.cert.clone(), device.key.clone())),
        ..Identity::default()
    }
}

const DEPOSIT_NAMES: [&str; 6] =
    ["greeting", "skip the greeting", "beep", "speak", "press pound", "saved, and hung up"];

fn deposit_script(voice: &Arc<[i16]>) -> Result<Vec<Step>, Error> {
    Ok(vec![
        Step::Speech { within: Duration::from_secs(10) },
        Step::Press(Keys::new("#")?),
        Step::Beep { within: Duration::from_secs(60) },
        Step::Say(Arc::clone(voice)),
        Step::Press(Keys::new("#")?),
        Step::Bye { within: Duration::from_secs(20) },
    ])
}

const RETRIEVAL_NAMES: [&str; 8] = [
    "asked for the PIN",
    "PIN",
    "let in",
    "press 1",
    "heard again",
    "delete it (7)",
    "press pound",
    "logged off, and hung up",
];

fn retrieval_script(voice: &Arc<[i16]>, pin: &str) -> Result<Vec<Step>, Error> {
    Ok(vec![
        Step::Speech { within: Duration::from_secs(10) },
        Step::Press(Keys::new(&format!("{pin}#"))?),
        Step::Speech { within: Duration::from_secs(20) },
        Step::Press(Keys::new("1")?),
        Step::Find {
            sound: Arc::clone(voice),
            next: Keys::new("6")?,
            tries: MESSAGES_MAX,
            within: Duration::from_secs(40),
        },
        Step::Press(Keys::new("7")?),
        Step::Press(Keys::new("#")?),
        Step::Bye { within: Duration::from_secs(20) },
    ])
}

/// Is it the same audio, and as long?
fn verdict(comparison: Option<Comparison>) -> (bool, String) {
    let Some(comparison) = comparison else { return (false, "nothing heard".into()) };
    let stretched_ms = comparison.stretched * 1000 / RATE as i64;
    let detail = format!(
        "correlation {:.4}, {} ms long, length off by {stretched_ms} ms",
        comparison.whole.correlation,
        time_of(VOICE_SECS * RATE).as_millis(),
    );
    (comparison.is_same(), detail)
}

struct Steps<'a> {
    done: Vec<ReportStep>,
    watch: &'a mut (dyn FnMut(&ReportStep) + Send),
}

impl Steps<'_> {
    fn add(&mut self, step: ReportStep) {
        (self.watch)(&step);
        self.done.push(step);
    }

    /// One call of the proof; nothing if it failed, which is in the steps then.
    async fn call(
        &mut self,
        name: &str,
        plan: &Plan,
        script: &[Step],
        names: &[&str],
    ) -> Option<Outcome> {
        let began = Instant::now();
        let mut seen = Vec::new();
        let watch = &mut *self.watch;
        let mut on_step = |step: &StepOutcome| {
            let step_name = names.get(seen.len()).copied().unwrap_or(step.name);
            let step = ReportStep::new(
                &format!("{name}: {step_name}"),
                step.ok,
                step.took,
                step.detail.clone(),
            );
            watch(&step);
            seen.push(step);
        };
        let outcome = match call_watched(plan, script, &mut on_step).await {
            Ok(outcome) => outcome,
            Err(e) => {
                self.add(ReportStep::new(name, false, began.elapsed(), e.to_string()));
                return None;
            }
        };
        let mut answer = crate::report::answer(&outcome);
        answer.name = format!("{name}: answered");
        if !answer.ok {
            (self.watch)(&answer);
        }
        self.done.push(answer);
        self.done.extend(seen);
        outcome.is_ok().then_some(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_called_by_loopback_and_another_where_it_is() {
        for (bound, called) in [
            ("0.0.0.0:5061", "127.0.0.1:5061"),
            ("[::]:5061", "[::1]:5061"),
            ("192.0.2.9:5061", "192.0.2.9:5061"),
        ] {
            assert_eq!(here(bound.parse().unwrap()), called.parse().unwrap());
        }
    }
}
