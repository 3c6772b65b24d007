//! Contestants that take turns in one run, and what came of it as a table or JSON.
//!
//! Allocations are counted in the same program, so each of them costs every contestant some nanoseconds more.

use std::hint::black_box;
use std::io::{self, Write};

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// Turns of each contestant. A turn that the machine disturbed shows in neither minimum nor median.
const ROUNDS: usize = 101;
/// How long a turn takes, about: long against the clock, short against a scheduler's slice.
const TURN_NS: u64 = 500_000;

/// Something done once by one contestant.
pub struct Entry<'a> {
    /// What is done: entries of one task are compared.
    pub task: &'static str,
    /// Who does it; the first entry of a task is what the others are compared with.
    pub by: &'static str,
    /// Does it once.
    pub run: Box<dyn Fn() + 'a>,
}

impl<'a> Entry<'a> {
    /// An entry; what `run` makes is dropped within the measured time.
    pub fn new<T>(task: &'static str, by: &'static str, run: impl Fn() -> T + 'a) -> Self {
        Entry { task, by, run: Box::new(move || drop(black_box(run()))) }
    }

    /// Calls of the allocator in one run of this thread, reallocations included.
    pub fn allocations(&self) -> u64 {
        // What is set up at the first use is not counted.
        (self.run)();
        allocation_counter::measure(&self.run).count_total
    }
}

/// What one entry took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// What was done.
    pub task: &'static str,
    /// Who did it.
    pub by: &'static str,
    /// The fastest turn, nanoseconds of this thread's processor time for one run.
    pub min_ns: u64,
    /// The median turn.
    pub median_ns: u64,
    /// How many times the first entry of the task takes this long, by the medians.
    pub ratio: f64,
    /// Calls of the allocator.
    pub allocations: u64,
}

/// Lets all entries take turns.
pub fn run(entries: &[Entry<'_>]) -> Vec<Figure> {
    let lengths: Vec<u64> = entries.iter().map(turn_length).collect();
    let mut turns: Vec<Vec<u64>> = vec![Vec::with_capacity(ROUNDS); entries.len()];
    for _ in 0..ROUNDS {
        for ((entry, length), turns) in entries.iter().zip(&lengths).zip(&mut turns) {
            turns.push(turn(entry, *length) / length);
        }
    }
    for turns in &mut turns {
        turns.sort_unstable();
    }
    let median = |turns: &[u64]| turns.get(ROUNDS / 2).copied().unwrap_or_default();
    let yardstick = |task: &str| {
        let first = entries.iter().position(|entry| entry.task == task);
        first.and_then(|at| turns.get(at)).map_or(0, |turns| median(turns))
    };
    let figures = entries.iter().zip(&turns).map(|(entry, turns)| Figure {
        task: entry.task,
        by: entry.by,
        min_ns: turns.first().copied().unwrap_or_default(),
        median_ns: median(turns),
        ratio: yardstick(entry.task) as f64 / median(turns).max(1) as f64,
        allocations: entry.allocations(),
    });
    figures.collect()
}

/// Runs that fill a turn.
fn turn_length(entry: &Entry<'_>) -> u64 {
    let mut length = 1;
    while length < 1 << 20 {
        let took = turn(entry, length);
        if took > TURN_NS / 2 {
            return (length * TURN_NS / took).max(1);
        }
        length *= 2;
    }
    length
}

/// Nanoseconds of processor time for so many runs.
fn turn(entry: &Entry<'_>, runs: u64) -> u64 {
    let began = thread_time_ns();
    for _ in 0..runs {
        (entry.run)();
    }
    thread_time_ns() - began
}

/// Processor time of this thread: what others do meanwhile does not count.
fn thread_time_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Prints figures: a table, or JSON where the arguments have `--json`.
pub fn print(figures: &[Figure], arguments: impl Iterator<Item = String>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if arguments.into_iter().any(|argument| argument == "--json") {
        serde_json::to_writer(&mut out, figures)?;
        return writeln!(out);
    }
    writeln!(
        out,
        "{:<24} {:<10} {:>8} {:>10} {:>8} {:>12}",
        "what", "by", "min ns", "median ns", "ratio", "allocations"
    )?;
    for figure in figures {
        writeln!(
            out,
            "{:<24} {:<10} {:>8} {:>10} {:>8.1} {:>12}",
            figure.task,
            figure.by,
            figure.min_ns,
            figure.median_ns,
            figure.ratio,
            figure.allocations
        )?;
    }
    Ok(())
}
