//! The stored and sent form of commands and outcomes: one version byte, then postcard.

use serde::{Serialize, de::DeserializeOwned};

/// The version written by this program. Older ones are decoded for ever; a newer one is refused.
pub const FORMAT_VERSION: u8 = 1;

/// Bytes that are no command of a known version.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PayloadError {
    /// Nothing there.
    #[error("an empty command")]
    Empty,
    /// Written by a newer release.
    #[error("format version {0} is newer than this program knows ({FORMAT_VERSION}); upgrade this node")]
    Newer(u8),
    /// Damaged.
    #[error("a command that cannot be decoded: {0}")]
    Malformed(String),
}

/// Encodes under the present version.
///
/// # Errors
/// When the value cannot be encoded, which no type of ours brings about.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, PayloadError> {
    postcard::to_extend(value, vec![FORMAT_VERSION]).map_err(|e| PayloadError::Malformed(e.to_string()))
}

/// Decodes any known version.
///
/// # Errors
/// See [`PayloadError`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, PayloadError> {
    match bytes.split_first() {
        None => Err(PayloadError::Empty),
        Some((&FORMAT_VERSION, rest)) => postcard::from_bytes(rest).map_err(|e| PayloadError::Malformed(e.to_string())),
        Some((&version, _)) => Err(PayloadError::Newer(version)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_version_is_refused_and_damage_is_an_error() {
        let bytes = encode(&(1u32, "x".to_owned())).unwrap_or_default();
        assert_eq!(decode::<(u32, String)>(&bytes), Ok((1, "x".to_owned())));
        let mut newer = bytes.clone();
        newer[0] = 9;
        assert_eq!(decode::<(u32, String)>(&newer), Err(PayloadError::Newer(9)));
        assert!(matches!(decode::<(u32, String)>(&bytes[..2]), Err(PayloadError::Malformed(_))));
        assert_eq!(decode::<u8>(&[]), Err(PayloadError::Empty));
    }
}
