//! A hash table of small numbers whose keys are kept elsewhere, so that an entry costs 8 bytes or so.
//!
//! Open addressing, at most half full, no tombstones. The caller names the hash of an entry and tells whether a found
//! number is the one it seeks.

/// No number: an empty place.
pub(crate) const NONE: u32 = u32::MAX;

const PLACES_FIRST: usize = 16;

#[derive(Clone, Debug, Default)]
pub(crate) struct IdTable {
    places: Vec<u32>,
    len: usize,
}

impl IdTable {
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        if self.places.is_empty() {
            return None;
        }
        let mut at = self.home(hash);
        loop {
            match self.places[at] {
                NONE => return None,
                id if is_it(id) => return Some(id),
                _ => at = self.next(at),
            }
        }
    }

    /// Puts in a number that is not there yet.
    pub(crate) fn insert(&mut self, id: u32, hash_of: impl Fn(u32) -> u64) {
        if (self.len + 1) * 2 > self.places.len() {
            let larger = (self.places.len() * 2).max(PLACES_FIRST);
            let former = std::mem::replace(&mut self.places, vec![NONE; larger]);
            for id in former.into_iter().filter(|id| *id != NONE) {
                self.place(id, hash_of(id));
            }
        }
        self.place(id, hash_of(id));
        self.len += 1;
    }

    /// Takes a number out that is there; those behind it move up, so that none is lost behind an empty place.
    pub(crate) fn remove(&mut self, id: u32, hash_of: impl Fn(u32) -> u64) {
        if self.places.is_empty() {
            return;
        }
        let mut at = self.home(hash_of(id));
        while self.places[at] != id {
            if self.places[at] == NONE {
                return;
            }
            at = self.next(at);
        }
        self.len -= 1;
        let mut hole = at;
        loop {
            at = self.next(at);
            let candidate = self.places[at];
            if candidate == NONE {
                break;
            }
            let home = self.home(hash_of(candidate));
            // It may move to the hole unless its home lies behind the hole.
            if self.distance(home, at) >= self.distance(hole, at) {
                self.places[hole] = candidate;
                hole = at;
            }
        }
        self.places[hole] = NONE;
    }

    fn place(&mut self, id: u32, hash: u64) {
        let mut at = self.home(hash);
        while self.places[at] != NONE {
            at = self.next(at);
        }
        self.places[at] = id;
    }

    #[allow(clippy::cast_possible_truncation)] // only the low bits count
    fn home(&self, hash: u64) -> usize {
        hash as usize & (self.places.len() - 1)
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.places.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_holds_what_was_put_in_and_not_taken_out(steps in prop::collection::vec((any::<bool>(), 0_u32..40), 1..200)) {
            // A poor hash on purpose: long runs of places that belong together.
            let hash = |id: u32| u64::from(id % 5) * 7;
            let (mut table, mut model) = (IdTable::default(), BTreeSet::new());
            for (put_in, id) in steps {
                if put_in && model.insert(id) {
                    table.insert(id, hash);
                } else if !put_in && model.remove(&id) {
                    table.remove(id, hash);
                }
                for id in 0..40 {
                    prop_assert_eq!(table.find(hash(id), |found| found == id).is_some(), model.contains(&id));
                }
            }
        }
    }
}
