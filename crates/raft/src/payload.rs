//! The stored and sent form of commands and outcomes: one version byte, then postcard.

use serde::{Serialize, de::DeserializeOwned};

/// The version of whatever has never changed its form. Older ones are decoded for ever; a newer one is refused.
pub const FORMAT_VERSION: u8 = 1;
/// The version of what tells of connections: entries of a feed, and the snapshot of a partition, which holds them.
pub const FEED_FORMAT_VERSION: u8 = 2;
/// The newest version of commands of a partition, batches of them and their outcomes. One is written under the oldest
/// version that can say it ([`rollcall_presence::Batch::tells_of_keep_alives`]): those that came first have version 1 for
/// ever.
pub const COMMAND_FORMAT_VERSION: u8 = 2;
/// The newest version of changes of the cluster, their outcomes, and the snapshot of the cluster group. Each is written
/// under the oldest version that can say it.
pub const CLUSTER_FORMAT_VERSION: u8 = 2;

/// Bytes that are no command of a known version.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PayloadError {
    /// Nothing there.
    #[error("an empty command")]
    Empty,
    /// Written by a newer release.
    #[error("format version {found} is newer than this program knows ({known}); upgrade this node")]
    Newer {
        /// The version found.
        found: u8,
        /// The newest that this program reads in this place.
        known: u8,
    },
    /// Damaged.
    #[error("a command that cannot be decoded: {0}")]
    Malformed(String),
}

/// Encodes under the present version.
///
/// # Errors
/// When the value cannot be encoded, which no type of ours brings about.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, PayloadError> {
    encode_as(FORMAT_VERSION, value)
}

/// Encodes under a version given, whose form the value has.
///
/// # Errors
/// As for [`encode`].
pub fn encode_as<T: Serialize>(version: u8, value: &T) -> Result<Vec<u8>, PayloadError> {
    postcard::to_extend(value, vec![version]).map_err(|e| PayloadError::Malformed(e.to_string()))
}

/// The version of these bytes, and what follows it.
///
/// # Errors
/// When there is nothing, or the version is newer than `known`.
pub fn version(bytes: &[u8], known: u8) -> Result<(u8, &[u8]), PayloadError> {
    match bytes.split_first() {
        None => Err(PayloadError::Empty),
        Some((&found, rest)) if (FORMAT_VERSION..=known).contains(&found) => Ok((found, rest)),
        Some((&found, _)) => Err(PayloadError::Newer { found, known }),
    }
}

/// Decodes what has never changed its form.
///
/// # Errors
/// See [`PayloadError`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, PayloadError> {
    decode_body(version(bytes, FORMAT_VERSION)?.1)
}

/// Decodes what has the same form in all versions up to this one, but for values that older ones did not know.
///
/// # Errors
/// See [`PayloadError`].
pub fn decode_up_to<T: DeserializeOwned>(known: u8, bytes: &[u8]) -> Result<T, PayloadError> {
    decode_body(version(bytes, known)?.1)
}

/// Decodes what follows the version.
///
/// # Errors
/// When the bytes are damaged.
pub fn decode_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, PayloadError> {
    postcard::from_bytes(body).map_err(|e| PayloadError::Malformed(e.to_string()))
}

/// Encodes a value and, behind it, what a later release added beside it. Without a tail the bytes are those of the value
/// alone, as they were before there was one.
///
/// # Errors
/// As for [`encode`].
pub fn encode_with_tail<T: Serialize, U: Serialize>(value: &T, tail: Option<&U>) -> Result<Vec<u8>, PayloadError> {
    encode_with_tail_as(FORMAT_VERSION, value, tail)
}

/// As [`encode_with_tail`], under a version given.
///
/// # Errors
/// As for [`encode`].
pub fn encode_with_tail_as<T: Serialize, U: Serialize>(
    version: u8,
    value: &T,
    tail: Option<&U>,
) -> Result<Vec<u8>, PayloadError> {
    let bytes = encode_as(version, value)?;
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
    decode_body_with_tail(version(bytes, FORMAT_VERSION)?.1)
}

/// As [`decode_with_tail`], of what follows the version.
///
/// # Errors
/// When the bytes are damaged.
pub fn decode_body_with_tail<T: DeserializeOwned, U: DeserializeOwned>(
    body: &[u8],
) -> Result<(T, Option<U>), PayloadError> {
    let malformed = |e: postcard::Error| PayloadError::Malformed(e.to_string());
    let (value, rest) = postcard::take_from_bytes(body).map_err(malformed)?;
    let tail = if rest.is_empty() { None } else { Some(postcard::from_bytes(rest).map_err(malformed)?) };
    Ok((value, tail))
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
        assert_eq!(decode::<(u32, String)>(&newer), Err(PayloadError::Newer { found: 9, known: 1 }));
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
        assert_eq!(decode_with_tail::<u32, String>(&[9, 1]), Err(PayloadError::Newer { found: 9, known: 1 }));
    }
}
