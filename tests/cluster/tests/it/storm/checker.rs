//! The judge of a storm: what readers were told and what queries answered, in; sentences about what cannot be, out.
//!
//! The stream over HTTP is held against nothing but itself: each client comes and goes in turn, and every connection names
//! the one before it, so that nothing can be missing in the middle and nothing be there twice. Once it is found whole it is
//! the measure for everything else. What does not belong here: sockets, time, and how the events were collected.

use super::told::{Change, Place, Told};
use std::collections::{BTreeMap, BTreeSet};

/// What a query answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Answered {
    pub(super) client: u32,
    pub(super) partition: u32,
    pub(super) index: u64,
    pub(super) online: bool,
    pub(super) epoch: Option<u64>,
}

/// What a reader of one kind of source knows of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Known {
    /// The highest epoch seen; `None` before the first.
    pub(super) epoch: Option<u64>,
    pub(super) online: bool,
}

/// What an event is to a reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Heard {
    /// What had to come next.
    InTurn,
    /// It is news, but something before it was missed.
    AfterGap,
    /// Nothing new: it was told before, or is older than what was told.
    Old,
}

impl Known {
    /// The reader's rule: a connect wins if its epoch is greater than the highest one seen, a disconnect if it is equal
    /// or greater. What was missed before shows in `prev_epoch`, or in two beginnings without an end between them.
    pub(super) fn hear(&mut self, told: &Told) -> Heard {
        let wins = match told.change {
            Change::Connected => Some(told.epoch) > self.epoch,
            Change::Disconnected => Some(told.epoch) >= self.epoch,
        };
        if !wins || (told.change == Change::Disconnected && Some(told.epoch) == self.epoch && !self.online) {
            return Heard::Old;
        }
        let in_turn = match told.change {
            Change::Connected => told.prev_epoch == self.epoch && !self.online,
            Change::Disconnected => Some(told.epoch) == self.epoch && self.online,
        };
        *self = Known { epoch: Some(told.epoch), online: told.change == Change::Connected };
        if in_turn { Heard::InTurn } else { Heard::AfterGap }
    }
}

/// The stream as a whole, from before the first client on: no gap, no double, no inversion.
pub(super) fn whole(stream: &[Told]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut last: BTreeMap<u32, Place> = BTreeMap::new();
    let mut known: BTreeMap<u32, Known> = BTreeMap::new();
    for told in stream {
        if let Some(before) = last.insert(told.place.partition, told.place)
            && before >= told.place
        {
            wrong.push(format!("the stream tells {told:?} behind {before:?}"));
        }
        let known = known.entry(told.client).or_default();
        let before = *known;
        match known.hear(told) {
            Heard::InTurn => {}
            Heard::AfterGap => wrong.push(format!("the stream has a gap before {told:?}: it knew {before:?}")),
            Heard::Old => wrong.push(format!("the stream tells {told:?} again or late: it knew {before:?}")),
        }
    }
    wrong
}

/// What came on one connection to a living node: for each client its events without a gap, a double or an inversion.
/// `knows_all` says that it was subscribed before the first client came.
pub(super) fn unbroken(life: &[Told], knows_all: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut known: BTreeMap<u32, Known> = BTreeMap::new();
    for told in life {
        let is_first = !known.contains_key(&told.client);
        let known = known.entry(told.client).or_default();
        let before = *known;
        match known.hear(told) {
            Heard::InTurn => {}
            Heard::AfterGap if is_first && !knows_all => {}
            Heard::AfterGap => wrong.push(format!("a subscriber missed something before {told:?}: it knew {before:?}")),
            Heard::Old => wrong.push(format!("a subscriber was told {told:?} again or late: it knew {before:?}")),
        }
    }
    wrong
}

/// A subscriber that was there to the end has everything from its first event in each partition on, and nothing else.
/// `knows_all` says that it was subscribed before the first client came.
pub(super) fn complete(life: &[Told], stream: &[Told], knows_all: bool) -> Vec<String> {
    let mut begins: BTreeMap<u32, Place> = BTreeMap::new();
    for told in life {
        let begin = begins.entry(told.place.partition).or_insert(told.place);
        *begin = told.place.min(*begin);
    }
    let got: BTreeMap<Place, &Told> = life.iter().map(|told| (told.place, told)).collect();
    let mut wrong = Vec::new();
    let mut expected = 0;
    for told in stream {
        if !knows_all && begins.get(&told.place.partition).is_none_or(|begin| told.place < *begin) {
            continue;
        }
        expected += 1;
        match got.get(&told.place) {
            Some(same) if **same == *told => {}
            Some(other) => wrong.push(format!("{told:?} in the stream is {other:?} to a subscriber")),
            None => wrong.push(format!("a subscriber that stayed never heard {told:?}")),
        }
    }
    if wrong.is_empty() && got.len() != expected {
        wrong.push(format!("a subscriber heard of {} events, the stream has {expected} of them", got.len()));
    }
    wrong
}

/// The connections of one subscriber, one after the other: where it missed something it notices at the next event of
/// that client, and where it missed nothing it notices nothing. Gives the number of gaps noticed.
///
/// # Errors
/// What it did not notice, or noticed wrongly.
pub(super) fn gaps_are_noticed(lives: &[Vec<Told>], stream: &[Told]) -> Result<usize, Vec<String>> {
    let mut of_client: BTreeMap<u32, Vec<Place>> = BTreeMap::new();
    for told in stream {
        of_client.entry(told.client).or_default().push(told.place);
    }
    let mut known: BTreeMap<u32, (Known, Option<Place>)> = BTreeMap::new();
    let (mut wrong, mut gaps) = (Vec::new(), 0);
    for told in lives.iter().flatten() {
        let (known, last) = known.entry(told.client).or_default();
        let heard = known.hear(told);
        if heard == Heard::Old {
            continue;
        }
        let missed = of_client.get(&told.client).map_or(0, |places| {
            let behind = last.map_or(0, |last| places.partition_point(|place| *place <= last));
            places.partition_point(|place| *place < told.place).saturating_sub(behind)
        });
        *last = Some(told.place);
        match (heard, missed) {
            (Heard::AfterGap, 1..) => gaps += 1,
            (Heard::AfterGap, 0) => wrong.push(format!("a subscriber takes {told:?} for a gap, but missed nothing")),
            (_, 1..) => wrong.push(format!("a subscriber did not notice that it missed {missed} before {told:?}")),
            (_, 0) => {}
        }
    }
    if wrong.is_empty() { Ok(gaps) } else { Err(wrong) }
}

/// What no connection of a subscriber heard, as runs of events that follow one another in their partition's feed: the
/// first, the last, and how many.
pub(super) fn missing_runs(lives: &[Vec<Told>], stream: &[Told]) -> Vec<(Place, Place, usize)> {
    let got: BTreeSet<Place> = lives.iter().flatten().map(|told| told.place).collect();
    let all: BTreeSet<Place> = stream.iter().map(|told| told.place).collect();
    let mut runs: Vec<(Place, Place, usize)> = Vec::new();
    let mut goes_on = false;
    for place in all {
        let is_missing = !got.contains(&place);
        match runs.last_mut() {
            Some(run) if is_missing && goes_on && run.1.partition == place.partition => {
                run.1 = place;
                run.2 += 1;
            }
            _ if is_missing => runs.push((place, place, 1)),
            _ => {}
        }
        goes_on = is_missing;
    }
    runs
}

/// What a subscriber heard, and what it read over HTTP after each loss, are everything.
pub(super) fn filled(lives: &[Vec<Told>], fills: &[Vec<Told>], stream: &[Told]) -> Vec<String> {
    let got: BTreeSet<Place> = lives.iter().chain(fills).flatten().map(|told| told.place).collect();
    let missing = stream.iter().filter(|told| !got.contains(&told.place));
    missing.map(|told| format!("neither heard nor read afterwards: {told:?}")).collect()
}

/// Each answer is what a reader knows that kept the rule up to the answer's index. Gives how many were compared.
///
/// # Errors
/// Answers that differ, with what the reader knew.
pub(super) fn agree(stream: &[Told], answers: &[Answered]) -> Result<usize, Vec<String>> {
    let mut of_client: BTreeMap<u32, Vec<&Told>> = BTreeMap::new();
    for told in stream {
        of_client.entry(told.client).or_default().push(told);
    }
    let mut wrong = Vec::new();
    for answer in answers {
        let events = of_client.get(&answer.client).map_or(&[][..], Vec::as_slice);
        if let Some(other) = events.iter().find(|told| told.place.partition != answer.partition) {
            wrong.push(format!("{answer:?} is of another partition than {other:?}"));
            continue;
        }
        let mut known = Known::default();
        for told in events.iter().take_while(|told| told.place.index <= answer.index) {
            known.hear(told);
        }
        if known != (Known { epoch: answer.epoch, online: answer.online }) {
            wrong.push(format!("{answer:?}, but a reader of the stream up to there knows {known:?}"));
        }
    }
    if wrong.is_empty() { Ok(answers.len()) } else { Err(wrong) }
}
