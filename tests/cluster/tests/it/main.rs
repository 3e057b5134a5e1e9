//! What a user sees of a cluster of real processes, scenario by scenario.
//!
//! Scenarios run one at a time, whatever the number of test threads: they measure times. Those that need root, loop
//! devices or another program say so aloud when it is missing, and fail where `ROLLCALL_SCENARIOS_ALL` is set.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod authenticators;
mod broadcast;
mod connect;
mod cut_pair;
mod demo;
mod drain;
mod events;
mod events_shared;
mod failover;
mod fences;
mod four_nodes;
mod http_publish;
mod inspect;
mod interop;
mod interop_messages;
mod interop_paho_c;
mod isolation;
mod keep_alive_change;
mod keepalive;
mod limits;
mod membership;
mod messages;
mod moving;
mod odd_ids;
mod operating;
mod point_to_point;
mod power_loss;
mod presence_events;
mod presence_examples;
mod questions;
mod quota;
mod quota_grants;
mod retained;
mod rolling;
mod sharing;
mod shipped_elsewhere;
mod slow_consumers;
mod soak;
mod status;
mod storm;
mod takeover;
