//! Client ids, the slice each belongs to, and what a CONNECT says of its protocol.

use crate::PartitionId;
use serde::{Deserialize, Serialize};
use std::{borrow::Borrow, fmt, sync::Arc};

/// The longest client id MQTT can carry: a two-byte length (MQTT 5.0, 1.5.4).
pub const CLIENT_ID_BYTES_MAX: usize = 65_535;

/// A valid MQTT client id: 1 to 65 535 bytes of UTF-8 without U+0000. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClientId(Arc<str>);

/// Why a text is no client id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientIdError {
    /// No byte at all.
    #[error("the client id is empty")]
    Empty,
    /// More than [`CLIENT_ID_BYTES_MAX`].
    #[error("the client id is longer than 65535 bytes")]
    TooLong,
    /// MQTT-1.5.4-2 forbids it in any string.
    #[error("the client id contains the null character U+0000")]
    Null,
}

impl ClientId {
    /// Checks and wraps.
    ///
    /// # Errors
    /// When the text is empty, too long or contains U+0000.
    pub fn new(text: &str) -> Result<Self, ClientIdError> {
        if text.is_empty() {
            return Err(ClientIdError::Empty);
        }
        if text.len() > CLIENT_ID_BYTES_MAX {
            return Err(ClientIdError::TooLong);
        }
        if text.as_bytes().contains(&0) {
            return Err(ClientIdError::Null);
        }
        Ok(ClientId(Arc::from(text)))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ClientId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

/// The partition of a client id in a cluster of `partitions` partitions. Part of the stored format: it never changes
/// for a cluster (XXH3-64 of the bytes, scaled to the range by multiplication).
#[must_use]
pub fn partition_of(client_id: &str, partitions: u16) -> PartitionId {
    let hash = xxhash_rust::xxh3::xxh3_64(client_id.as_bytes());
    let scaled = (u128::from(hash) * u128::from(partitions)) >> 64;
    PartitionId(u16::try_from(scaled).unwrap_or(0))
}

/// The version a client speaks, with the number its CONNECT carries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Protocol {
    /// MQTT 3.1 (`MQIsdp`, level 3).
    V31,
    /// MQTT 3.1.1 (`MQTT`, level 4).
    V311,
    /// MQTT 5.0 (`MQTT`, level 5).
    V5,
}

impl Protocol {
    /// The protocol level of CONNECT: 3, 4 or 5.
    #[must_use]
    pub fn level(self) -> u8 {
        match self {
            Protocol::V31 => 3,
            Protocol::V311 => 4,
            Protocol::V5 => 5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_ids_are_checked() {
        assert_eq!(ClientId::new(""), Err(ClientIdError::Empty));
        assert_eq!(ClientId::new("a\0b"), Err(ClientIdError::Null));
        assert_eq!(ClientId::new(&"a".repeat(65_536)), Err(ClientIdError::TooLong));
        assert!(ClientId::new(&"a".repeat(65_535)).is_ok());
        assert!(ClientId::new("a/%+ 😀..").is_ok());
    }

    #[test]
    fn the_partition_of_an_id_is_part_of_the_format() {
        // Known answers: a change here would move clients of an existing cluster.
        let got: Vec<u16> = ["VIN0000001", "VIN0000002", "a", "😀"].iter().map(|id| partition_of(id, 6).0).collect();
        assert_eq!(got, KNOWN);
        for partitions in [1, 6, 64, 1000] {
            assert!(partition_of("x", partitions).0 < partitions);
        }
    }

    const KNOWN: [u16; 4] = [1, 5, 5, 0];
}
