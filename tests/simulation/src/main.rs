//! `cargo xtask simulate`: many seeds, or one with all that happened in it.

#![forbid(unsafe_code)]

use clap::Parser;
use rollcall_test_simulation::{Outcome, run, run_traced};
use std::{
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

/// One seed in a hundred is run twice.
const TWICE_EVERY: u64 = 100;

/// Runs the rules under faults that seeds decide.
#[derive(Parser)]
#[command(name = "simulate")]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Only this seed, with everything that happened.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(seed) = arguments.seed {
        let outcome = run_traced(seed);
        outcome.trace.iter().for_each(|line| println!("{line}"));
        return told(&outcome);
    }
    let began = Instant::now();
    let (next, answers, acknowledged) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let failed: Mutex<Vec<Outcome>> = Mutex::default();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::SeqCst);
                    if place >= arguments.seeds {
                        return;
                    }
                    let seed = arguments.first + place;
                    let outcome = run(seed);
                    answers.fetch_add(outcome.answers, Ordering::SeqCst);
                    acknowledged.fetch_add(outcome.acknowledged, Ordering::SeqCst);
                    let differs = place % TWICE_EVERY == 0 && run(seed).trace_hash != outcome.trace_hash;
                    if differs {
                        eprintln!("seed {seed}: two runs differ");
                    }
                    if (differs || outcome.violation.is_some())
                        && let Ok(mut failed) = failed.lock()
                    {
                        failed.push(outcome);
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    failed.sort_by_key(|outcome| outcome.seed);
    if let Some(first) = failed.first() {
        first.trace.iter().for_each(|line| println!("{line}"));
    }
    for outcome in &failed {
        told(outcome);
    }
    println!(
        "{} seeds in {:.1} s: {} failed, {} questions answered, {} connections acknowledged",
        arguments.seeds,
        began.elapsed().as_secs_f64(),
        failed.len(),
        answers.into_inner(),
        acknowledged.into_inner()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn told(outcome: &Outcome) -> ExitCode {
    match &outcome.violation {
        None => {
            println!("seed {}: all held, trace {:016x}", outcome.seed, outcome.trace_hash);
            ExitCode::SUCCESS
        }
        Some(violation) => {
            println!("seed {}: {} is broken: {}", outcome.seed, violation.invariant, violation.detail);
            ExitCode::FAILURE
        }
    }
}
