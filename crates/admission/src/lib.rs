//! Admission: who is it (Basic and MQTT credentials), may he (policies), and is there room (rates).
//!
//! What belongs here: password hashes and the memory of verified ones, the proof of a password by SCRAM, the order of
//! authenticators, limits on guessing, the rate limiters. What
//! does not: how a policy is evaluated (`rollcall_cluster::policy`), where users are stored (a [`UserSource`] is handed
//! in), how a refusal looks on the wire.
//!
//! Start reading at [`Admission`].

#![forbid(unsafe_code)]

mod access;
mod accounts;
mod api_token;
mod basic;
mod chain;
mod config;
mod failure_limit;
mod gate;
mod metrics;
mod password;
mod rate;
mod scram;
mod verification;
mod verified_cache;

pub use accounts::UserSource;
pub use api_token::{TOKEN_PREFIX, issue_token};
pub use chain::Link;
pub use config::{AdmissionConfig, ClientIdBinding};
pub use gate::Admission;
pub use password::{HASH_LANES, HASH_MEMORY_KIB, HASH_PASSES, HashError, hash_password};
pub use rate::Share;
pub use scram::{ScramSha256, derive_scram_keys};
