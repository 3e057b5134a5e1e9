//! The broker against fake mechanisms: claims, takeovers, endings, messages.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod announcing;
mod changing_access;
mod connecting;
mod controlling;
mod counting;
mod data_plane;
mod draining;
mod events;
mod expiring;
mod fakes;
mod keeping;
mod limits;
mod messages;
mod moving;
mod point_to_point;
mod reconciling;
mod retained;
mod session_stores;
mod sharing;
mod slow_consumers;
mod system_topics;
mod taking_over;
mod world;
