//! The client id in the raw request target, decoded exactly once.
//!
//! Any UTF-8 text is a client id, `/`, `%`, `+`, `..` and `a%2F%2Fb` included, so nothing may normalise the path
//! before this code sees it, and nothing may decode it again.

use crate::parameters::{BadParameter, Parameters};
use rollcall_types::{ClientId, ClientIdError};
use std::borrow::Cow;

/// Why a path segment or a query parameter is no client id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BadClientId {
    Empty,
    BadEscape,
    NotUtf8,
    Null,
    TooLong,
}

/// Decodes a path segment. A plus is a plus (RFC 3986 gives it no other meaning).
pub(crate) fn decode_segment(raw: &str, bytes_max: usize) -> Result<ClientId, BadClientId> {
    checked(&percent_decoded(raw, false)?, bytes_max)
}

/// The query parameter `client_id`, if it is there.
pub(crate) fn query_client_id(query: Option<&str>, bytes_max: usize) -> Result<Option<ClientId>, BadParameter> {
    let parameters = Parameters::of(query, &["client_id"], false)?;
    let text = parameters.get("client_id");
    text.map(|text| checked(text, bytes_max).map_err(BadParameter::ClientId)).transpose()
}

/// A client id, decoded.
pub(crate) fn checked(text: &str, bytes_max: usize) -> Result<ClientId, BadClientId> {
    if text.len() > bytes_max {
        return Err(BadClientId::TooLong);
    }
    ClientId::new(text).map_err(|error| match error {
        ClientIdError::Empty => BadClientId::Empty,
        ClientIdError::TooLong => BadClientId::TooLong,
        ClientIdError::Null => BadClientId::Null,
    })
}

/// Decodes once, to text.
pub(crate) fn percent_decoded(raw: &str, plus_is_space: bool) -> Result<Cow<'_, str>, BadClientId> {
    match percent_decoded_bytes(raw, plus_is_space)? {
        Cow::Borrowed(_) => Ok(Cow::Borrowed(raw)),
        Cow::Owned(decoded) => String::from_utf8(decoded).map(Cow::Owned).map_err(|_| BadClientId::NotUtf8),
    }
}

/// Decodes once; borrowed where nothing was encoded.
pub(crate) fn percent_decoded_bytes(raw: &str, plus_is_space: bool) -> Result<Cow<'_, [u8]>, BadClientId> {
    let special = |byte: &u8| *byte == b'%' || (plus_is_space && *byte == b'+');
    let bytes = raw.as_bytes();
    let Some(first) = bytes.iter().position(special) else {
        return Ok(Cow::Borrowed(bytes));
    };
    let mut decoded = Vec::with_capacity(bytes.len());
    decoded.extend_from_slice(&bytes[..first]);
    let mut rest = bytes[first..].iter();
    while let Some(&byte) = rest.next() {
        decoded.push(match byte {
            b'%' => {
                let high = rest.next().copied().and_then(hex_digit).ok_or(BadClientId::BadEscape)?;
                let low = rest.next().copied().and_then(hex_digit).ok_or(BadClientId::BadEscape)?;
                high << 4 | low
            }
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    Ok(Cow::Owned(decoded))
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
