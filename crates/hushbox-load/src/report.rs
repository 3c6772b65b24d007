//! What came of it, for people and for programs.

use std::time::Duration;

use serde::Serialize;

use crate::scenario::{Outcome, StepOutcome};

/// A step of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What was tried.
    pub name: String,
    /// It worked.
    pub ok: bool,
    /// How long it took.
    pub ms: u64,
    /// What was found, or what went wrong.
    pub detail: String,
}

impl Step {
    /// A step by its parts.
    pub fn new(name: &str, ok: bool, took: Duration, detail: impl Into<String>) -> Self {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Self { name: name.to_owned(), ok, ms, detail: printable(&detail.into()) }
    }

    /// A line for people.
    pub fn line(&self) -> String {
        let mark = if self.ok { "ok    " } else { "FAILED" };
        format!("{mark} {:<34} {:>6} ms  {}", self.name, self.ms, self.detail).trim_end().to_owned()
    }
}

impl From<&StepOutcome> for Step {
    fn from(step: &StepOutcome) -> Self {
        Self::new(step.name, step.ok, step.took, step.detail.clone())
    }
}

/// A report: ok if every step is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Every step worked.
    pub ok: bool,
    /// The steps.
    pub steps: Vec<Step>,
}

impl Report {
    /// A report of these steps; none at all prove nothing.
    pub fn new(steps: Vec<Step>) -> Self {
        Self { ok: !steps.is_empty() && steps.iter().all(|s| s.ok), steps }
    }

    /// One call: how it was answered, and its steps.
    pub fn of_call(outcome: &Outcome) -> Self {
        let mut steps = vec![answer(outcome)];
        steps.extend(outcome.steps.iter().map(Step::from));
        Self::new(steps)
    }
}

/// How a call was answered.
pub fn answer(outcome: &Outcome) -> Step {
    if let Some(refusal) = &outcome.refusal {
        let mut detail = format!("{} {}", refusal.status, refusal.reason);
        for (name, value) in [("Warning", &refusal.warning), ("Retry-After", &refusal.retry_after)]
        {
            if let Some(value) = value {
                detail.push_str(&format!("; {name}: {value}"));
            }
        }
        return Step::new("answer", false, outcome.answered_after, detail);
    }
    let media = outcome.suite.map_or("plain RTP", |s| s.name());
    let codec = outcome.codec.map_or("", |c| c.name());
    Step::new("answer", true, outcome.answered_after, format!("{media}, {codec}"))
}

/// What a peer sent may be printed only without control characters, and not at any length.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_ok_only_if_every_step_is_and_there_is_one() {
        let good = Step::new("a", true, Duration::from_millis(5), "");
        let bad = Step::new("b", false, Duration::ZERO, "\u{1b}[31mno\r\n");
        assert!(!Report::new(vec![]).ok);
        assert!(Report::new(vec![good.clone()]).ok);
        let report = Report::new(vec![good, bad]);
        assert!(!report.ok);
        assert_eq!(report.steps[1].detail, " [31mno  ");
        let json = serde_json::to_value(&report).expect("serialises");
        assert_eq!(
            json["steps"][0],
            serde_json::json!({"name": "a", "ok": true, "ms": 5, "detail": ""})
        );
    }
}
