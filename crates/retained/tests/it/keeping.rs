//! What is kept, replaced, cleared and forgotten, and what is refused.

use crate::world::{NO_LIMITS, WIDE, apply, batch, expiring, keeping, message, topics};
use rollcall_retained::{
    EXPIRED_PER_ENTRY_MAX, RetainedCommand, RetainedLimits, RetainedOutcome, RetainedRefusal, RetainedState,
};
use rollcall_types::ClusterTime;

#[test]
fn the_newest_message_of_a_topic_is_kept_and_an_empty_one_clears_it() {
    let mut state = RetainedState::default();
    let done = apply(&mut state, 0, NO_LIMITS, batch(1, 1, 1, &[message("a", "1"), message("a", "2")]));
    assert_eq!(done, [RetainedOutcome::Kept; 2]);
    let page = state.matching("a", None, ClusterTime(0), WIDE);
    assert_eq!(page.messages, [message("a", "2")]);
    assert_eq!(apply(&mut state, 0, NO_LIMITS, batch(2, 1, 1, &[message("a", "")])), [RetainedOutcome::Cleared]);
    assert_eq!((topics(&state, "#", 0).len(), state.bytes()), (0, 0));
}

#[test]
fn an_expired_message_is_hidden_at_once_and_removed_with_the_next_entries() {
    let mut state = RetainedState::default();
    let many: Vec<_> = (0..EXPIRED_PER_ENTRY_MAX + 10).map(|n| expiring(&format!("e/{n}"), 2)).collect();
    apply(&mut state, 1000, NO_LIMITS, batch(1, 1, 1, &many));
    apply(&mut state, 1000, NO_LIMITS, batch(1, 1, 2, &[message("stays", "p")]));
    assert_eq!(topics(&state, "e/#", 2999).len(), many.len());
    let left = state.matching("e/0", None, ClusterTime(1500), WIDE).messages[0].properties.expiry_s;
    assert_eq!(left, Some(2), "1500 ms are left, in whole seconds and never too few");
    assert_eq!(topics(&state, "#", 3000), ["stays"]);
    state.expire(ClusterTime(3000));
    assert_eq!(state.len(), 11, "a bounded number an entry");
    state.expire(ClusterTime(3000));
    assert_eq!((state.len(), state.bytes()), (1, keeping(&["stays"]).bytes() - 4));
}

#[test]
fn a_message_that_replaces_an_expiring_one_does_not_expire_with_it() {
    let mut state = RetainedState::default();
    apply(&mut state, 0, NO_LIMITS, batch(1, 1, 1, &[expiring("a", 1)]));
    apply(&mut state, 500, NO_LIMITS, batch(1, 1, 2, &[message("a", "p")]));
    state.expire(ClusterTime(5000));
    assert_eq!(topics(&state, "a", 5000), ["a"]);
}

#[test]
fn a_retry_is_answered_as_the_first_try_was_and_never_undoes_a_later_message() {
    let mut state = RetainedState::default();
    let limits = RetainedLimits { messages: 1, bytes: 0 };
    let first = batch(1, 1, 1, &[message("a", "old"), message("b", "too many")]);
    let answer = [RetainedOutcome::Kept, RetainedOutcome::Refused(RetainedRefusal::Messages)];
    assert_eq!(apply(&mut state, 0, limits, first.clone()), answer);
    apply(&mut state, 0, limits, batch(2, 1, 1, &[message("a", "new")]));
    assert_eq!(apply(&mut state, 0, limits, first.clone()), answer, "the retry");
    apply(&mut state, 0, limits, batch(1, 1, 2, &[message("a", "newer")]));
    assert_eq!(apply(&mut state, 0, limits, first), [RetainedOutcome::Superseded; 2], "a straggler");
    apply(&mut state, 0, limits, batch(1, 2, 1, &[message("a", "newest")]));
    let straggler = batch(1, 1, 3, &[message("a", "of a dead incarnation")]);
    assert_eq!(apply(&mut state, 0, limits, straggler), [RetainedOutcome::Superseded]);
    assert_eq!(state.matching("a", None, ClusterTime(0), WIDE).messages, [message("a", "newest")]);
}

#[test]
fn nothing_of_a_dead_incarnation_is_applied() {
    let mut state = RetainedState::default();
    let batches = vec![batch(1, 1, 1, &[message("a", "1")]), batch(2, 1, 1, &[message("b", "1")])];
    let command = RetainedCommand { limits: NO_LIMITS, batches };
    let done = state.apply(ClusterTime(0), command, |source| source.node.0 == 1);
    assert_eq!(done, [[RetainedOutcome::Superseded], [RetainedOutcome::Kept]]);
    assert_eq!(topics(&state, "#", 0), ["b"]);
}

#[test]
fn limits_refuse_what_would_pass_them_and_let_a_topic_be_replaced_or_shrunk() {
    let mut state = keeping(&["a", "b"]);
    let limits = RetainedLimits { messages: 2, bytes: state.bytes() + 10 };
    let refused = RetainedOutcome::Refused;
    let large = "x".repeat(12);
    let tries = [message("c", "1"), message("a", "2"), message("a", &large), message("b", "")];
    assert_eq!(
        apply(&mut state, 0, limits, batch(2, 1, 1, &tries)),
        [
            refused(RetainedRefusal::Messages),
            RetainedOutcome::Kept,
            refused(RetainedRefusal::Bytes),
            RetainedOutcome::Cleared
        ]
    );
    let tight = RetainedLimits { messages: 0, bytes: 1 };
    let smaller = apply(&mut state, 0, tight, batch(2, 1, 2, &[message("a", "1"), message("a", "33")]));
    assert_eq!(smaller, [RetainedOutcome::Kept, refused(RetainedRefusal::Bytes)], "no larger than before is let in");
}

#[test]
fn a_snapshot_carries_everything_that_counts() {
    let mut state = keeping(&["a", "a/b", "/"]);
    apply(&mut state, 0, NO_LIMITS, batch(2, 1, 7, &[expiring("e", 9), message("", "x")]));
    let bytes = postcard::to_allocvec(&state).unwrap();
    let restored: RetainedState = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(restored, state);
}
