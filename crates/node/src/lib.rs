//! One node composed of its parts: configuration, the order of starting and stopping, serving terms, readiness,
//! reconciliation, drain.
//!
//! Start reading at [`Node`]. What does not belong here: a rule (floors 0 and 1), a mechanism, or an edge; only what
//! ties them together.

#![forbid(unsafe_code)]

mod access_control;
mod accounts;
mod authenticators;
#[cfg(test)]
mod authenticators_test;
#[cfg(test)]
mod bytes_test;
pub mod config;
mod devices;
mod errors;
mod event_feeds;
mod feed_reader;
mod formation;
mod founding;
mod from_peers;
pub mod inspect;
mod joining;
mod late_presence;
mod late_retained;
mod management;
mod members;
mod mesh_certificates;
#[cfg(test)]
mod mesh_certificates_test;
mod metrics_text;
mod node;
mod own_routes;
mod owner_links;
mod parts;
mod peer_calls;
mod peer_publisher;
#[cfg(test)]
mod peer_publisher_test;
mod quota_seat;
mod readiness;
mod reconcile;
mod serving;
mod session_links;
mod settings;
#[cfg(test)]
mod stored_test;
mod told_routes;

pub use errors::StartError;
pub use node::Node;
pub use readiness::Complaint;
