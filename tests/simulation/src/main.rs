//! `cargo xtask simulate`: many seeds, or one with its whole trace.

#![forbid(unsafe_code)]

use rollcall_test_simulation::{
    campaign::campaign,
    run::{Tracing, run},
};
use std::process::ExitCode;

/// What was asked for.
struct Arguments {
    first: u64,
    seeds: u64,
    seed: Option<u64>,
}

fn main() -> ExitCode {
    match arguments(std::env::args().skip(1)) {
        Err(sentence) => {
            eprintln!("simulate: {sentence}; usage: simulate [--first N] [--seeds N] [--seed N]");
            ExitCode::from(2)
        }
        Ok(Arguments { seed: Some(seed), .. }) => {
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
        Ok(Arguments { first, seeds, seed: None }) => {
            let summary = campaign(first, seeds);
            for failure in &summary.failures {
                println!("{failure}\n");
            }
            println!("{}", summary.told());
            if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments { first: 0, seeds: 100, seed: None };
    while let Some(name) = given.next() {
        let value = given.next().and_then(|value| value.parse().ok()).ok_or(format!("{name} needs a number"))?;
        match name.as_str() {
            "--first" => arguments.first = value,
            "--seeds" => arguments.seeds = value,
            "--seed" => arguments.seed = Some(value),
            _ => return Err(format!("{name} is not known")),
        }
    }
    Ok(arguments)
}
