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
fn by_the_hash_all_choose_alike_whatever_they_call_the_members() {
    let (here, there) =
        (group(&BTreeMap::from([(1, 2), (2, 1), (3, 3)])), group(&BTreeMap::from([(0, 3), (7, 1), (8, 2)])));
    let others = |member: &u8| match *member {
        0 => 3,
        7 => 2,
        _ => 1,
    };
    for client_hash in 0..12 {
        let draw = Draw { random: 0, client_hash };
        let chosen = there.choose_ranked(Choice::HashOfClient, draw, &BTreeSet::new(), others).map(|one| others(&one));
        assert_eq!(here.choose(Choice::HashOfClient, draw, &BTreeSet::new()), chosen);
    }
}
