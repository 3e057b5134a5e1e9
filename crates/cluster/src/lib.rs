//! The replicated state of the cluster group, and the arithmetic of leases.
//!
//! Start with [`ClusterState::apply`]: members and their incarnations, placement, accounts and policies change only
//! through a [`ClusterCommand`] at a log position. Beside it stand the pure rules that shells run on their own:
//! [`formation::decide`] (may an empty node found a cluster?), [`planner`] and [`rebalance`] (who holds what), [`LeaseTable`] and
//! [`NodeLease`] (who is dead, who may serve), [`ClusterClock`] (cluster time), [`CompiledPolicies`] (who may do what).
//!
//! What does not belong here: I/O, clocks, randomness, logging, password hashing, the Raft log itself, and anything
//! about clients and their claims.

#![forbid(unsafe_code)]

mod access;
mod account;
mod api_token;
mod audit;
mod certificates;
mod clock;
mod command;
pub mod formation;
pub mod invariants;
mod lease;
mod managed;
mod member;
mod membership;
mod outcome;
pub mod planner;
mod policy;
pub mod rebalance;
mod scram_keys;
mod state;

pub use access::{AccessState, BLOCK_RULES_MAX, TOKENS_MAX};
pub use account::{Role, USERNAME_BYTES_MAX, User, UserError};
pub use api_token::{ApiToken, TOKEN_HASH_BYTES, TOKEN_REMARK_BYTES_MAX};
pub use audit::{AUDIT_RECORDS_MAX, Actor, AuditRecord};
pub use certificates::{AUTHORITIES_MAX, Authority, CertificateState, DEVICE_CERTIFICATES_MAX, DeviceCertificate};
pub use clock::ClusterClock;
pub use command::{ClusterChange, ClusterCommand, Founding, FoundingError, FoundingMember};
pub use formation::{Formation, FormedCluster, FoundingPlan, Hello, KnownMember, SeedAnswer};
pub use lease::{
    CLOCK_GRANULARITY_MS, CLOCK_RATE_ERROR_PER_MILLE, LEASE_MS_MAX, LEASE_MS_MIN, LeaseTable, LeaseTerms,
    LeaseTermsError, MARGIN_MS_MAX, NodeLease,
};
pub use managed::{CONDITION_TAGS_MAX, Condition, Deed, Managed, ManagedChange, NOTE_BYTES_MAX, PasswordHash};
pub use member::{DirectoryId, Member, NodeAddresses};
pub use outcome::{ClusterOutcome, ClusterRefusal};
pub use policy::{
    AclClaim, Action, BLOCK_EXCLUDES_MAX, BlockKind, BlockRule, CertificateFields, CompiledBlocks, CompiledPolicies,
    DEFAULT_POLICY, DecidedBy, Decision, Effect, OwnRules, Policy, PolicyError, RESERVED_TOPICS, Request,
    RetainCondition,
};
pub use scram_keys::{SCRAM_KEY_BYTES, ScramKeys};
pub use state::{ClusterFacts, ClusterState, MEMBERS_MAX, POLICIES_MAX, USERS_MAX};
