//! The search for an input that fails.

use crate::{Target, mutate, random::Random};
use std::any::Any;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Inputs that are kept to be mutated; beyond it a new one takes the place of another.
const POOL_MAX: usize = 2_000;
/// Tries to make an input that fails smaller.
const SMALLER_TRIES_MAX: usize = 300;
/// Between two looks at the clock.
const CASES_BETWEEN_LOOKS: u64 = 64;

/// How long is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effort {
    /// So many inputs.
    Cases(u64),
    /// For so many seconds.
    Seconds(u64),
}

/// What is decided before the search.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The seed of all choices.
    pub seed: u64,
    /// How long.
    pub effort: Effort,
}

/// A search that found nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    /// Inputs tried.
    pub cases: u64,
    /// Different shapes of outcomes seen.
    pub shapes: usize,
}

/// An input that fails.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Its number in the search.
    pub case: u64,
    /// The input, made smaller.
    pub input: Vec<u8>,
    /// What is wrong with it.
    pub wrong: String,
}

/// Tries the examples, then inputs made from them.
///
/// # Errors
/// The first input that fails.
pub fn search(
    target: Target<'_>,
    plan: Plan,
    mut check: impl FnMut(&[u8]) -> Result<u64, String>,
) -> Result<Report, Failure> {
    let (began, mut random) = (Instant::now(), Random::new(plan.seed));
    let mut pool = target.examples.to_vec();
    let mut shapes = HashSet::new();
    let mut case = 0;
    while match plan.effort {
        Effort::Cases(cases) => case < cases,
        Effort::Seconds(seconds) => case % CASES_BETWEEN_LOOKS != 0 || began.elapsed() < Duration::from_secs(seconds),
    } {
        let example = usize::try_from(case).ok().and_then(|place| target.examples.get(place));
        let input = example.cloned().unwrap_or_else(|| mutate::next(&pool, target.bytes_max, &mut random));
        match tried(&mut check, &input) {
            Ok(shape) => {
                if shapes.insert(shape) && example.is_none() {
                    if pool.len() < POOL_MAX {
                        pool.push(input);
                    } else {
                        let place = random.below(pool.len());
                        pool[place] = input;
                    }
                }
            }
            Err(wrong) => {
                let (input, wrong) = smaller(&mut check, input, wrong);
                return Err(Failure { case, input, wrong });
            }
        }
        case += 1;
    }
    Ok(Report { cases: case, shapes: shapes.len() })
}

fn tried(check: &mut impl FnMut(&[u8]) -> Result<u64, String>, input: &[u8]) -> Result<u64, String> {
    catch_unwind(AssertUnwindSafe(|| check(input))).unwrap_or_else(|panic| Err(sentence(&*panic)))
}

fn sentence(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("without a sentence"))
}

/// Takes pieces out while the input still fails: halves first, single bytes last.
fn smaller(
    check: &mut impl FnMut(&[u8]) -> Result<u64, String>,
    mut input: Vec<u8>,
    mut wrong: String,
) -> (Vec<u8>, String) {
    let (mut piece, mut tries) = (input.len() / 2, 0);
    while piece > 0 {
        let mut place = 0;
        while place + piece <= input.len() {
            if tries == SMALLER_TRIES_MAX {
                return (input, wrong);
            }
            tries += 1;
            let mut without = input.clone();
            without.drain(place..place + piece);
            match tried(check, &without) {
                Ok(_) => place += piece,
                Err(now) => (input, wrong) = (without, now),
            }
        }
        piece /= 2;
    }
    (input, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(examples: &[Vec<u8>]) -> Target<'_> {
        Target { name: "test", examples, bytes_max: 100, cases: 0 }
    }

    const PLAN: Plan = Plan { seed: 1, effort: Effort::Cases(100_000) };

    #[test]
    fn what_is_wrong_is_found_made_smaller_and_found_again_by_its_seed() {
        let examples = [b"some valid bytes that are long enough to be cut".to_vec()];
        let check = |input: &[u8]| match input.windows(2).any(|pair| pair == [0xFF, b's']) {
            true => Err("0xFF before an s".to_owned()),
            false => Ok(0),
        };
        let failure = search(target(&examples), PLAN, check).unwrap_err();
        assert_eq!((&failure.input[..], failure.wrong.as_str()), (&[0xFF, b's'][..], "0xFF before an s"));
        assert_eq!(search(target(&examples), PLAN, check), Err(failure));
    }

    #[test]
    fn a_panic_is_a_failure_with_its_sentence() {
        let failure = search(target(&[vec![7]]), PLAN, |input| {
            assert!(input.first() != Some(&8), "the first byte is 8");
            Ok(0)
        });
        let failure = failure.unwrap_err();
        assert_eq!((failure.input, failure.wrong.as_str()), (vec![8], "panicked: the first byte is 8"));
    }

    #[test]
    fn new_shapes_lead_further_than_chance_alone() {
        // Each right byte is a shape of its own; all five at once are out of the reach of chance.
        let check = |input: &[u8]| match input.iter().zip(b"MQTT5").take_while(|(read, wanted)| read == wanted).count()
        {
            5 => Err("there".to_owned()),
            right => Ok(right as u64),
        };
        assert_eq!(search(target(&[vec![0; 5]]), PLAN, check).unwrap_err().input, b"MQTT5");
    }

    #[test]
    fn a_search_that_finds_nothing_ends_after_its_cases_or_its_time() {
        let cases = Plan { seed: 1, effort: Effort::Cases(100) };
        assert_eq!(search(target(&[vec![1]]), cases, |_| Ok(1)), Ok(Report { cases: 100, shapes: 1 }));
        let time = Plan { seed: 1, effort: Effort::Seconds(0) };
        assert_eq!(search(target(&[vec![1]]), time, |_| Ok(1)), Ok(Report { cases: 0, shapes: 0 }));
    }
}
