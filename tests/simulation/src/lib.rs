//! The deterministic simulation of the rules: whole clusters with clients and faults on one thread, in simulated time, from
//! one seed that replays everything.
//!
//! The rules are the real ones: `rollcall-presence`, `rollcall-cluster`, and the endings of `rollcall-session`. In place of Raft there is
//! an ideal log for each group ([`group`]), in place of the shells there are thin copies ([`node`]), and a judge that sees
//! everything ([`oracle`]) holds what happens against the promises ([`invariants`]). What does not belong here: Raft itself, storage and
//! sockets, which have tests of their own.
//!
//! Start with [`run`] and [`plan`]; [`healing`] has the phases of a run.

#![forbid(unsafe_code)]

pub mod broken;
pub mod campaign;
pub mod chance;
pub mod device;
mod facts;
pub mod faults;
pub mod group;
pub mod healing;
pub mod invariants;
pub mod kept;
pub mod machine;
pub mod network;
pub mod node;
pub mod oracle;
pub mod plan;
pub mod replica;
mod rules;
pub mod run;
pub mod scheduler;
pub mod trace;
pub mod world;
