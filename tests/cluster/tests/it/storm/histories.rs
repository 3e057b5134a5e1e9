//! Histories made by hand: good ones that the judge must let pass, and bad ones that it must refuse, each with one fault.

use super::checker::{Answered, agree, complete, filled, gaps_are_noticed, unbroken, whole};
use super::told::{Change, Place, Told};

const PARTITION: u32 = 0;

fn on(client: u32, epoch: u64, prev_epoch: Option<u64>, index: u64, ordinal: u32) -> Told {
    let place = Place { partition: PARTITION, index, ordinal };
    Told { client, change: Change::Connected, epoch, prev_epoch, place, synthetic: false }
}

fn off(client: u32, epoch: u64, index: u64) -> Told {
    Told { change: Change::Disconnected, ..on(client, epoch, None, index, 0) }
}

/// Client 1 comes, goes, comes, is taken over at index 8, goes; client 2 comes in between.
fn good() -> Vec<Told> {
    vec![
        on(1, 1, None, 3, 0),
        off(1, 1, 4),
        on(2, 2, None, 5, 0),
        on(1, 3, Some(1), 6, 0),
        off(1, 3, 8),
        on(1, 4, Some(3), 8, 1),
        off(1, 4, 9),
    ]
}

fn without(place: usize) -> Vec<Told> {
    let mut events = good();
    events.remove(place);
    events
}

#[test]
fn a_good_stream_is_whole_and_any_event_missing_before_another_of_its_client_is_a_gap() {
    assert_eq!(whole(&good()), Vec::<String>::new());
    assert_eq!(unbroken(&good(), true), Vec::<String>::new());
    for place in [0, 1, 3, 4, 5] {
        assert!(whole(&without(place)).iter().any(|wrong| wrong.contains("gap")), "without {place}");
        assert!(!unbroken(&without(place), true).is_empty(), "without {place}");
    }
    // A whole connection is missing: only its successor's prev_epoch tells.
    let mut events = good();
    events.drain(3..5);
    assert_eq!(whole(&events).len(), 1);
}

#[test]
fn a_double_and_an_inversion_are_refused() {
    for place in 0..good().len() {
        let mut events = good();
        events.insert(place, events[place]);
        assert!(!whole(&events).is_empty(), "{place} twice");
        assert!(!unbroken(&events, false).is_empty(), "{place} twice");
    }
    for (first, second) in [(0, 1), (1, 3), (3, 4), (4, 5), (5, 6)] {
        let mut events = good();
        events.swap(first, second);
        assert!(!whole(&events).is_empty(), "{second} before {first}");
        assert!(!unbroken(&events, true).is_empty(), "{second} before {first}");
    }
    // Different clients of one partition: the stream has the order of the log, a subscription need not.
    let mut events = good();
    events.swap(1, 2);
    assert!(!whole(&events).is_empty());
    assert_eq!(unbroken(&events, true), Vec::<String>::new());
}

#[test]
fn one_that_came_later_may_know_nothing_of_before_but_misses_nothing_from_then_on() {
    assert_eq!(unbroken(&good()[4..], false), Vec::<String>::new());
    assert_eq!(complete(&good()[4..], &good(), false), Vec::<String>::new());
    assert!(!complete(&good()[4..], &good(), true).is_empty(), "it was there from the beginning");
    let mut holed = good()[1..].to_vec();
    // All that it ever had to hear of client 2.
    holed.remove(1);
    assert_eq!(unbroken(&holed, false), Vec::<String>::new());
    assert!(complete(&holed, &good(), false).iter().any(|wrong| wrong.contains("never heard")));
    assert!(complete(&good()[..6], &good(), false).iter().any(|wrong| wrong.contains("never heard")), "the end");
    let mut invented = good();
    invented.push(off(2, 2, 11));
    assert!(!complete(&invented, &good(), false).is_empty(), "the stream has no such event");
    let mut other = good();
    other[0].epoch = 2;
    assert!(!complete(&other, &good(), false).is_empty(), "another event in the same place");
}

#[test]
fn gaps_between_two_connections_are_counted_and_one_that_nobody_could_notice_is_refused() {
    assert_eq!(gaps_are_noticed(&[good()], &good()), Ok(0));
    assert_eq!(gaps_are_noticed(&[good()[..4].to_vec(), good()[4..].to_vec()], &good()), Ok(0));
    // An end was missed, a beginning, a whole connection, everything so far.
    for (left, right) in [(0..1, 2..7), (0..3, 4..7), (0..2, 5..7), (0..0, 1..7)] {
        let (name, lives) = ((left.clone(), right.clone()), [good()[left].to_vec(), good()[right].to_vec()]);
        assert!(gaps_are_noticed(&lives, &good()).is_ok_and(|gaps| gaps > 0), "{name:?}");
    }
    // Told again after a reconnect: old, and no gap.
    assert_eq!(gaps_are_noticed(&[good()[..5].to_vec(), good()[3..].to_vec()], &good()), Ok(0));
    // A server that names the wrong connection as the one before: the reader cannot notice what it missed.
    let mut lying = good();
    lying[5].prev_epoch = Some(1);
    assert!(gaps_are_noticed(&[lying[..2].to_vec(), lying[5..].to_vec()], &good()).is_err());
    // Or notices what it did not miss.
    lying[3].prev_epoch = Some(2);
    assert!(gaps_are_noticed(&[lying], &good()).is_err());
}

#[test]
fn what_was_missed_must_have_been_read_afterwards() {
    let lives = [good()[..2].to_vec(), good()[5..].to_vec()];
    assert_eq!(filled(&lives, &[good()[1..6].to_vec()], &good()), Vec::<String>::new());
    assert_eq!(filled(&lives, &[good()[2..4].to_vec()], &good()).len(), 1);
    assert_eq!(filled(&lives, &[], &good()).len(), 3);
}

#[test]
fn an_answer_must_be_what_a_reader_knows_at_its_index() {
    let answer = |client, index, online, epoch| Answered { client, partition: PARTITION, index, online, epoch };
    let right = [
        answer(1, 2, false, None),
        answer(1, 3, true, Some(1)),
        answer(1, 5, false, Some(1)),
        answer(1, 7, true, Some(3)),
        // The takeover: end and beginning at one place in the log.
        answer(1, 8, true, Some(4)),
        answer(1, 100, false, Some(4)),
        answer(2, 4, false, None),
        answer(2, 5, true, Some(2)),
        answer(3, 50, false, None),
    ];
    assert_eq!(agree(&good(), &right), Ok(right.len()));
    let wrong = [
        answer(1, 2, true, Some(1)),
        answer(1, 3, false, None),
        answer(1, 4, true, Some(1)),
        answer(1, 7, true, Some(1)),
        answer(1, 8, false, Some(3)),
        answer(3, 50, false, Some(9)),
        Answered { partition: PARTITION + 1, ..answer(1, 3, true, Some(1)) },
    ];
    for answer in wrong {
        assert!(agree(&good(), &[answer]).is_err(), "{answer:?}");
    }
}
