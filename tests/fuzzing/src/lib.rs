//! Random and damaged input for whatever reads bytes of others, on a stable compiler: seeds decide all, valid examples
//! are mutated, and inputs that lead to an outcome of a new shape are mutated further.
//!
//! A target is a test named `fuzzed_…` in the crate that owns what is tried; it calls [`run`] with its examples and a
//! check. As a plain test it tries a bounded number of inputs; `cargo xtask fuzz` gives it time instead. An input that
//! fails is made smaller and written to a file, and tried again alone with `ROLLCALL_FUZZ_INPUT`.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a harness, a failure is the failure of the test")]

mod choices;
mod mutate;
mod random;
mod search;

pub use choices::Choices;
pub use search::{Effort, Failure, Plan, Report, search};

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// Seconds for each target, in place of a number of inputs.
pub const SECONDS_VARIABLE: &str = "ROLLCALL_FUZZ_SECONDS";
/// The seed of all choices.
pub const SEED_VARIABLE: &str = "ROLLCALL_FUZZ_SEED";
/// A file with one input, to be tried alone.
pub const INPUT_VARIABLE: &str = "ROLLCALL_FUZZ_INPUT";
/// The seed where none is given: a plain test tries the same inputs each time.
const SEED: u64 = 1;

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Names the target and the file of an input that fails.
    pub name: &'a str,
    /// Inputs to begin with.
    pub examples: &'a [Vec<u8>],
    /// Longest input.
    pub bytes_max: usize,
    /// Inputs that a plain test tries.
    pub cases: u64,
}

/// Names the shape of an outcome: inputs whose outcome has a new one are kept and mutated.
pub fn shape(outcome: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    outcome.hash(&mut hasher);
    hasher.finish()
}

/// Tries a target as the environment asks, and panics with all there is to say about an input that fails. The check
/// tells the shape of the outcome, or what is wrong with it; a panic is wrong too.
///
/// # Panics
/// When an input fails.
pub fn run(target: Target<'_>, mut check: impl FnMut(&[u8]) -> Result<u64, String>) {
    if let Some(path) = std::env::var_os(INPUT_VARIABLE) {
        let input = std::fs::read(&path).expect("the file with the input");
        check(&input).unwrap_or_else(|wrong| panic!("{}: {wrong}", target.name));
        return;
    }
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let effort = number(SECONDS_VARIABLE).map_or(Effort::Cases(target.cases), Effort::Seconds);
    let plan = Plan { seed: number(SEED_VARIABLE).unwrap_or(SEED), effort };
    match search(target, plan, check) {
        Ok(Report { cases, shapes }) => {
            println!("fuzz: {}: seed {}, {cases} inputs, {shapes} shapes of outcomes", target.name, plan.seed);
        }
        Err(failure) => {
            let file = write(target.name, plan.seed, &failure.input);
            panic!(
                "{}, seed {}, input {} of it: {}\n{} bytes {:02x?}\ntry it alone: {INPUT_VARIABLE}={} cargo test {}",
                target.name,
                plan.seed,
                failure.case,
                failure.wrong,
                failure.input.len(),
                failure.input,
                file.display(),
                target.name,
            );
        }
    }
}

fn write(name: &str, seed: u64, input: &[u8]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace").to_owned();
    let folder = root.join("target/fuzzing");
    std::fs::create_dir_all(&folder).expect("a folder in target/");
    let file = folder.join(format!("{name}-{seed}.bin"));
    std::fs::write(&file, input).expect("a file in target/fuzzing/");
    file
}
