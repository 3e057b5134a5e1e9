//! What the proposer of a change hears.

use crate::FoundingError;
use rollcall_types::{Incarnation, NodeId};
use serde::{Deserialize, Serialize};

/// The outcome of one change. Every change may be repeated: a repeat answers the same or that nothing is left to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ClusterOutcome {
    /// The cluster is founded by this command.
    Formed,
    /// The cluster had been founded before; nothing changed.
    AlreadyFormed {
        /// Of the cluster that exists.
        cluster_id: String,
    },
    /// The node has a new incarnation; all earlier ones are retired.
    Registered {
        /// The new one.
        incarnation: Incarnation,
    },
    /// The node's incarnations are retired up to this one (at least as far as asked and registered).
    Retired {
        /// The highest retired.
        up_to: Incarnation,
    },
    /// The node is a member, now or already.
    MemberAdded {
        /// Its id.
        node: NodeId,
    },
    /// The change took effect.
    Done,
    /// Nothing was left to do.
    Unchanged,
    /// Not applied.
    Refused(ClusterRefusal),
}

/// Why a change was not applied.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum ClusterRefusal {
    /// There is no cluster yet.
    #[error("the cluster is not formed yet")]
    NotFormed,
    /// The founding contradicts itself.
    #[error("the founding is not usable: {0}")]
    InvalidFounding(FoundingError),
    /// No such member.
    #[error("node {node} is no member")]
    UnknownMember {
        /// Who.
        node: NodeId,
    },
    /// The command was made before this incarnation was handed out. Look again and retry with it.
    #[error("incarnation {last} has been handed out meanwhile")]
    NotTheLast {
        /// The last one handed out.
        last: Incarnation,
    },
    /// Another data directory (or the member to be removed) may still serve under this incarnation. Retry after its
    /// lease.
    #[error("incarnation {incarnation} is still alive")]
    StillAlive {
        /// The one alive.
        incarnation: Incarnation,
    },
    /// The member is leaving, or was replaced by another of its name: it serves no more.
    #[error("node {node} is leaving the cluster, or was replaced by another node of its name")]
    Leaving {
        /// Who.
        node: NodeId,
    },
    /// The name is a member's that has another data directory and has not served yet.
    #[error("the name belongs to node {node}, which has another data directory")]
    NameTaken {
        /// Whose it is.
        node: NodeId,
    },
    /// The data directory is a member's of another name.
    #[error("the data directory belongs to node {node}, which has another name")]
    DirectoryTaken {
        /// Whose it is.
        node: NodeId,
    },
    /// The partition does not exist, or the replicas are not distinct members.
    #[error("a placement names an existing partition and distinct members")]
    InvalidPlacement,
    /// The member still holds replicas.
    #[error("the node still holds {partitions} replicas")]
    HoldsReplicas {
        /// Of how many partitions.
        partitions: u16,
    },
    /// The last member cannot be removed.
    #[error("the last member cannot be removed")]
    LastMember,
    /// No such user.
    #[error("there is no such user")]
    UnknownUser,
    /// No such policy.
    #[error("there is no such policy")]
    UnknownPolicy,
    /// A bound of the state is reached.
    #[error("there are {limit} already, which is the most")]
    TooMany {
        /// The bound.
        limit: u32,
    },
    /// The condition of the change does not hold. Since format version 2, as those below.
    #[error("the object is not what the condition names")]
    ConditionFailed,
    /// No such block rule.
    #[error("there is no such block rule")]
    UnknownBlockRule,
    /// No such token.
    #[error("there is no such token")]
    UnknownToken,
    /// Nobody would be left to administer the cluster.
    #[error("the last administrator stays one")]
    LastAdmin,
    /// No such authority.
    #[error("there is no such authority")]
    UnknownAuthority,
    /// No such certificate.
    #[error("there is no such certificate")]
    UnknownCertificate,
    /// The authority signed certificates that are registered.
    #[error("certificates that the authority signed are registered")]
    AuthorityInUse,
    /// The certificate is revoked, and stays so.
    #[error("the certificate is revoked, and stays so")]
    CertificateRevoked,
}

impl ClusterOutcome {
    /// The oldest format version that can say it.
    #[must_use]
    pub fn format_version(&self) -> u8 {
        match self {
            ClusterOutcome::Refused(
                ClusterRefusal::ConditionFailed
                | ClusterRefusal::UnknownBlockRule
                | ClusterRefusal::UnknownToken
                | ClusterRefusal::LastAdmin
                | ClusterRefusal::UnknownAuthority
                | ClusterRefusal::UnknownCertificate
                | ClusterRefusal::AuthorityInUse
                | ClusterRefusal::CertificateRevoked,
            ) => 2,
            _ => 1,
        }
    }
}
