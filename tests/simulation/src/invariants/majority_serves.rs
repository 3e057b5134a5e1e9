//! Where every group has a majority that hears each other, connects and questions are served on every node that runs. Who
//! tries, and from when on it must succeed, is decided where the phases of a run are (`src/healing.rs`).

use super::Verdict;

const NAME: &str = "majority_serves";

/// Somebody was not served.
pub(crate) fn of_refusal(sentence: String) -> Verdict {
    Err((NAME, sentence))
}
