//! Where members of a shared subscription are, as one node sees it.

use crate::NodeId;

/// A node with members of a shared group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Home {
    /// The node that looks.
    Here,
    /// Another one.
    Peer(NodeId),
}
