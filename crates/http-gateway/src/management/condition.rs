//! Conditions of requests (RFC 9110, 13): tags of objects, and which a change was made for.

use crate::{error_response::Problem, response::json};
use actix_http::{
    Request, Response, StatusCode,
    header::{ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH},
};
use bytes::Bytes;
use rollcall_cluster::{CONDITION_TAGS_MAX, Condition};
use serde::Serialize;

/// The condition of a change.
pub(super) fn of(request: &Request) -> Result<Condition, Problem> {
    match (value(request, &IF_MATCH)?, value(request, &IF_NONE_MATCH)?) {
        (None, None) => Ok(Condition::Always),
        (Some("*"), None) => Ok(Condition::Present),
        (None, Some("*")) => Ok(Condition::Absent),
        (Some(tags), None) => {
            let tags: Vec<&str> = tags.split(',').map(str::trim).collect();
            let quoted = |tag: &&str| tag.trim_start_matches("W/").len() >= 2 && tag.ends_with('"');
            if tags.len() > CONDITION_TAGS_MAX || !tags.iter().all(quoted) {
                return Err(Problem::BAD_PRECONDITION);
            }
            // A tag of another form, a weak one among them, is the tag of nothing (RFC 9110, 13.1.1).
            Ok(Condition::Tagged(tags.into_iter().filter_map(number).collect()))
        }
        _ => Err(Problem::BAD_PRECONDITION),
    }
}

fn value<'r>(request: &'r Request, name: &HeaderName) -> Result<Option<&'r str>, Problem> {
    let mut values = request.head().headers().get_all(name);
    let first = values.next().map(|value| value.to_str().map(str::trim)).transpose();
    match (first, values.next()) {
        (Ok(first), None) => Ok(first),
        _ => Err(Problem::BAD_PRECONDITION),
    }
}

fn number(tag: &str) -> Option<u64> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    let is_one = digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_one.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

/// The object with its tag, or 304 where the asker has it already.
pub(super) fn tagged(request: &Request, status: StatusCode, tag: u64, object: &impl Serialize) -> Response<Bytes> {
    let has_it = value(request, &IF_NONE_MATCH).ok().flatten().is_some_and(|tags| {
        status == StatusCode::OK && tags.split(',').any(|one| number(one.trim().trim_start_matches("W/")) == Some(tag))
    });
    let mut response = match has_it {
        true => Response::with_body(StatusCode::NOT_MODIFIED, Bytes::new()),
        false => json(status, object),
    };
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{tag:016x}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// 204.
pub(super) fn no_content() -> Response<Bytes> {
    Response::with_body(StatusCode::NO_CONTENT, Bytes::new())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use actix_http::test::TestRequest;

    fn read(headers: &[(&str, &str)]) -> Result<Condition, Problem> {
        let mut request = TestRequest::default();
        for (name, value) in headers {
            request.append_header((*name, *value));
        }
        of(&request.finish())
    }

    #[test]
    fn a_condition_is_read_from_its_header() {
        let tag = "\"00000000000000ff\"";
        let none = "If-None-Match";
        type Case<'a> = (&'a [(&'a str, &'a str)], Result<Condition, Problem>);
        let cases: [Case<'_>; 12] = [
            (&[], Ok(Condition::Always)),
            (&[("If-Match", "*")], Ok(Condition::Present)),
            (&[(none, "*")], Ok(Condition::Absent)),
            (&[("If-Match", tag)], Ok(Condition::Tagged(vec![255]))),
            (&[("If-Match", "\"other\", \"00000000000000ff\"")], Ok(Condition::Tagged(vec![255]))),
            (&[("If-Match", "W/\"00000000000000ff\"")], Ok(Condition::Tagged(vec![]))),
            (&[("If-Match", "\"\"")], Ok(Condition::Tagged(vec![]))),
            (&[("If-Match", "ff")], Err(Problem::BAD_PRECONDITION)),
            (&[("If-Match", "")], Err(Problem::BAD_PRECONDITION)),
            (&[(none, tag)], Err(Problem::BAD_PRECONDITION)),
            (&[("If-Match", "*"), (none, "*")], Err(Problem::BAD_PRECONDITION)),
            (&[("If-Match", tag), ("If-Match", tag)], Err(Problem::BAD_PRECONDITION)),
        ];
        for (headers, expected) in cases {
            assert_eq!(read(headers), expected, "{headers:?}");
        }
        let many = vec![tag; CONDITION_TAGS_MAX + 1].join(",");
        assert_eq!(read(&[("If-Match", &many)]), Err(Problem::BAD_PRECONDITION));
    }
}
