//! The choice of a member of a shared subscription.

use proptest::{collection::btree_map, prelude::*};
use rollcall_routing::{Draw, Group, Strategy as Choice};
use std::collections::{BTreeMap, BTreeSet};

fn group(members: &BTreeMap<u8, u32>) -> Group<u8> {
    let mut group = Group::default();
    for (member, weight) in members {
        group.set(*member, *weight);
    }
    group
}

fn members() -> impl Strategy<Value = BTreeMap<u8, u32>> {
    btree_map(0..9_u8, 1..5_u32, 1..6)
}

proptest! {
    #[test]
    fn round_robin_gives_each_member_its_turn(members in members(), rounds in 1..4_u32) {
        let group = group(&members);
        let mut given = BTreeMap::<u8, u32>::new();
        for _ in 0..group.weight() * u64::from(rounds) {
            let draw = Draw { random: 0, client_hash: 0 };
            *given.entry(group.choose(Choice::RoundRobin, draw, &BTreeSet::new()).unwrap()).or_default() += 1;
        }
        let expected: BTreeMap<u8, u32> = members.iter().map(|(m, weight)| (*m, weight * rounds)).collect();
        prop_assert_eq!(given, expected);
    }

    #[test]
    fn the_hash_decides_alone(members in members(), client_hash: u64, random: u64) {
        let group = group(&members);
        let choose = |random| group.choose(Choice::HashOfClient, Draw { random, client_hash }, &BTreeSet::new());
        prop_assert_eq!(choose(random), choose(!random));
    }

    #[test]
    fn chance_reaches_every_member_and_none_else(members in members()) {
        let group = group(&members);
        let reached: BTreeSet<u8> = (0..group.weight())
            .filter_map(|random| group.choose(Choice::Random, Draw { random, client_hash: 0 }, &BTreeSet::new()))
            .collect();
        prop_assert_eq!(reached, members.keys().copied().collect::<BTreeSet<u8>>());
    }

    #[test]
    fn a_message_goes_to_another_member_until_all_were_tried(members in members(), random: u64, client_hash: u64) {
        for choice in [Choice::RoundRobin, Choice::Random, Choice::HashOfClient] {
            let group = group(&members);
            let mut tried = BTreeSet::new();
            while let Some(chosen) = group.choose(choice, Draw { random, client_hash }, &tried) {
                prop_assert!(tried.insert(chosen), "no member twice");
            }
            prop_assert_eq!(tried.len(), members.len());
        }
    }
}

#[test]
fn the_lag_of_each_member_can_be_read_until_it_goes() {
    let mut group = group(&BTreeMap::from([(1, 1), (2, 1)]));
    group.set_lag(&2, 7);
    group.set_lag(&3, 9);
    assert_eq!(group.lags().collect::<Vec<_>>(), [(&1, 0), (&2, 7)]);
    group.set(2, 2);
    assert_eq!(group.lags().collect::<Vec<_>>(), [(&1, 0), (&2, 7)], "a change of weight keeps it");
    group.set(2, 0);
    assert_eq!(group.lags().count(), 1);
}
