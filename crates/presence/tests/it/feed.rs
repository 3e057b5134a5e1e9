//! The feed's bounds, where transcripts do not reach.

use crate::world::{World, claim, owner, release, round_trip};
use rollcall_presence::{FeedGap, Transition};
use rollcall_types::{DisconnectReason, FeedPosition, LogIndex};
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
