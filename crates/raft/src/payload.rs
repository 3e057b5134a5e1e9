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

/// Encodes a value and, behind it, what a later release added beside it. Without a tail the bytes are those of the value
/// alone, as they were before there was one.
///
/// # Errors
/// As for [`encode`].
pub fn encode_with_tail<T: Serialize, U: Serialize>(value: &T, tail: Option<&U>) -> Result<Vec<u8>, PayloadError> {
    let bytes = encode(value)?;
    match tail {
        None => Ok(bytes),
        Some(tail) => postcard::to_extend(tail, bytes).map_err(|e| PayloadError::Malformed(e.to_string())),
    }
}

/// Decodes what [`encode_with_tail`] or [`encode`] made.
///
/// # Errors
/// See [`PayloadError`].
pub fn decode_with_tail<T: DeserializeOwned, U: DeserializeOwned>(
    bytes: &[u8],
) -> Result<(T, Option<U>), PayloadError> {
    let malformed = |e: postcard::Error| PayloadError::Malformed(e.to_string());
    match bytes.split_first() {
        None => Err(PayloadError::Empty),
        Some((&FORMAT_VERSION, rest)) => {
            let (value, rest) = postcard::take_from_bytes(rest).map_err(malformed)?;
            let tail = if rest.is_empty() { None } else { Some(postcard::from_bytes(rest).map_err(malformed)?) };
            Ok((value, tail))
        }
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

    #[test]
    fn a_tail_is_read_where_there_is_one_and_bytes_without_it_are_as_before() {
        let (value, tail) = (7u32, "later".to_owned());
        let with = encode_with_tail(&value, Some(&tail)).unwrap_or_default();
        let without = encode_with_tail::<_, String>(&value, None).unwrap_or_default();
        assert_eq!(Ok(&without), encode(&value).as_ref());
        assert_eq!(decode_with_tail::<u32, String>(&with), Ok((value, Some(tail))));
        assert_eq!(decode_with_tail::<u32, String>(&without), Ok((value, None)));
        assert!(matches!(decode_with_tail::<u32, String>(&with[..with.len() - 1]), Err(PayloadError::Malformed(_))));
        assert_eq!(decode_with_tail::<u32, String>(&[9, 1]), Err(PayloadError::Newer(9)));
    }
}
