//! The judge itself: histories made by hand, sound ones and bad ones.

use rollcall_test_raft_simulation::{
    check::{Transition, Truth, contradictions},
    history::{Known, Moment, Operation, Outcome},
};
use rollcall_types::{Epoch, LogIndex, NodeId, PartitionId};

fn transition(index: u64, key: &str, epoch: u64, node: u64, began: bool) -> Transition {
    let (index, epoch, node) = (LogIndex(index), Epoch(epoch), NodeId(node));
    Transition { index, key: key.to_owned(), epoch, node, began }
}

/// Client a: held under epoch 1 from entry 3, released at 5, held under 3 from 7. Client b: held under 2 from 4.
fn truth() -> Truth {
    let transitions = vec![
        transition(3, "a", 1, 1, true),
        transition(4, "b", 2, 2, true),
        transition(5, "a", 1, 1, false),
        transition(7, "a", 3, 2, true),
    ];
    Truth::from([(PartitionId(0), transitions)])
}

fn operation(node: u64, key: &str, (begun, ended): (u64, u64), outcome: Outcome) -> Operation {
    let moment = |order| Moment { order, ms: order };
    let (begun, ended) = (moment(begun), Some(moment(ended)));
    Operation { node: NodeId(node), key: key.to_owned(), partition: PartitionId(0), begun, ended, outcome }
}

fn read(key: &str, at: (u64, u64), online: bool, index: u64, epoch: Option<u64>) -> Operation {
    let known = Known { online, index: LogIndex(index), epoch: epoch.map(Epoch) };
    operation(1, key, at, Outcome::Answered(known))
}

fn claimed(node: u64, key: &str, at: (u64, u64), epoch: u64) -> Operation {
    operation(node, key, at, Outcome::Claimed(Epoch(epoch)))
}

fn released(node: u64, key: &str, at: (u64, u64), epoch: u64) -> Operation {
    operation(node, key, at, Outcome::Released(Epoch(epoch)))
}

fn sound() -> Vec<Operation> {
    vec![
        read("a", (0, 2), false, 2, None),
        claimed(1, "a", (1, 4), 1),
        claimed(2, "b", (3, 6), 2),
        read("a", (5, 8), true, 4, Some(1)),
        released(1, "a", (7, 10), 1),
        read("a", (9, 12), false, 6, Some(1)),
        claimed(2, "a", (13, 16), 3),
        read("a", (14, 15), false, 6, Some(1)),
        read("a", (17, 18), true, 7, Some(3)),
        read("b", (17, 19), true, 9, Some(2)),
    ]
}

#[test]
fn a_sound_history_has_nothing_against_it() {
    assert_eq!(contradictions(&sound(), &truth()), Vec::<String>::new());
    let mut unknown = sound();
    unknown.push(Operation { ended: None, outcome: Outcome::Unknown, ..claimed(1, "a", (20, 0), 9) });
    unknown.push(operation(1, "a", (20, 21), Outcome::Refused("no quorum".to_owned())));
    assert_eq!(contradictions(&unknown, &truth()), Vec::<String>::new());
}

/// A history with one more operation must be refused for this reason.
fn bad(operation: Operation, reason: &str) {
    let mut history = sound();
    history.push(operation);
    let found = contradictions(&history, &truth());
    assert!(found.iter().any(|found| found.contains(reason)), "{reason}: {found:#?}");
}

#[test]
fn every_kind_of_lie_is_found() {
    // Stale: answered from before the release that was acknowledged before the question.
    bad(read("a", (11, 12), true, 4, Some(1)), "time went back");
    // Stale, though it shows the same state.
    bad(read("b", (20, 21), true, 8, Some(2)), "time went back");
    // Offline while held.
    bad(read("a", (20, 21), false, 9, Some(1)), "not what the log says");
    // Online after the release.
    bad(read("a", (9, 13), true, 6, Some(1)), "not what the log says");
    // The right state under a wrong epoch.
    bad(read("a", (20, 21), true, 9, Some(1)), "not what the log says");
    // Never seen, though on record.
    bad(read("b", (20, 21), false, 9, None), "not what the log says");
    // From the future, before it was so.
    bad(read("a", (9, 11), true, 6, Some(3)), "not what the log says");
    // An acknowledged claim that no log has.
    bad(claimed(1, "a", (20, 21), 4), "an acknowledged claim is lost");
    // One that is recorded for another client.
    bad(claimed(2, "a", (20, 21), 2), "an acknowledged claim is lost");
    // One that is recorded for another node.
    bad(claimed(1, "b", (3, 6), 2), "recorded for node 2");
    // A claim placed before what ended before it began.
    bad(claimed(2, "b", (11, 12), 2), "time went back");
    // An acknowledged release that changed nothing.
    bad(released(2, "b", (20, 21), 2), "an acknowledged release is lost");
}

/// A log with one more transition must be refused for this reason.
fn bad_log(transition: Transition, reason: &str) {
    let mut truth = truth();
    truth.get_mut(&PartitionId(0)).unwrap().push(transition);
    let found = contradictions(&[], &truth);
    assert!(found.iter().any(|found| found.contains(reason)), "{reason}: {found:#?}");
}

#[test]
fn a_log_that_breaks_the_promises_is_found() {
    bad_log(transition(8, "c", 3, 1, true), "epoch 3 after 3");
    bad_log(transition(8, "b", 4, 1, true), "is held under 2 and 4");
    bad_log(transition(8, "b", 1, 1, false), "which did not hold it");
    bad_log(transition(8, "c", 1, 1, false), "which did not hold it");
}
