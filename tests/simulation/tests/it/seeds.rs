//! A short campaign, and the kept seeds. `cargo xtask simulate` runs more.

use rollcall_test_simulation::{
    campaign::{campaign, told},
    kept,
    run::{Tracing, run},
};

/// Seeds of the short campaign.
const SEEDS: u64 = 100;
/// Seeds that are run twice.
const TWICE: [u64; 4] = [7, 1007, 2007, 3007];

#[test]
fn no_seed_breaks_a_promise() {
    let summary = campaign(0, SEEDS);
    assert!(summary.failures.is_empty(), "{}\n{}", summary.failures.join("\n\n"), summary.told());
    assert_eq!(summary.seeds, SEEDS);
    // A campaign in which nothing happens proves nothing.
    let figures = summary.figures;
    assert!(figures.answers > 100 * SEEDS && figures.takeovers > 10 * SEEDS, "{}", summary.told());
    assert!(figures.lost_with_node > SEEDS && figures.wills > 10 * SEEDS, "{}", summary.told());
}

#[test]
fn a_seed_goes_the_same_way_each_time_and_another_seed_another_way() {
    let hashes: Vec<u64> = TWICE
        .into_iter()
        .map(|seed| {
            let (first, second) = (run(seed, None, Tracing::LastPart), run(seed, None, Tracing::LastPart));
            assert_eq!(first.hash, second.hash, "seed {seed} went two ways");
            assert_eq!(first.trace, second.trace);
            first.hash
        })
        .collect();
    assert!(hashes.iter().all(|hash| hashes.iter().filter(|other| *other == hash).count() == 1), "{hashes:x?}");
}

#[test]
fn seeds_that_once_failed_pass() {
    let kept = kept::seeds().unwrap();
    assert!(!kept.is_empty());
    for (seed, sentence) in kept {
        let outcome = run(seed, None, Tracing::LastPart);
        assert!(outcome.failure.is_none(), "{sentence}\n{}", told(&outcome));
    }
}
