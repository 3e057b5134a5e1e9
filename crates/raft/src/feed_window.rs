//! The newest part of one partition's feed as this node's follower was told it: many readers share it, whether or not the
//! partition has a replica here.
//!
//! What does not belong here: reading what came before (`feed_follower`), waiting (`feeds`).

use rollcall_presence::FeedEntry;
use rollcall_types::FeedPosition;
use std::{collections::VecDeque, sync::Arc};

/// Entries behind `from`, up to `through`.
#[derive(Debug, Default)]
pub(crate) struct FeedWindow {
    /// `None` until it is known where the follower stands.
    from: Option<FeedPosition>,
    entries: VecDeque<Arc<FeedEntry>>,
    through: FeedPosition,
}

/// What a window says to a reader.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    /// The next entries, and how far the reader then is.
    Entries(Vec<Arc<FeedEntry>>, FeedPosition),
    /// The reader stands before the window.
    Before,
}

impl FeedWindow {
    /// Nothing that came before is in the window, and what comes next may not follow on what is in it.
    pub(crate) fn begin_afresh(&mut self) {
        self.from = None;
        self.entries.clear();
    }

    /// The next entries, in order; of all only the newest `most` stay.
    pub(crate) fn push(&mut self, entries: &[Arc<FeedEntry>], most: usize) {
        self.entries.extend(entries.iter().cloned());
        while self.entries.len() > most {
            if let Some(oldest) = self.entries.pop_front() {
                self.from = self.from.max(Some(oldest.position));
            }
        }
        if let Some(newest) = self.entries.back() {
            self.through = self.through.max(newest.position);
        }
    }

    /// Everything up to here is in the window, or before it.
    pub(crate) fn reached(&mut self, position: FeedPosition) {
        self.from.get_or_insert(position);
        self.through = self.through.max(position);
    }

    /// At most `limit` entries behind the cursor.
    pub(crate) fn after(&self, cursor: FeedPosition, limit: usize) -> Seen {
        if self.from.is_none_or(|from| cursor < from) {
            return Seen::Before;
        }
        let start = self.entries.partition_point(|entry| entry.position <= cursor);
        let entries: Vec<_> = self.entries.range(start..).take(limit).cloned().collect();
        let through = match entries.last() {
            Some(last) if start + entries.len() < self.entries.len() => last.position,
            // A reader may be further than this node's follower.
            _ => self.through.max(cursor),
        };
        Seen::Entries(entries, through)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;
    use rollcall_presence::Transition;
    use rollcall_types::{ClientId, ClusterTime, Epoch, Incarnation, LogIndex, NodeId, Owner};

    fn at(index: u64, ordinal: u32) -> FeedPosition {
        FeedPosition { index: LogIndex(index), ordinal }
    }

    fn entry(position: FeedPosition) -> Arc<FeedEntry> {
        Arc::new(FeedEntry {
            position,
            at: ClusterTime(1),
            client_id: ClientId::new("a").unwrap(),
            epoch: Epoch(1),
            owner: Owner { node: NodeId(1), incarnation: Incarnation(1) },
            transition: Transition::Connected,
            facts: None,
        })
    }

    fn positions(seen: Seen) -> Option<(Vec<FeedPosition>, FeedPosition)> {
        match seen {
            Seen::Entries(entries, through) => Some((entries.iter().map(|e| e.position).collect(), through)),
            Seen::Before => None,
        }
    }

    #[test]
    fn who_stands_before_the_window_is_told_so_and_nobody_misses_an_entry() {
        let mut window = FeedWindow::default();
        assert_eq!(window.after(at(5, 0), 10), Seen::Before, "nothing is known yet");
        window.reached(at(5, u32::MAX));
        window.push(&[entry(at(7, 0)), entry(at(7, 1)), entry(at(9, 0))], 2);
        assert_eq!(positions(window.after(at(5, u32::MAX), 10)), None, "7.0 fell out");
        assert_eq!(positions(window.after(at(7, 0), 10)), Some((vec![at(7, 1), at(9, 0)], at(9, 0))));
        assert_eq!(positions(window.after(at(7, 0), 1)), Some((vec![at(7, 1)], at(7, 1))));
        window.reached(FeedPosition::behind(LogIndex(12)));
        assert_eq!(positions(window.after(at(9, 0), 10)), Some((vec![], FeedPosition::behind(LogIndex(12)))));
        assert_eq!(positions(window.after(at(20, 0), 10)), Some((vec![], at(20, 0))), "further than this node");
    }

    #[test]
    fn behind_a_gap_the_window_begins_anew() {
        let mut window = FeedWindow::default();
        window.reached(at(5, 0));
        window.push(&[entry(at(6, 0))], 10);
        window.begin_afresh();
        window.push(&[entry(at(30, 0))], 10);
        assert_eq!(window.after(at(6, 0), 10), Seen::Before, "what lies between is not known");
        window.begin_afresh();
        window.reached(at(40, 0));
        window.push(&[entry(at(41, 0))], 10);
        assert_eq!(window.after(at(30, 0), 10), Seen::Before);
        assert_eq!(positions(window.after(at(40, 0), 10)), Some((vec![at(41, 0)], at(41, 0))));
    }

    proptest! {
        #[test]
        fn readers_of_any_pace_see_every_entry_once(
            steps in proptest::collection::vec((1_u64..4, 0_usize..4, any::<bool>()), 1..40),
            most in 1_usize..12,
            limit in 1_usize..5,
        ) {
            let mut window = FeedWindow::default();
            window.reached(at(0, u32::MAX));
            let (mut all, mut index) = (Vec::new(), 0);
            let (mut cursor, mut seen) = (at(0, u32::MAX), Vec::new());
            for (ahead, count, reads) in steps {
                index += ahead;
                let entries: Vec<_> = (0..count).map(|o| entry(at(index, u32::try_from(o).unwrap()))).collect();
                all.extend(entries.iter().map(|e| e.position));
                window.push(&entries, most);
                window.reached(FeedPosition::behind(LogIndex(index)));
                if reads {
                    match window.after(cursor, limit) {
                        Seen::Before => {
                            // From the whole feed, as far as the window's beginning at least.
                            seen = all.clone();
                            cursor = FeedPosition::behind(LogIndex(index));
                        }
                        Seen::Entries(entries, through) => {
                            prop_assert!(through >= cursor && entries.len() <= limit);
                            seen.extend(entries.iter().map(|e| e.position));
                            cursor = through;
                        }
                    }
                    let expected: Vec<_> = all.iter().copied().filter(|p| *p <= cursor).collect();
                    prop_assert_eq!(&seen, &expected);
                }
            }
        }
    }
}
