//! The feed's bounds, where transcripts do not reach.

use crate::world::{World, claim, owner, release, round_trip};
use rollcall_presence::{FeedGap, PartitionLimits, Transition};
use rollcall_types::{DisconnectReason, Epoch, FeedPosition, LogIndex};
use std::sync::Arc;

fn at(index: u64, ordinal: u32) -> FeedPosition {
    FeedPosition { index: LogIndex(index), ordinal }
}

#[test]
fn a_feed_that_keeps_nothing_still_tells_gaps_from_missed_nothing() {
    let mut world = World::new(0);
    assert_eq!(world.state.feed().after(None, 10), Ok(Vec::new()));
    world.operate(owner(1, 1), claim("car"));
    world.operate(owner(1, 1), claim("car"));
    let feed = world.state.feed();
    assert_eq!(feed.last_position(), Some(at(2, 1)));
    assert_eq!(feed.oldest_kept(), None);
    assert!(feed.is_empty());
    let gap = FeedGap { oldest_kept: at(2, 1), last_dropped: at(2, 1) };
    assert_eq!(feed.after(None, 10), Err(gap));
    assert_eq!(feed.after(Some(at(2, 0)), 10), Err(gap));
    assert_eq!(feed.after(Some(at(2, 1)), 10), Ok(Vec::new()));
}

#[test]
fn a_reader_that_pages_through_the_feed_sees_every_transition_once_and_in_order() {
    let mut world = World::new(100);
    for epoch in 1..=30 {
        world.operate(owner(1, 1), claim("car"));
        if epoch % 3 == 0 {
            world.operate(owner(1, 1), release("car", epoch, DisconnectReason::Normal));
        }
        world.restore();
    }
    let all = world.state.feed().after(None, usize::MAX).unwrap();
    assert_eq!(all.len(), 60);
    let mut read = Vec::new();
    let mut cursor = None;
    loop {
        let page = world.state.feed().after(cursor, 7).unwrap();
        assert!(page.len() <= 7);
        let Some(last) = page.last() else { break };
        cursor = Some(last.position);
        read.extend(page);
    }
    assert_eq!(read, all);
    assert!(read.windows(2).all(|pair| pair[0].position < pair[1].position));
    let connects = read.iter().filter(|entry| entry.transition == Transition::Connected);
    assert!(connects.map(|entry| entry.epoch.0).eq(1..=30));
}

#[test]
fn a_reader_shares_the_entries_instead_of_copying_them() {
    let mut world = World::new(10);
    world.operate(owner(1, 1), claim("car"));
    let first = world.state.feed().after(None, 1).unwrap();
    let second = world.state.feed().after(None, 1).unwrap();
    assert!(Arc::ptr_eq(&first[0], &second[0]));
    assert_eq!(round_trip(&world.state).feed().after(None, 1).unwrap(), first);
}

#[test]
fn what_is_too_old_goes_with_the_next_log_entry_and_is_a_gap_for_who_has_not_read_it() {
    let mut world = World::limited(PartitionLimits { feed_entries_max: 100, feed_age_ms_max: 1000 });
    for now in [0, 500, 1000] {
        world.now = now;
        world.operate(owner(1, 1), claim("car"));
    }
    assert_eq!(world.state.feed().after(None, 10).unwrap().len(), 5, "exactly as old as allowed");
    world.now = 1500;
    world.operate(owner(1, 1), claim("bus"));
    let feed = world.state.feed();
    assert_eq!(feed.after(None, 10), Err(FeedGap { oldest_kept: at(2, 0), last_dropped: at(1, 0) }));
    assert_eq!(feed.after(Some(at(1, 0)), 10).unwrap().len(), 5);
    // A long quiet time: all goes, and a reader who had read all has missed nothing.
    world.now = 9000;
    world.operate(owner(1, 1), claim("van"));
    let feed = world.state.feed();
    assert!(feed.after(Some(at(3, 1)), 10).is_err());
    assert_eq!(feed.after(Some(at(4, 0)), 10).unwrap().len(), 1);
}

#[test]
fn both_entries_of_a_connection_tell_its_facts_and_the_epoch_before_it() {
    let mut world = World::new(100);
    world.now = 7000;
    world.operate(owner(1, 1), claim("car"));
    world.operate(owner(1, 1), claim("other"));
    world.now = 8000;
    world.operate(owner(2, 1), claim("car"));
    world.operate(owner(2, 1), release("car", 3, DisconnectReason::Normal));
    let told = |world: &World| {
        let entries = world.state.feed().after(None, 100).unwrap();
        let of_car = entries.iter().filter(|entry| entry.client_id.as_str() == "car");
        of_car.map(|entry| (entry.epoch, entry.facts.clone().unwrap())).collect::<Vec<_>>()
    };
    let facts: Vec<_> = told(&world).iter().map(|(of, f)| (of.0, f.prev_epoch(), f.connected_at().0)).collect();
    let first = Some(Epoch(1));
    assert_eq!(facts, [(1, None, 7000), (1, None, 7000), (3, first, 8000), (3, first, 8000)]);
    assert_eq!(world.state.record("car").unwrap().prev_epoch(), first);
}
