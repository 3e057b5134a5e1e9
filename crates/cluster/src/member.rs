//! A node as the cluster knows it: name, data directory, addresses, incarnations.

use rollcall_types::{ClusterTime, Incarnation, NodeName};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The identity of a data directory: 16 random bytes, written when the directory is first made and never changed. One
/// process at a time has it locked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DirectoryId(pub [u8; 16]);

impl DirectoryId {
    /// Reads the 32 hexadecimal digits that [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|number| DirectoryId(number.to_be_bytes()))
    }
}

impl fmt::Display for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a node stands and is reached, as `host:port`. Hosts are DNS names where possible: they are resolved again at each dial.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct NodeAddresses {
    /// The other nodes dial this.
    pub mesh: String,
    /// For clients that are pointed elsewhere, and for the console.
    pub mqtt: Option<String>,
    /// The HTTP data plane.
    pub http: Option<String>,
    /// The management listener.
    pub admin: Option<String>,
    /// The failure domain it stands in, for the placement of replicas.
    pub zone: Option<String>,
}

/// One member of the cluster.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Member {
    /// Stable, unique.
    pub name: NodeName,
    /// The directory that registered last, or, before any registration, the one it joined with.
    pub directory: DirectoryId,
    /// As told by the last registration.
    pub addresses: NodeAddresses,
    /// When it became a member.
    pub joined_at: ClusterTime,
    /// The last incarnation handed out; zero when none was.
    pub incarnation: Incarnation,
    /// All incarnations up to this one are retired for good; never above `incarnation`.
    pub retired: Incarnation,
    /// It is to leave, or was replaced by a node of its name: it gets no incarnation and no replica any more, and is
    /// removed once it serves nobody and holds nothing.
    pub leaving: bool,
}

impl Member {
    /// The one incarnation that may serve, if there is one. It may still be without a lease.
    #[must_use]
    pub fn alive(&self) -> Option<Incarnation> {
        (self.incarnation > self.retired).then_some(self.incarnation)
    }
}
