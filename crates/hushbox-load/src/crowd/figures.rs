//! What came of a crowd: counts, times, and what the server used, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::process::{Process, Used};
use super::{Plan, SETTLING};
use crate::error::Error;

/// The figures of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// How the calls travelled.
    pub transport: &'static str,
    /// Calls placed.
    pub calls: usize,
    /// Calls answered.
    pub answered: usize,
    /// Calls that went their whole way.
    pub completed: usize,
    /// Calls refused with a status.
    pub refused: usize,
    /// What did not go its whole way, by status or by what happened.
    pub failed: BTreeMap<String, usize>,
    /// Requests sent again.
    pub repeats: usize,
    /// The most calls at once.
    pub at_once: usize,
    /// From the first INVITE to the last answer.
    pub seconds: f64,
    /// Calls a second that were completed or refused.
    pub calls_per_second: f64,
    /// From INVITE to 200.
    pub invite_to_200_ms: Percentiles,
    /// From INVITE to a refusal.
    pub invite_to_refusal_ms: Percentiles,
    /// Packets of media sent, and such that could not be.
    pub packets: (u64, u64),
    /// What the server's process used; none if it was not given.
    pub server: Option<Server>,
}

/// Times in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// Nine of ten are below.
    pub p90: f64,
    /// All but one of a hundred are below.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// What the server's process used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Server {
    /// Processor time, in seconds.
    pub processor_seconds: f64,
    /// The same by call that was completed or refused, in milliseconds.
    pub processor_ms_per_call: f64,
    /// Resident memory before the first call, in KiB.
    pub resident_kib_before: u64,
    /// And after the last.
    pub resident_kib_after: u64,
    /// While every call was being spoken into; none if that was never so, or too short.
    pub recording: Option<Recording>,
}

/// What the server's process used while every call was being spoken into.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Recording {
    /// Calls.
    pub calls: usize,
    /// How long that was.
    pub seconds: f64,
    /// Processor time by second and call, in milliseconds.
    pub processor_ms_per_call_second: f64,
    /// How much of one core that is, in percent.
    pub core_percent: f64,
    /// Resident memory more than before the first call, by call, in KiB.
    pub resident_kib_per_call: f64,
}

/// Counts as the run goes on.
pub(super) struct Tally {
    began: Instant,
    process: Option<(Process, Used)>,
    answered: Vec<Duration>,
    refused: Vec<Duration>,
    completed: usize,
    failed: BTreeMap<String, usize>,
    repeats: usize,
    at_once: usize,
    packets: (u64, u64),
    /// Since when every call talks.
    talking_since: Option<Instant>,
    /// The first and the latest look at the server since then.
    looks: Option<(Look, Look)>,
}

#[derive(Clone, Copy)]
struct Look {
    at: Instant,
    calls: usize,
    used: Used,
}

impl Tally {
    pub(super) fn new(process: Option<Process>) -> Self {
        let process = process.and_then(|process| {
            let used = process.used().ok()?;
            Some((process, used))
        });
        Self {
            began: Instant::now(),
            process,
            answered: Vec::new(),
            refused: Vec::new(),
            completed: 0,
            failed: BTreeMap::new(),
            repeats: 0,
            at_once: 0,
            packets: (0, 0),
            talking_since: None,
            looks: None,
        }
    }

    pub(super) fn placed(&mut self, live: usize) {
        self.at_once = self.at_once.max(live);
    }

    pub(super) fn answered(&mut self, after: Duration) {
        self.answered.push(after);
    }

    pub(super) fn completed(&mut self) {
        self.completed += 1;
    }

    /// Whether no call has gone its whole way yet.
    pub(super) fn has_ended_none(&self) -> bool {
        self.completed == 0
    }

    pub(super) fn refused(&mut self, status: u16, after: Duration) {
        self.refused.push(after);
        self.failed(&status.to_string());
    }

    pub(super) fn failed(&mut self, how: &str) {
        *self.failed.entry(how.to_owned()).or_default() += 1;
    }

    pub(super) fn repeated(&mut self) {
        self.repeats += 1;
    }

    pub(super) fn packets(&mut self, (sent, unsent): (u64, u64)) {
        self.packets.0 += sent;
        self.packets.1 += unsent;
    }

    /// Every call is being spoken into: looks at the server once a second.
    pub(super) fn all_talking(&mut self, now: Instant, calls: usize) -> Result<(), Error> {
        let Some((process, _)) = &self.process else { return Ok(()) };
        if now < *self.talking_since.get_or_insert(now) + SETTLING || calls == 0 {
            return Ok(());
        }
        let is_due = |(_, last): (Look, Look)| now - last.at >= Duration::from_secs(1);
        if self.looks.is_none_or(is_due) {
            let look = Look { at: now, calls, used: process.used()? };
            self.looks = Some((self.looks.map_or(look, |(first, _)| first), look));
        }
        Ok(())
    }

    pub(super) fn figures(mut self, plan: &Plan) -> Figures {
        let seconds = self.began.elapsed().as_secs_f64();
        self.answered.sort_unstable();
        self.refused.sort_unstable();
        Figures {
            transport: plan.transport.parameter(),
            calls: plan.calls,
            answered: self.answered.len(),
            completed: self.completed,
            refused: self.refused.len(),
            repeats: self.repeats,
            at_once: self.at_once,
            seconds,
            calls_per_second: self.over() as f64 / seconds,
            invite_to_200_ms: Percentiles::of(&self.answered),
            invite_to_refusal_ms: Percentiles::of(&self.refused),
            packets: self.packets,
            server: self.server(),
            failed: self.failed,
        }
    }

    /// Calls that came to an end of theirs.
    fn over(&self) -> usize {
        self.completed + self.refused.len()
    }

    fn server(&self) -> Option<Server> {
        let (process, before) = self.process.as_ref()?;
        let after = process.used().ok()?;
        let processor = after.processor.saturating_sub(before.processor).as_secs_f64();
        let recording =
            self.looks.filter(|(first, last)| last.at > first.at).map(|(first, last)| {
                let seconds = (last.at - first.at).as_secs_f64();
                let used = last.used.processor.saturating_sub(first.used.processor).as_secs_f64();
                let more = last.used.resident_kib.saturating_sub(before.resident_kib);
                Recording {
                    calls: last.calls,
                    seconds,
                    processor_ms_per_call_second: used * 1e3 / seconds / last.calls as f64,
                    core_percent: used * 100.0 / seconds,
                    resident_kib_per_call: more as f64 / last.calls as f64,
                }
            });
        Some(Server {
            processor_seconds: processor,
            processor_ms_per_call: processor * 1e3 / self.over().max(1) as f64,
            resident_kib_before: before.resident_kib,
            resident_kib_after: after.resident_kib,
            recording,
        })
    }
}

impl Percentiles {
    /// Of times in order.
    fn of(sorted: &[Duration]) -> Self {
        let at = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
            sorted.get(rank).map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        Self { p50: at(50), p90: at(90), p99: at(99), max: at(100) }
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Percentiles { p50, p90, p99, max } = self;
        write!(f, "p50 {p50:.2}, p90 {p90:.2}, p99 {p99:.2}, max {max:.2}")
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: fmt::Arguments<'_>| writeln!(f, "{name:<28} {value}");
        row("transport", format_args!("{}", self.transport))?;
        let (calls, completed, answered) = (self.calls, self.completed, self.answered);
        row("calls", format_args!("{calls}, {answered} answered, {completed} completed"))?;
        for (how, count) in &self.failed {
            row("failed", format_args!("{count}: {how}"))?;
        }
        if self.repeats > 0 {
            row("requests sent again", format_args!("{}", self.repeats))?;
        }
        row("at once, at most", format_args!("{}", self.at_once))?;
        let (rate, seconds) = (self.calls_per_second, self.seconds);
        row("calls a second", format_args!("{rate:.1} over {seconds:.1} s"))?;
        if answered > 0 {
            row("INVITE to 200, ms", format_args!("{}", self.invite_to_200_ms))?;
        }
        if self.refused > 0 {
            row("INVITE to refusal, ms", format_args!("{}", self.invite_to_refusal_ms))?;
        }
        if self.packets != (0, 0) {
            let (sent, unsent) = self.packets;
            row("packets", format_args!("{sent} sent, {unsent} not"))?;
        }
        let Some(server) = &self.server else { return Ok(()) };
        let (used, each) = (server.processor_seconds, server.processor_ms_per_call);
        row("server, processor time", format_args!("{used:.2} s, {each:.3} ms a call"))?;
        let (before, after) = (server.resident_kib_before, server.resident_kib_after);
        row("server, resident memory", format_args!("{before} KiB before, {after} KiB after"))?;
        let Some(recording) = &server.recording else { return Ok(()) };
        let Recording { calls, seconds, processor_ms_per_call_second, .. } = recording;
        let (percent, memory) = (recording.core_percent, recording.resident_kib_per_call);
        row("all calls speaking", format_args!("{calls} for {seconds:.1} s"))?;
        row(
            "  processor time",
            format_args!(
                "{processor_ms_per_call_second:.3} ms a call-second, {percent:.0} % of a core"
            ),
        )?;
        row("  memory", format_args!("{memory:.0} KiB a call"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        let all = Percentiles::of(&times);
        assert_eq!((all.p50, all.p90, all.p99, all.max), (100.0, 180.0, 198.0, 200.0));
        assert_eq!(Percentiles::of(&times[..1]).p99, 1.0);
        assert_eq!(Percentiles::of(&[]).max, 0.0);
    }
}
