//! Many seeds, over as many threads as the machine has: counts, compares a part of them with a second run, and tells what
//! failed so that it can be run again.

use crate::{
    oracle::Figures,
    run::{Outcome, Tracing, run},
};
use std::{
    fmt::Write as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// One of so many seeds is run twice.
const TWICE_EVERY: u64 = 100;
/// No more failures are told than this.
const FAILURES_MAX: usize = 5;

/// What many seeds came to.
#[derive(Debug, Default)]
pub struct Summary {
    /// Seeds run.
    pub seeds: u64,
    /// Seeds run twice, with the same trace both times.
    pub twice: u64,
    /// What failed, told in full.
    pub failures: Vec<String>,
    /// Simulated time.
    pub simulated: Duration,
    /// Time it took.
    pub took: Duration,
    /// How much was judged.
    pub figures: Figures,
}

/// Runs the seeds from `first` on.
#[must_use]
pub fn campaign(first: u64, seeds: u64) -> Summary {
    let began = Instant::now();
    let next = AtomicU64::new(first);
    let summary = Mutex::new(Summary::default());
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let full = summary.lock().unwrap_or_else(PoisonError::into_inner).failures.len() >= FAILURES_MAX;
                    if seed >= first.saturating_add(seeds) || full {
                        return;
                    }
                    let outcome = run(seed, None, Tracing::LastPart);
                    let again = seed.is_multiple_of(TWICE_EVERY).then(|| run(seed, None, Tracing::LastPart).hash);
                    summary.lock().unwrap_or_else(PoisonError::into_inner).add(&outcome, again);
                }
            });
        }
    });
    let mut summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.took = began.elapsed();
    summary
}

impl Summary {
    fn add(&mut self, outcome: &Outcome, again: Option<u64>) {
        self.seeds += 1;
        self.simulated += Duration::from_micros(outcome.simulated_us);
        self.figures = self.figures.plus(outcome.figures);
        if outcome.failure.is_some() {
            self.failures.push(told(outcome));
        }
        match again {
            Some(hash) if hash == outcome.hash => self.twice += 1,
            Some(_) => self.failures.push(format!("seed {}: its second run went another way", outcome.plan.seed)),
            None => {}
        }
    }

    /// A few lines about all of it.
    #[must_use]
    pub fn told(&self) -> String {
        let Figures { answers, connections, takeovers, lost_with_node, wills } = self.figures;
        format!(
            "{} seeds in {:.1} s, {:.0} s simulated; {} run twice with the same trace; judged: {answers} answers, \
             {connections} connections, {takeovers} takeovers, {lost_with_node} lost with their node, {wills} wills; \
             {} failures",
            self.seeds,
            self.took.as_secs_f64(),
            self.simulated.as_secs_f64(),
            self.twice,
            self.failures.len(),
        )
    }
}

/// A failed run: its seed, the promise, the sentence, and the last part of its trace.
#[must_use]
pub fn told(outcome: &Outcome) -> String {
    let mut text = String::new();
    for line in &outcome.trace {
        let _ = writeln!(text, "{line}");
    }
    if let Some(failure) = &outcome.failure {
        let _ = writeln!(text, "seed {} breaks {}: {}", outcome.plan.seed, failure.invariant, failure.sentence);
    }
    let _ = write!(text, "see all of it: cargo xtask simulate --seed {}", outcome.plan.seed);
    text
}
