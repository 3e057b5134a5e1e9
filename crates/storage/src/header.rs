//! The header of a data directory: whose it is. Only its encoding; the file is `directory`'s.

use crate::envelope::{EnvelopeError, Place};
use rollcall_types::NodeId;
use serde::{Deserialize, Serialize};
use std::fmt;

const PLACE: Place<'static> = Place { domain: "rollcall header", at: &[] };

/// A cluster, by the number its founders gave it; written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ClusterId(pub u128);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A data directory, by the random number drawn when it was created. A copy has the same; an emptied one a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct DirectoryId(pub [u8; 16]);

impl fmt::Display for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Whose a directory is, once it was adopted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node's number in it.
    pub node: NodeId,
    /// Whatever the node stores with it about the founding; opaque here.
    pub founding: Vec<u8>,
}

/// What the header file holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) id: DirectoryId,
    pub(crate) identity: Option<Identity>,
}

/// Why bytes are no header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum HeaderError {
    Newer(u8),
    Damaged(String),
}

impl Header {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, String> {
        postcard::to_allocvec(self).map(|body| PLACE.seal(&body)).map_err(|error| error.to_string())
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Header, HeaderError> {
        let body = PLACE.open(bytes).map_err(|error| match error {
            EnvelopeError::Newer(version) => HeaderError::Newer(version),
            damaged => HeaderError::Damaged(damaged.to_string()),
        })?;
        postcard::from_bytes(body).map_err(|error| HeaderError::Damaged(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn adopted() -> Header {
        Header {
            id: DirectoryId([7; 16]),
            identity: Some(Identity { cluster: ClusterId(5), node: NodeId(3), founding: vec![1, 2] }),
        }
    }

    #[test]
    fn a_header_of_format_1_is_still_read() {
        let stored = [1, 0xc7, 0x0b, 0xc3, 0xf0, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 1, 5, 3, 2, 1, 2];
        assert_eq!(Header::decode(&stored), Ok(adopted()));
        assert_eq!(adopted().encode().unwrap(), stored);
    }
}
