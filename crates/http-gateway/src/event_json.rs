//! The kinds of events as a stream names them, and one entry of a feed as an event. What is in an event is said in
//! `contracts`, for all who tell it.

use rollcall_contracts::{ClientEvent, EventKind, PresenceFeeds};
use rollcall_presence::FeedEntry;
use rollcall_types::PartitionId;

/// All kinds.
pub(crate) const KINDS: [EventKind; 2] = [EventKind::Connected, EventKind::Disconnected];

/// The kind's name: the last level of its topic.
pub(crate) fn name(kind: EventKind) -> &'static str {
    let topic = kind.topic();
    topic.rsplit_once('/').map_or(topic, |(_, name)| name)
}

/// The kind and the JSON of the event that this entry tells; `None` when it tells none, or none that is wanted.
pub(crate) fn event(
    feeds: &dyn PresenceFeeds,
    partition: PartitionId,
    entry: &FeedEntry,
    is_wanted: impl Fn(EventKind) -> bool,
) -> Option<(&'static str, String)> {
    let node = feeds.name_of(entry.owner.node);
    let event = ClientEvent::of(partition, entry, node.as_ref())?;
    is_wanted(event.kind()).then(|| (name(event.kind()), event.to_json()))
}
