//! The client id in the raw request target, decoded exactly once.
//!
//! Any UTF-8 text is a client id, `/`, `%`, `+`, `..` and `a%2F%2Fb` included, so nothing may normalise the path
//! before this code sees it, and nothing may decode it again.

use rollcall_types::{ClientId, ClientIdError};
use std::borrow::Cow;

const PREFIX: &str = "/client-id/";
const SUFFIX: &str = "/status";

/// Why a path segment or a query parameter is no client id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BadClientId {
    Empty,
    BadEscape,
    NotUtf8,
    Null,
    TooLong,
}

/// The still encoded id of `/client-id/{client-id}/status`; `None` for any other path. The id is one segment: a raw
/// slash makes it another path.
pub(crate) fn raw_segment(path: &str) -> Option<&str> {
    let segment = path.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    (!segment.contains('/')).then_some(segment)
}

/// Decodes a path segment. A plus is a plus (RFC 3986 gives it no other meaning).
pub(crate) fn decode_segment(raw: &str, bytes_max: usize) -> Result<ClientId, BadClientId> {
    checked(&percent_decoded(raw, false)?, bytes_max)
}

/// The query parameter `client_id`, if it is there. Query strings are form-encoded, so a plus is a space. Of several,
/// all must agree with the first: what is checked must not depend on who reads the query.
pub(crate) fn query_client_id(query: Option<&str>, bytes_max: usize) -> Result<Option<ClientId>, BadParameter> {
    let mut found: Option<ClientId> = None;
    for pair in query.unwrap_or_default().split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name != "client_id" {
            continue;
        }
        let decoded = percent_decoded(value, true).map_err(BadParameter::ClientId)?;
        let id = checked(&decoded, bytes_max).map_err(BadParameter::ClientId)?;
        if found.as_ref().is_some_and(|first| *first != id) {
            return Err(BadParameter::Repeated);
        }
        found = Some(id);
    }
    Ok(found)
}

/// Why the query string is not understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BadParameter {
    ClientId(BadClientId),
    Repeated,
}

fn checked(text: &str, bytes_max: usize) -> Result<ClientId, BadClientId> {
    if text.len() > bytes_max {
        return Err(BadClientId::TooLong);
    }
    ClientId::new(text).map_err(|error| match error {
        ClientIdError::Empty => BadClientId::Empty,
        ClientIdError::TooLong => BadClientId::TooLong,
        ClientIdError::Null => BadClientId::Null,
    })
}

fn percent_decoded(raw: &str, plus_is_space: bool) -> Result<Cow<'_, str>, BadClientId> {
    let special = |byte: &u8| *byte == b'%' || (plus_is_space && *byte == b'+');
    let bytes = raw.as_bytes();
    let Some(first) = bytes.iter().position(special) else {
        return Ok(Cow::Borrowed(raw));
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
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| BadClientId::NotUtf8)
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
