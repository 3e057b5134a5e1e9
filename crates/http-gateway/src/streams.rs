//! The streams of events that are open on this node: how many there may be, and which of them nobody reads.
//!
//! The HTTP layer asks a stream for more only when the socket takes more, so a reader that has stopped reading costs one
//! buffer and a place. Its place is given to another who asks for one.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Streams open now.
const STREAMS: &str = "rollcall_event_streams";
/// Streams that have ended, by reason.
const STREAMS_ENDED_TOTAL: &str = "rollcall_event_streams_ended_total";
/// Events sent on streams.
const EVENTS_TOTAL: &str = "rollcall_event_stream_events_total";
/// The limit's name, as in `[limits]`.
const LIMIT: &str = "event_streams";

/// A stream that was not asked for anything for so long, heartbeats included, may lose its place.
const UNREAD_FOR: Duration = Duration::from_secs(60);

/// All streams of this node.
#[derive(Clone)]
pub(crate) struct Streams(Arc<Shared>);

struct Shared {
    most: usize,
    places: Mutex<Places>,
    open: Gauge,
    refused: Counter,
    events: Counter,
}

#[derive(Default)]
struct Places {
    next: u64,
    /// When each was last asked for more.
    taken: BTreeMap<u64, Instant>,
}

/// The place of one stream; free again when dropped.
pub(crate) struct StreamPlace {
    streams: Streams,
    number: u64,
    reason: &'static str,
}

impl Streams {
    /// At most so many; 0 = no bound.
    pub(crate) fn new(most: usize) -> Streams {
        describe_gauge!(STREAMS, "streams of presence events that are open now");
        describe_counter!(STREAMS_ENDED_TOTAL, "streams of presence events that have ended, by reason");
        describe_counter!(EVENTS_TOTAL, "presence events sent on streams");
        Streams(Arc::new(Shared {
            most: if most == 0 { usize::MAX } else { most },
            places: Mutex::default(),
            open: gauge!(STREAMS),
            refused: counter!("rollcall_quota_limited_total", "kind" => LIMIT),
            events: counter!(EVENTS_TOTAL),
        }))
    }

    /// A place, if there is one: a free one, or that of a stream that nobody reads.
    pub(crate) fn take(&self, now: Instant) -> Option<StreamPlace> {
        let mut places = self.0.places.lock();
        if places.taken.len() >= self.0.most {
            let unread = places.taken.iter().min_by_key(|(_, asked)| **asked);
            let unread = unread.filter(|(_, asked)| now.saturating_duration_since(**asked) >= UNREAD_FOR);
            let Some(number) = unread.map(|(number, _)| *number) else {
                self.0.refused.increment(1);
                return None;
            };
            places.taken.remove(&number);
        }
        let number = places.next;
        places.next += 1;
        places.taken.insert(number, now);
        self.0.open.increment(1);
        Some(StreamPlace { streams: self.clone(), number, reason: "reader_gone" })
    }
}

impl StreamPlace {
    /// The reader takes more. `false` when the place was given to another meanwhile.
    pub(crate) fn is_read(&self, now: Instant) -> bool {
        let mut places = self.streams.0.places.lock();
        let place = places.taken.get_mut(&self.number);
        place.map(|asked| *asked = now).is_some()
    }

    pub(crate) fn sent(&self, events: u64) {
        self.streams.0.events.increment(events);
    }

    /// Why the stream ends, if it is not that its reader has gone.
    pub(crate) fn ends(&mut self, reason: &'static str) {
        self.reason = reason;
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.streams.0.places.lock().taken.remove(&self.number);
        self.streams.0.open.decrement(1);
        counter!(STREAMS_ENDED_TOTAL, "reason" => self.reason).increment(1);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_place_of_a_stream_that_nobody_reads_goes_to_one_who_asks() {
        let streams = Streams::new(2);
        let begin = Instant::now();
        let (first, second) = (streams.take(begin).unwrap(), streams.take(begin).unwrap());
        let later = begin + UNREAD_FOR - Duration::from_millis(1);
        assert!(streams.take(later).is_none());
        assert!(first.is_read(later));
        let third = streams.take(begin + UNREAD_FOR).unwrap();
        assert!(!second.is_read(later) && first.is_read(later), "the one that is read keeps its place");
        drop(second);
        assert!(streams.take(begin + UNREAD_FOR).is_none(), "its place was another's already");
        drop(third);
        assert!(streams.take(begin + UNREAD_FOR).is_some());
    }

    #[test]
    fn zero_is_no_bound() {
        let streams = Streams::new(0);
        let open: Vec<_> = (0..100).map_while(|_| streams.take(Instant::now())).collect();
        assert_eq!(open.len(), 100);
    }
}
