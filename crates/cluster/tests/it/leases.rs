//! A node's lease is over before the leader retires its incarnation, whatever the clocks and the network do.

use proptest::prelude::*;
use rollcall_cluster::{
    CLOCK_RATE_ERROR_PER_MILLE, LEASE_MS_MAX, LEASE_MS_MIN, LeaseTable, LeaseTerms, NodeLease, invariants,
};
use rollcall_types::{BootTime, Incarnation, NodeId};

const NODE: NodeId = NodeId(1);
const FIRST: Incarnation = Incarnation(1);

fn terms(lease_ms: u32) -> LeaseTerms {
    LeaseTerms::new(lease_ms).unwrap()
}

fn alive() -> [(NodeId, Incarnation); 1] {
    [(NODE, FIRST)]
}

/// A leader of 5 000 ms leases since time 0 that has ticked all along.
fn leader() -> LeaseTable {
    let mut table = LeaseTable::new(terms(5_000));
    table.became_leader(BootTime(0));
    table
}

/// Ticks every 100 ms and returns when the first incarnation is to be retired.
fn ticked(table: &mut LeaseTable, from: u64, to: u64) -> Option<u64> {
    (from..=to).step_by(100).find(|now| table.tick(BootTime(*now), alive()) == alive())
}

#[test]
fn a_silent_node_is_retired_one_lease_and_margin_after_its_last_heartbeat() {
    let mut table = leader();
    assert_eq!(ticked(&mut table, 0, 3_000), None);
    assert!(table.heartbeat(NODE, FIRST, BootTime(3_000)));
    assert_eq!(ticked(&mut table, 3_100, 60_000), Some(8_500));
    assert_eq!(table.retirable_at(NODE), Some(BootTime(8_500)));
}

#[test]
fn a_new_leader_waits_before_it_retires_anyone() {
    let mut table = leader();
    assert_eq!(ticked(&mut table, 0, 60_000), Some(5_500));
    // The same node in a new term starts anew.
    table.became_leader(BootTime(6_000));
    assert_eq!(ticked(&mut table, 6_000, 60_000), Some(11_500));
    table.stepped_down();
    assert_eq!(ticked(&mut table, 12_000, 60_000), None);
    assert!(!table.heartbeat(NODE, FIRST, BootTime(60_000)), "one that does not lead acknowledges nothing");
}

#[test]
fn a_leader_that_stood_still_waits_anew() {
    let mut table = leader();
    assert_eq!(ticked(&mut table, 0, 5_000), None);
    assert_eq!(table.tick(BootTime(6_251), alive()), [], "more than a quarter of a lease since the last tick");
    assert_eq!(ticked(&mut table, 6_300, 60_000), Some(11_800));
    let mut table = leader();
    assert_eq!(ticked(&mut table, 0, 4_900), None);
    assert_eq!(table.tick(BootTime(6_150), alive()), alive(), "a quarter of a lease is no standstill");
}

#[test]
fn what_was_found_over_is_not_acknowledged_any_more() {
    let mut table = leader();
    assert_eq!(ticked(&mut table, 0, 60_000), Some(5_500));
    // Its retirement may be under way: an acknowledgement now would let it serve beyond.
    assert!(!table.heartbeat(NODE, FIRST, BootTime(5_550)));
    assert_eq!(table.tick(BootTime(5_600), alive()), alive());
    // The next incarnation is another matter.
    assert!(table.heartbeat(NODE, Incarnation(2), BootTime(5_650)));
    assert_eq!(table.tick(BootTime(5_700), [(NODE, Incarnation(2))]), []);
}

#[test]
fn only_registered_incarnations_that_are_not_retired_are_watched() {
    let mut table = leader();
    assert!(table.heartbeat(NODE, FIRST, BootTime(0)));
    assert_eq!((0..100).find(|tick| !table.tick(BootTime(tick * 100), []).is_empty()), None);
    // A new registration is given a full lease from the moment it is first seen.
    assert_eq!(ticked(&mut table, 10_000, 60_000), Some(15_500));
}

#[test]
fn a_late_heartbeat_of_an_earlier_incarnation_prolongs_nothing() {
    let mut table = leader();
    let second = [(NODE, Incarnation(2))];
    assert!(table.heartbeat(NODE, Incarnation(2), BootTime(100)));
    for now in (0..5_600).step_by(100) {
        assert_eq!(table.tick(BootTime(now), second), [], "{now}");
        assert!(!table.heartbeat(NODE, FIRST, BootTime(now)));
    }
    assert_eq!(table.tick(BootTime(5_600), second), second);
}

#[test]
fn a_lease_runs_from_the_sending_of_the_last_acknowledged_heartbeat() {
    let mut lease = NodeLease::new(terms(5_000));
    assert_eq!((lease.incarnation(), lease.valid_until()), (None, None));
    lease.started(FIRST);
    assert!(!lease.may_serve(FIRST, BootTime(0)), "not before the first acknowledgement");
    assert!(!lease.observe(BootTime(90_000)), "nor is there a lease to run out");
    assert!(lease.acknowledged(FIRST, BootTime(1_000), BootTime(1_800)));
    assert_eq!(lease.valid_until(), Some(BootTime(6_000)));
    assert!(lease.acknowledged(FIRST, BootTime(500), BootTime(1_900)), "a late acknowledgement shortens nothing");
    assert_eq!(lease.valid_until(), Some(BootTime(6_000)));
    assert!(lease.may_serve(FIRST, BootTime(5_999)));
    assert!(!lease.may_serve(FIRST, BootTime(6_000)));
    assert!(!lease.may_serve(Incarnation(2), BootTime(2_000)), "the lease is this incarnation's only");
}

#[test]
fn an_expired_incarnation_never_revives() {
    let mut lease = NodeLease::new(terms(5_000));
    lease.started(FIRST);
    assert!(lease.acknowledged(FIRST, BootTime(0), BootTime(10)));
    // The machine was suspended; the first thing it handles afterwards is an acknowledgement.
    assert!(!lease.acknowledged(FIRST, BootTime(4_999), BootTime(5_000)));
    assert!(!lease.acknowledged(FIRST, BootTime(5_100), BootTime(5_200)));
    assert_eq!(lease.valid_until(), None);
    lease.started(FIRST);
    assert!(!lease.acknowledged(FIRST, BootTime(5_300), BootTime(5_400)), "not even when started again");
    lease.started(Incarnation(2));
    assert!(lease.acknowledged(Incarnation(2), BootTime(5_500), BootTime(5_600)));
    lease.give_up();
    assert!(!lease.acknowledged(Incarnation(2), BootTime(5_700), BootTime(5_800)));
}

#[test]
fn an_acknowledgement_that_arrives_after_its_own_lease_starts_nothing() {
    let mut lease = NodeLease::new(terms(5_000));
    lease.started(FIRST);
    assert!(!lease.acknowledged(FIRST, BootTime(0), BootTime(5_000)));
    assert!(!lease.acknowledged(FIRST, BootTime(4_000), BootTime(5_100)), "it was over before");
}

#[test]
fn terms_out_of_range_are_refused_with_a_sentence() {
    assert!(LeaseTerms::new(LEASE_MS_MIN - 1).is_err());
    let sentence = LeaseTerms::new(LEASE_MS_MAX + 1).unwrap_err().to_string();
    assert_eq!(sentence, "lease_ms must lie between 250 and 25000, it is 25001");
}

proptest! {
    #[test]
    fn detection_stays_within_the_lease_and_one_second(lease_ms in LEASE_MS_MIN..=LEASE_MS_MAX) {
        let terms = terms(lease_ms);
        prop_assert_eq!(invariants::detection_is_bounded(terms), []);
        prop_assert!(terms.closing_ms() * 3 >= terms.margin_ms(), "closing sockets has its part of the margin");
        prop_assert!(terms.heartbeat_interval_ms() * 5 <= terms.lease_ms());
        prop_assert!(terms.tick_interval_ms() * 4 <= terms.standstill_ms() && terms.tick_interval_ms() > 0);
    }
}

/// A clock of its own rate and offset, read in whole milliseconds; the ideal time is in microseconds.
#[derive(Clone, Copy, Debug)]
struct Clock {
    offset_ms: u64,
    rate_ppm: u64,
}

impl Clock {
    fn read(self, ideal_us: u64) -> BootTime {
        BootTime(self.offset_ms + ideal_us * self.rate_ppm / 1_000_000_000)
    }

    /// The first ideal time at which the clock reads at least this.
    fn reaches(self, reading: BootTime) -> u64 {
        (reading.0.saturating_sub(self.offset_ms) * 1_000_000_000).div_ceil(self.rate_ppm)
    }
}

fn clock() -> impl Strategy<Value = Clock> {
    let half_the_error = CLOCK_RATE_ERROR_PER_MILLE * 1_000 / 2 - 50;
    (0_u64..100_000, 1_000_000 - half_the_error..=1_000_000 + half_the_error)
        .prop_map(|(offset_ms, rate_ppm)| Clock { offset_ms, rate_ppm })
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Happening {
    Elected(usize),
    Ticked,
    Received { sent_us: u64, answer_us: u64 },
    Acknowledged { sent_us: u64 },
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn the_lease_and_the_closing_end_before_the_leader_retires_it(
        lease_ms in LEASE_MS_MIN..=LEASE_MS_MAX,
        node_clock in clock(),
        leader_clocks in [clock(), clock()],
        elections in proptest::collection::vec((0.0..5.0_f64, 0_usize..2), 0..3),
        // Sending, delay to the leader, delay of the answer: in leases.
        heartbeats in proptest::collection::vec((0.0..4.0_f64, 0.0..1.6_f64, 0.0..1.6_f64), 1..12),
        ticks in proptest::collection::vec(0.001..0.2_f64, 100),
    ) {
        let terms = terms(lease_ms);
        let us = |leases: f64| (leases * f64::from(lease_ms) * 1_000.0) as u64;
        let mut happenings = vec![(0, Happening::Elected(0))];
        happenings.extend(elections.iter().map(|(at, who)| (us(*at), Happening::Elected(*who))));
        happenings.extend(heartbeats.iter().map(|(at, there, back)| {
            (us(*at) + us(*there), Happening::Received { sent_us: us(*at), answer_us: us(*back) })
        }));
        happenings.extend(ticks.iter().scan(0, |now, gap| {
            *now += us(*gap);
            Some((*now, Happening::Ticked))
        }));
        happenings.sort();
        let mut tables = [LeaseTable::new(terms), LeaseTable::new(terms)];
        let mut leader = 0;
        let mut lease = NodeLease::new(terms);
        lease.started(FIRST);
        let (mut lease_end, mut retired_at) = (None, None);
        while !happenings.is_empty() {
            let (now, happening) = happenings.remove(0);
            match happening {
                Happening::Elected(who) => {
                    tables[leader].stepped_down();
                    leader = who;
                    tables[leader].became_leader(leader_clocks[leader].read(now));
                }
                Happening::Ticked => {
                    if tables[leader].tick(leader_clocks[leader].read(now), alive()) == alive() {
                        retired_at = retired_at.or(Some(now));
                    }
                }
                Happening::Received { sent_us, answer_us } => {
                    let may = tables[leader].heartbeat(NODE, FIRST, leader_clocks[leader].read(now));
                    if may && retired_at.is_none() {
                        happenings.push((now + answer_us, Happening::Acknowledged { sent_us }));
                        happenings.sort();
                    }
                }
                Happening::Acknowledged { sent_us } => {
                    lease.acknowledged(FIRST, node_clock.read(sent_us), node_clock.read(now));
                    lease_end = lease.valid_until().map(|until| node_clock.reaches(until)).or(lease_end);
                }
            }
        }
        if let (Some(end), Some(retired)) = (lease_end, retired_at) {
            let closing = terms.closing_ms() * 1_000;
            let found = invariants::lease_ends_before_retirement(BootTime(end), closing, BootTime(retired));
            prop_assert_eq!(found, []);
        }
    }
}
