//! openraft's type parameters for Rollcall, and the names of the types that follow from them.
//!
//! Commands and outcomes are opaque bytes here: what they mean, and their versions, is the business of whoever proposes
//! and applies them. Addresses live in the cluster state, so a Raft node carries none.

use bytes::Bytes;
use openraft::type_config::alias;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// What openraft's tasks run on.
#[cfg(feature = "simulation")]
type Runtime = crate::runtime::Runtime;
#[cfg(not(feature = "simulation"))]
type Runtime = openraft::TokioRuntime;

openraft::declare_raft_types!(
    /// Rollcall's Raft types: node ids are numbers, a term has one leader, payloads are opaque.
    pub TypeConfig:
        D = LogPayload,
        R = Vec<u8>,
        NodeId = u64,
        Node = openraft::EmptyNode,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = Runtime,
);

pub use openraft::EmptyNode;

/// A position in a log: the term of the leader that proposed the entry, and the index.
pub type LogId = alias::LogIdOf<TypeConfig>;
/// A vote: a term, the node voted for, and whether a quorum granted it.
pub type Vote = alias::VoteOf<TypeConfig>;
/// A leader or candidate of a term.
pub type LeaderId = alias::LeaderIdOf<TypeConfig>;
/// The term of an elected leader, as log ids carry it.
pub type CommittedLeaderId = alias::CommittedLeaderIdOf<TypeConfig>;
/// A log entry.
pub type Entry = alias::EntryOf<TypeConfig>;
/// What a log entry carries: nothing, a command, or a membership.
pub type EntryPayload = alias::PayloadOf<TypeConfig>;
/// The voters and learners of a group.
pub type Membership = openraft::Membership<u64, EmptyNode>;
/// A membership with the position of the entry that set it.
pub type StoredMembership = alias::StoredMembershipOf<TypeConfig>;
/// What a snapshot covers.
pub type SnapshotMeta = alias::SnapshotMetaOf<TypeConfig>;
/// A snapshot with its content.
pub type Snapshot = alias::SnapshotOf<TypeConfig, Vec<u8>>;

/// An encoded command. Cheap to clone. Shows only its length, since commands hold what clients sent.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct LogPayload(pub Bytes);

impl AsRef<[u8]> for LogPayload {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for LogPayload {
    fn from(bytes: Vec<u8>) -> Self {
        LogPayload(bytes.into())
    }
}

impl From<Bytes> for LogPayload {
    fn from(bytes: Bytes) -> Self {
        LogPayload(bytes)
    }
}

impl fmt::Debug for LogPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for LogPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for LogPayload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for LogPayload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PayloadVisitor;

        impl de::Visitor<'_> for PayloadVisitor {
            type Value = LogPayload;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<LogPayload, E> {
                Ok(LogPayload(Bytes::copy_from_slice(bytes)))
            }

            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<LogPayload, E> {
                Ok(LogPayload(bytes.into()))
            }
        }

        deserializer.deserialize_byte_buf(PayloadVisitor)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_payload_shows_its_length_and_never_its_content() {
        let payload = LogPayload::from(b"secret".to_vec());
        assert_eq!(format!("{payload} {payload:?}"), "6 bytes 6 bytes");
    }

    #[test]
    fn a_payload_survives_encoding() {
        let payload = LogPayload::from(vec![0, 1, 255]);
        let bytes = postcard::to_allocvec(&payload).unwrap();
        assert_eq!(postcard::from_bytes::<LogPayload>(&bytes).unwrap(), payload);
    }
}
