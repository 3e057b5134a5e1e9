//! The judges are judged: hand-made histories, each wrong in one way, are rejected by the check that is there for it; a
//! right one with the same kinds of events is accepted by all.

use rollcall_test_chaos::check::logged::{self, Disk, Logged};
use rollcall_test_chaos::check::{Bounds, Invariant, all, register};
use rollcall_test_chaos::history::{Fault, MessageLine, Op, Operation, Outcome, QUIET};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const BOUNDS: Bounds = Bounds { ghost_ns: 7_000, displaced_ns: 5_000, received_ns: 2_000 };
const LIMIT: Duration = Duration::from_secs(20);
/// All at rest from here on.
const REST: u64 = 100_000;

#[derive(Default)]
struct History(Vec<Operation>);

impl History {
    fn add(&mut self, op: Op, key: &str, node: &str, start: u64, end: Option<u64>) -> &mut Operation {
        self.0.push(Operation {
            cell: "made".to_owned(),
            worker: 0,
            op,
            key: key.to_owned(),
            node: node.to_owned(),
            start_ns: start,
            end_ns: end,
            outcome: if end.is_some() { Outcome::Ok } else { Outcome::Unknown },
            online: None,
            epoch: None,
            partition: None,
            index: None,
            connection: None,
            reason: None,
            message: None,
            group: None,
        });
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    fn connect(&mut self, key: &str, node: &str, number: u64, start: u64, end: u64) {
        self.add(Op::Connect, key, node, start, Some(end)).connection = Some(number);
    }

    fn ended(&mut self, op: Op, key: &str, node: &str, number: u64, at: u64) {
        self.add(op, key, node, at, Some(at + 10)).connection = Some(number);
    }

    /// An answer of partition 1: at, online, epoch, index.
    fn status(&mut self, key: &str, node: &str, at: u64, online: bool, epoch: Option<u64>, index: u64) {
        let line = self.add(Op::Status, key, node, at, Some(at + 10));
        (line.online, line.epoch, line.partition, line.index) = (Some(online), epoch, Some(1), Some(index));
    }

    fn message(&mut self, op: Op, key: &str, number: u64, qos: u8, start: u64, end: Option<u64>) -> &mut Operation {
        let line = self.add(op, key, "n1", start, end);
        line.connection = Some(1);
        line.message = Some(MessageLine { publisher: "p".to_owned(), number, qos });
        line
    }

    /// A message comes to a member of the group.
    fn arrives(&mut self, member: &str, number: u64, qos: u8, at: u64) {
        self.message(Op::Receive, member, number, qos, at, Some(at)).group = Some("g".to_owned());
    }

    fn without(mut self, wrong: impl Fn(&Operation) -> bool) -> Self {
        self.0.retain(|line| !wrong(line));
        self
    }
}

/// A client at n1, displaced at n2, gone; another that is held to the end.
fn good() -> History {
    let mut history = History::default();
    history.status("a", "n3", 0, false, None, 1);
    history.connect("a", "n1", 1, 100, 200);
    history.status("a", "n1", 300, true, Some(5), 10);
    history.status("a", "n2", 400, true, Some(5), 10);
    history.connect("a", "n2", 2, 500, 600);
    history.ended(Op::HoldEnd, "a", "n1", 1, 450);
    history.status("a", "n3", 700, true, Some(6), 12);
    history.connect("b", "n3", 1, 800, 900);
    history.status("b", "n1", 1_000, true, Some(7), 14);
    history.ended(Op::Drop, "a", "n2", 2, 1_100);
    history.status("a", "n1", 1_150, true, Some(6), 14);
    history.status("a", "n2", 1_300, false, Some(6), 15);
    for (place, node) in ["n1", "n2", "n3"].into_iter().enumerate() {
        let at = REST + 100 * place as u64;
        history.status("a", node, at, false, Some(6), 20);
        history.status("b", node, at + 20, true, Some(7), 20);
    }
    history.ended(Op::Disconnect, "b", "n3", 1, REST + 1_000);
    history
}

fn at_rest() -> Vec<Fault> {
    let quiet = Fault {
        cell: "made".to_owned(),
        fault: QUIET.to_owned(),
        target: String::new(),
        from_ns: REST,
        to_ns: REST + 900,
    };
    vec![quiet]
}

/// The names of the checks that reject the history, the linearizability checker's among them.
fn rejections(history: &History) -> BTreeSet<String> {
    let verdict = register::check(&history.0, LIMIT);
    assert_eq!(verdict.unknown, [] as [&str; 0]);
    let found = all(&history.0, &at_rest(), BOUNDS);
    found.into_iter().chain(verdict.anomalies).map(|anomaly| anomaly.check).collect()
}

#[track_caller]
fn assert_rejected(history: &History, checks: &[&str]) {
    let found = rejections(history);
    for check in checks {
        assert!(found.contains(*check), "{check} accepts it; rejected by {found:?}");
    }
}

#[test]
fn a_right_history_is_accepted() {
    assert_eq!(rejections(&good()), BTreeSet::new());
}

#[test]
fn a_stale_read_is_rejected_by_position_and_without() {
    let mut history = good();
    // The claim of b had been seen at index 14.
    history.status("b", "n2", 1_400, false, None, 13);
    assert_rejected(&history, &["index_goes_back", "false_while_held", "record_lost", "no_order"]);
}

#[test]
fn a_stale_read_is_rejected_even_where_its_position_lies() {
    let mut history = good();
    history.status("b", "n2", 1_400, false, Some(7), 19);
    assert_rejected(&history, &["false_while_held", "revived_in_log", "session_revived", "no_order"]);
}

#[test]
fn a_lost_write_is_rejected() {
    let mut history = good().without(|line| line.key == "b" && line.op == Op::Status);
    for node in ["n1", "n2", "n3"] {
        history.status("b", node, REST + 500, false, None, 30);
    }
    assert_rejected(&history, &["claim_lost", "false_while_held", "no_order"]);
}

#[test]
fn a_claim_forgotten_by_power_loss_is_rejected() {
    let mut history = good().without(|line| line.key == "b" && line.start_ns >= REST);
    // The client saw its connection end; the record of the claim must be there all the same.
    history.ended(Op::HoldEnd, "b", "n3", 1, 2_000);
    history.status("b", "n1", REST + 10, false, None, 30);
    assert_rejected(&history, &["record_lost"]);
}

#[test]
fn a_split_brain_is_rejected() {
    let mut history = good();
    history.status("b", "n1", 1_500, true, Some(7), 16);
    history.status("b", "n2", 1_500, false, Some(7), 16);
    assert_rejected(&history, &["two_states_at_one_index", "no_order"]);
}

#[test]
fn a_revived_session_is_rejected() {
    let mut history = good();
    history.status("a", "n2", 1_500, true, Some(6), 16);
    assert_rejected(&history, &["session_revived", "revived_in_log", "no_order"]);
}

#[test]
fn an_index_that_travels_back_in_time_is_rejected() {
    let mut history = good();
    // Another client of the same partition, and an answer that is right in itself.
    history.status("never seen", "n2", 1_500, false, None, 9);
    assert_eq!(rejections(&history), BTreeSet::from(["index_goes_back".to_owned()]));
}

#[test]
fn two_owners_are_rejected() {
    let mut history = good();
    history.connect("c", "n1", 1, 2_000, 2_100);
    history.connect("c", "n2", 2, 2_200, 2_300);
    // Both answer their clients for long after.
    history.ended(Op::Disconnect, "c", "n1", 1, 9_000);
    history.ended(Op::Disconnect, "c", "n2", 2, 9_000);
    assert_eq!(rejections(&history), BTreeSet::from(["two_alive".to_owned()]));
}

#[test]
fn false_offline_under_a_held_connection_is_rejected() {
    let mut history = good();
    history.connect("c", "n1", 1, 2_000, 2_100);
    history.status("c", "n2", 2_200, false, Some(8), 17);
    history.ended(Op::Drop, "c", "n1", 1, 2_300);
    let found = rejections(&history);
    assert_eq!(found, BTreeSet::from(["false_while_held".to_owned(), "no_order".to_owned()]));
    let anomalies = all(&history.0, &at_rest(), BOUNDS);
    assert!(anomalies.iter().all(|anomaly| anomaly.invariant == Invariant::NoFalseOffline), "{anomalies:?}");
}

#[test]
fn a_lasting_ghost_is_rejected() {
    let mut history = good();
    history.connect("c", "n1", 1, 2_000, 2_100);
    history.ended(Op::Drop, "c", "n1", 1, 2_300);
    history.status("c", "n2", 2_310 + BOUNDS.ghost_ns + 1, true, Some(8), 17);
    assert_eq!(rejections(&history), BTreeSet::from(["ghost".to_owned()]));
}

#[test]
fn a_ghost_at_rest_is_rejected() {
    let mut history = good();
    history.connect("c", "n1", 1, REST - 400, REST - 300);
    history.ended(Op::Drop, "c", "n1", 1, REST - 200);
    history.status("c", "n2", REST + 50, true, Some(8), 20);
    assert_eq!(rejections(&history), BTreeSet::from(["ghost_at_rest".to_owned()]));
}

#[test]
fn an_epoch_that_goes_back_is_rejected() {
    let mut history = good();
    history.status("a", "n3", 1_500, false, Some(5), 16);
    assert_rejected(&history, &["epoch_goes_back", "epoch_against_log"]);
}

#[test]
fn an_epoch_given_twice_is_rejected() {
    let mut history = good();
    history.connect("c", "n1", 1, 2_000, 2_100);
    history.status("c", "n2", 2_200, true, Some(7), 17);
    history.ended(Op::Disconnect, "c", "n1", 1, 2_300);
    assert_eq!(rejections(&history), BTreeSet::from(["epoch_reused".to_owned()]));
}

#[test]
fn a_read_of_a_value_that_was_never_written_is_rejected() {
    let mut history = good();
    history.status("nobody", "n2", 1_500, true, Some(9), 16);
    assert_rejected(&history, &["online_before_connect", "no_order"]);
}

#[test]
fn nodes_that_disagree_at_rest_are_rejected() {
    let mut history = good();
    history.status("a", "n3", REST + 600, false, Some(7), 25);
    assert_rejected(&history, &["nodes_disagree"]);
}

#[test]
fn a_node_without_an_answer_at_rest_and_a_cell_without_rest_are_rejected() {
    let mut history = good();
    history.add(Op::Status, "a", "n3", REST + 700, None);
    assert_rejected(&history, &["no_answer"]);
    let found = all(&good().0, &[], BOUNDS);
    assert!(found.iter().any(|anomaly| anomaly.check == "never_at_rest"), "{found:?}");
}

#[test]
fn a_connect_without_an_answer_may_take_effect_or_not_and_later_or_never() {
    for online in [true, false] {
        let mut history = good();
        history.add(Op::Connect, "c", "n1", 2_000, None).connection = Some(1);
        history.ended(Op::Drop, "c", "n1", 1, 2_200);
        history.status("c", "n2", 2_100, false, None, 16);
        history.status("c", "n2", 2_300, online, online.then_some(8), 17);
        history.status("c", "n2", 2_400, false, online.then_some(8), 18);
        assert_eq!(rejections(&history), BTreeSet::new(), "online {online}");
        // But once it was over it stays so.
        history.status("c", "n2", 2_500, true, Some(9), 19);
        let found = rejections(&history);
        assert_eq!(found.contains("no_order"), online, "{found:?}");
    }
}

#[test]
fn a_fence_that_comes_together_with_the_connack_is_accepted() {
    let mut history = good();
    history.connect("c", "n1", 1, 2_000, 2_500);
    history.status("c", "n2", 2_600, false, Some(8), 17);
    // No sign of life after the CONNACK: the close was seen later.
    let line = history.add(Op::HoldEnd, "c", "n1", 2_000, Some(4_000));
    line.connection = Some(1);
    assert_eq!(rejections(&history), BTreeSet::new());
}

#[test]
fn too_many_operations_on_one_client_id_are_no_verdict() {
    let mut history = History::default();
    for step in 0..=register::OPERATIONS_PER_KEY_MAX as u64 {
        history.status("a", "n1", step * 20, false, None, 1);
    }
    assert_eq!(register::check(&history.0, LIMIT).unknown, ["a"]);
}

/// The log that belongs to the good history, as it is on the disk of two nodes.
fn disks() -> BTreeMap<String, Disk> {
    let logged = |index, ordinal, client_id: &str, epoch, transition: &str| Logged {
        partition: 1,
        index,
        ordinal,
        client_id: client_id.to_owned(),
        epoch,
        transition: transition.to_owned(),
    };
    let transitions = vec![
        logged(9, 0, "a", 5, "connected"),
        logged(12, 0, "a", 5, "disconnected"),
        logged(12, 1, "a", 6, "connected"),
        logged(12, 2, "a", 5, "will_due"),
        logged(14, 0, "b", 7, "connected"),
        logged(15, 0, "a", 6, "disconnected"),
        logged(21, 0, "b", 7, "disconnected"),
    ];
    let whole = Disk { last_index: BTreeMap::from([(1, 21)]), transitions };
    let mut behind = whole.clone();
    behind.transitions.pop();
    behind.last_index.insert(1, 20);
    BTreeMap::from([("n1".to_owned(), behind), ("n2".to_owned(), whole)])
}

fn held_against(history: &History, disks: &BTreeMap<String, Disk>) -> Vec<String> {
    logged::check(&history.0, disks).into_iter().map(|anomaly| anomaly.check).collect()
}

#[test]
fn a_right_history_agrees_with_its_log() {
    assert_eq!(held_against(&good(), &disks()), [""; 0]);
}

#[test]
fn an_answer_that_the_log_denies_is_rejected() {
    let mut history = good();
    history.status("a", "n2", 1_350, true, Some(6), 16);
    assert_eq!(held_against(&history, &disks()), ["log_says_otherwise"]);
}

#[test]
fn an_answer_from_beyond_the_log_is_rejected() {
    let mut history = good();
    history.status("a", "n2", REST + 950, false, Some(6), 22);
    assert_eq!(held_against(&history, &disks()), ["beyond_the_log"]);
}

#[test]
fn a_connack_without_a_claim_in_the_log_is_rejected() {
    let mut disks = disks();
    for disk in disks.values_mut() {
        disk.transitions.retain(|logged| logged.client_id != "b" || logged.transition != "connected");
    }
    assert!(held_against(&good(), &disks).contains(&"claims_in_the_log".to_owned()));
}

#[test]
fn logs_that_differ_are_rejected() {
    let mut disks = disks();
    disks.get_mut("n1").into_iter().for_each(|disk| disk.transitions[4].epoch = 8);
    assert_eq!(held_against(&good(), &disks), ["logs_differ"]);
}

/// A publisher at n1 and a listener at n2: four messages of this QoS, of which the third has no answer, and comes; then
/// the listener is there for long.
fn messages(qos: u8) -> History {
    let mut history = good();
    history.connect("l", "n2", 1, 2_000, 2_100);
    history.add(Op::Subscribe, "l", "n2", 2_200, Some(2_300)).connection = Some(1);
    history.connect("p", "n1", 1, 2_000, 2_100);
    for number in 1..=4 {
        let at = 3_000 + 100 * number;
        history.message(Op::Publish, "p", number, qos, at, (number != 3).then_some(at + 50));
        history.message(Op::Receive, "l", number, qos, at + 40, Some(at + 40));
    }
    history.ended(Op::Disconnect, "p", "n1", 1, 4_000);
    history.ended(Op::Disconnect, "l", "n2", 1, 9_000);
    history
}

fn is_arrival(line: &Operation, number: u64) -> bool {
    line.op == Op::Receive && line.message.as_ref().is_some_and(|message| message.number == number)
}

#[track_caller]
fn assert_rejected_only(history: &History, check: &str) {
    assert_eq!(rejections(history), BTreeSet::from([check.to_owned()]));
}

#[test]
fn right_messages_are_accepted() {
    for qos in [1, 2] {
        assert_eq!(rejections(&messages(qos)), BTreeSet::new());
        // Without an answer, it may have been lost.
        assert_eq!(rejections(&messages(qos).without(|line| is_arrival(line, 3))), BTreeSet::new());
    }
    let mut again = messages(1);
    again.message(Op::Receive, "l", 1, 1, 3_600, Some(3_600));
    assert_eq!(rejections(&again), BTreeSet::new(), "QoS 1 may come twice");
}

#[test]
fn a_lost_message_is_rejected() {
    for qos in [1, 2] {
        for number in [1, 2, 4] {
            assert_rejected_only(&messages(qos).without(|line| is_arrival(line, number)), "message_lost");
        }
    }
}

#[test]
fn a_message_from_before_the_subscription_or_for_a_session_that_ended_may_be_missing() {
    let mut early = messages(1);
    early.message(Op::Publish, "p", 0, 1, 2_250, Some(2_290));
    assert_eq!(rejections(&early), BTreeSet::new());
    let mut ended = messages(1).without(|line| is_arrival(line, 4) || (line.op == Op::Disconnect && line.key == "l"));
    ended.ended(Op::HoldEnd, "l", "n2", 1, 3_500);
    assert_eq!(rejections(&ended), BTreeSet::new());
}

#[test]
fn a_doubled_message_of_qos_2_is_rejected() {
    let mut history = messages(2);
    history.message(Op::Receive, "l", 2, 2, 3_600, Some(3_600));
    assert_rejected_only(&history, "message_doubled");
}

#[test]
fn a_message_that_another_overtook_is_rejected() {
    for qos in [1, 2] {
        let mut history = messages(qos).without(|line| is_arrival(line, 2));
        history.message(Op::Receive, "l", 2, qos, 3_600, Some(3_600));
        assert_rejected_only(&history, "message_overtaken");
    }
}

#[test]
fn a_message_that_nobody_published_or_not_yet_is_rejected() {
    let mut history = messages(1);
    history.message(Op::Receive, "l", 5, 1, 3_600, Some(3_600));
    assert_rejected_only(&history, "message_invented");
    history.message(Op::Publish, "p", 5, 1, 3_700, Some(3_750));
    assert_rejected_only(&history, "message_invented");
}

/// The publisher of [`messages`], and two members at n2 and n3 that have two messages each; the one at n2 leaves early, the
/// other is there for long. The third message has no answer, and comes.
fn shared(qos: u8) -> History {
    let mut history = good();
    history.connect("p", "n1", 1, 2_000, 2_100);
    for (member, node) in [("m", "n2"), ("o", "n3")] {
        history.connect(member, node, 1, 2_000, 2_100);
        let line = history.add(Op::Subscribe, member, node, 2_200, Some(2_300));
        (line.connection, line.group) = (Some(1), Some("g".to_owned()));
    }
    for number in 1..=4 {
        let at = 3_000 + 100 * number;
        history.message(Op::Publish, "p", number, qos, at, (number != 3).then_some(at + 50));
        history.arrives(if number % 2 == 1 { "m" } else { "o" }, number, qos, at + 40);
    }
    history.ended(Op::Disconnect, "p", "n1", 1, 4_000);
    history.ended(Op::Drop, "m", "n2", 1, 4_000);
    history.ended(Op::Disconnect, "o", "n3", 1, 9_000);
    history
}

fn struck(from_ns: u64, to_ns: u64) -> Vec<Fault> {
    let fault = Fault { cell: "made".to_owned(), fault: "kill".to_owned(), target: "n2".to_owned(), from_ns, to_ns };
    at_rest().into_iter().chain([fault]).collect()
}

fn rejections_with(history: &History, faults: &[Fault]) -> Vec<String> {
    all(&history.0, faults, BOUNDS).into_iter().map(|anomaly| anomaly.check).collect()
}

#[test]
fn a_group_that_shares_right_is_accepted() {
    for qos in [1, 2] {
        assert_eq!(rejections(&shared(qos)), BTreeSet::new());
        assert_eq!(rejections(&shared(qos).without(|line| is_arrival(line, 3))), BTreeSet::new(), "not acknowledged");
    }
    let mut again = shared(1);
    again.arrives("o", 4, 1, 3_600);
    assert_eq!(rejections(&again), BTreeSet::new(), "the same member may get QoS 1 again");
    let mut left = shared(1);
    // The first one had ended, and nobody knows whether it took charge.
    left.arrives("o", 3, 1, 4_100);
    assert_eq!(rejections(&left), BTreeSet::new());
}

#[test]
fn a_message_that_came_to_no_member_is_rejected_also_where_the_chosen_one_left() {
    for number in [1, 2, 4] {
        assert_rejected_only(&shared(1).without(|line| is_arrival(line, number)), "shared_message_lost");
    }
    // Without a member that was there all the time there is no promise.
    let nobody = |line: &Operation| is_arrival(line, 4) || (line.key == "o" && line.op == Op::Disconnect);
    let mut history = shared(1).without(nobody);
    history.ended(Op::Drop, "o", "n3", 1, 4_500);
    assert_eq!(rejections(&history), BTreeSet::new());
}

#[test]
fn what_a_member_took_along_with_its_node_is_nobodys_loss_and_anything_else_is() {
    let lost = shared(1).without(|line| is_arrival(line, 1));
    assert_eq!(rejections_with(&lost, &struck(3_900, 4_000)), [""; 0]);
    assert_eq!(rejections_with(&lost, &struck(4_100, 4_200)), ["shared_message_lost"], "it had left before");
    let stayed = |line: &Operation| is_arrival(line, 1) || (line.key == "m" && line.op == Op::Drop);
    let mut lost = shared(1).without(stayed);
    lost.ended(Op::Disconnect, "m", "n2", 1, 9_000);
    assert_eq!(rejections_with(&lost, &struck(3_900, 4_000)), ["shared_message_lost"], "no member ended");
}

#[test]
fn a_message_that_two_living_members_got_is_rejected() {
    for qos in [1, 2] {
        let mut history = shared(qos);
        history.arrives("m", 2, qos, 3_700);
        assert_rejected_only(&history, "shared_twice");
        let mut history = shared(qos);
        history.arrives("o", 1, qos, 3_900);
        assert_rejected_only(&history, "shared_twice");
    }
}

#[test]
fn a_member_gets_qos_2_once_and_nothing_that_nobody_published() {
    let mut history = shared(2);
    history.arrives("o", 4, 2, 3_600);
    assert_rejected_only(&history, "message_doubled");
    let mut history = shared(1);
    history.arrives("o", 5, 1, 3_600);
    assert_rejected_only(&history, "message_invented");
}
