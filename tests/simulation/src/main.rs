//! `cargo xtask simulate`: many seeds, or one with its whole trace.

#![forbid(unsafe_code)]

use clap::Parser;
use rollcall_test_simulation::{
    campaign::campaign,
    run::{Tracing, run},
};
use std::process::ExitCode;

/// Runs the rules under faults that seeds decide.
#[derive(Parser)]
#[command(name = "simulate", about)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Run this seed alone, with everything that happens.
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let Arguments { seeds, first, seed } = Arguments::parse();
    match seed {
        Some(seed) => one(seed),
        None => many(first, seeds),
    }
}

fn one(seed: u64) -> ExitCode {
    let outcome = run(seed, None, Tracing::Aloud);
    match &outcome.failure {
        Some(failure) => {
            println!("seed {seed} breaks {}: {}", failure.invariant, failure.sentence);
            ExitCode::FAILURE
        }
        None => {
            println!("seed {seed} passes, trace {:016x}", outcome.hash);
            ExitCode::SUCCESS
        }
    }
}

fn many(first: u64, seeds: u64) -> ExitCode {
    let summary = campaign(first, seeds);
    for failure in &summary.failures {
        println!("{failure}\n");
    }
    println!("{}", summary.told());
    if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
