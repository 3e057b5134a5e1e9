//! The requests of a status measurement, as bytes ready to send: what never changes is written once, the id goes into
//! its places.

use super::ids::{IdSpace, push_decimal};
use crate::{cli::Method, failure::Failure, http::PlainUrl};

const ID: &str = "{id}";
const ID_BASE64: &str = "{id_base64}";

/// What a request is made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) body: Option<&'a str>,
    pub(super) authorization: Option<&'a str>,
}

/// Writes requests for one server.
#[derive(Clone, Debug)]
pub(super) struct RequestTemplate {
    before_length: Vec<Part>,
    /// Present where a body is sent: the lines behind the length, then the body.
    body: Option<(Vec<u8>, Vec<Part>)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Fixed(Vec<u8>),
    IdInPath,
    IdInJson,
    IdBase64,
    /// So many ids in JSON, from one on, with commas between.
    ManyInJson(u16),
}

/// Where batches are asked.
const BATCH_PATH: &str = "/client-ids/status";

impl RequestTemplate {
    /// A batch of so many ids.
    pub(super) fn batch(url: &PlainUrl, ids: u16, authorization: Option<&str>) -> Result<RequestTemplate, Failure> {
        let wanted = Wanted { method: Method::Post, path: BATCH_PATH, body: Some("{\"client_ids\":["), authorization };
        let mut template = RequestTemplate::new(url, wanted)?;
        if let Some((_, body)) = &mut template.body {
            body.extend([Part::ManyInJson(ids), Part::Fixed(b"]}".to_vec())]);
        }
        Ok(template)
    }

    pub(super) fn new(url: &PlainUrl, wanted: Wanted<'_>) -> Result<RequestTemplate, Failure> {
        let path = wanted.path;
        if !path.starts_with('/') || path.contains(|c: char| c.is_ascii_whitespace() || c.is_control()) {
            return Err(Failure::new(format!("--path-template must begin with / and hold no spaces, not {path:?}")));
        }
        let method = match wanted.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        let mut before_length = vec![Part::Fixed(format!("{method} {}", url.base).into_bytes())];
        before_length.extend(split(path, &Part::IdInPath));
        let mut lines = format!(" HTTP/1.1\r\nHost: {}\r\n", url.authority);
        if let Some(authorization) = wanted.authorization {
            lines.push_str(&format!("Authorization: {authorization}\r\n"));
        }
        let sends_body = wanted.body.is_some() || wanted.method == Method::Post;
        lines.push_str(if sends_body { "Content-Length: " } else { "\r\n" });
        before_length.push(Part::Fixed(lines.into_bytes()));
        let body = sends_body.then(|| {
            let kind = if wanted.body.is_some() { "\r\nContent-Type: application/json\r\n\r\n" } else { "\r\n\r\n" };
            (kind.as_bytes().to_vec(), split(wanted.body.unwrap_or_default(), &Part::IdInJson))
        });
        Ok(RequestTemplate { before_length, body })
    }

    /// Writes the request about one id into `request`, whose content goes; `scratch` is for the body.
    pub(super) fn write(&self, ids: &IdSpace, place: u64, request: &mut Vec<u8>, scratch: &mut Vec<u8>) {
        request.clear();
        push_parts(&self.before_length, ids, place, request);
        if let Some((behind_length, body)) = &self.body {
            scratch.clear();
            push_parts(body, ids, place, scratch);
            push_decimal(scratch.len() as u64, 1, request);
            request.extend_from_slice(behind_length);
            request.extend_from_slice(scratch);
        }
    }
}

/// Fixed text and the places of the id in it.
fn split(template: &str, plain: &Part) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((at, mark, part)) = [(ID, plain), (ID_BASE64, &Part::IdBase64)]
        .into_iter()
        .filter_map(|(mark, part)| rest.find(mark).map(|at| (at, mark, part)))
        .min_by_key(|(at, ..)| *at)
    {
        parts.push(Part::Fixed(rest.as_bytes()[..at].to_vec()));
        parts.push(part.clone());
        rest = &rest[at + mark.len()..];
    }
    parts.push(Part::Fixed(rest.as_bytes().to_vec()));
    parts
}

fn push_parts(parts: &[Part], ids: &IdSpace, place: u64, into: &mut Vec<u8>) {
    for part in parts {
        match part {
            Part::Fixed(bytes) => into.extend_from_slice(bytes),
            Part::IdInPath => ids.push_in_path(place, into),
            Part::IdInJson => ids.push_in_json(place, into),
            Part::IdBase64 => ids.push_base64(place, into),
            Part::ManyInJson(many) => {
                for further in 0..u64::from(*many) {
                    into.extend_from_slice(if further == 0 { b"\"" } else { b",\"" });
                    ids.push_in_json((place + further) % ids.count(), into);
                    into.push(b'"');
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RequestTemplate, Wanted};
    use crate::{
        bench::ids::IdSpace,
        cli::{IdArguments, Method},
        http::PlainUrl,
    };

    fn written(url: &str, wanted: Wanted<'_>) -> String {
        let ids = IdSpace::new(&IdArguments { id_prefix: "a/".to_owned(), id_digits: 3, id_start: 1 }, 10);
        let template = RequestTemplate::new(&PlainUrl::parse(url).unwrap(), wanted).unwrap();
        let (mut request, mut scratch) = (b"old".to_vec(), b"old".to_vec());
        template.write(&ids, 4, &mut request, &mut scratch);
        String::from_utf8(request).unwrap()
    }

    const STATUS: Wanted<'_> =
        Wanted { method: Method::Get, path: "/client-id/{id}/status", body: None, authorization: None };

    #[test]
    fn the_default_is_the_status_query_with_the_id_encoded() {
        assert_eq!(
            written("http://127.0.0.1:8181", Wanted { authorization: Some("Basic eDp5"), ..STATUS }),
            "GET /client-id/a%2F005/status HTTP/1.1\r\nHost: 127.0.0.1:8181\r\nAuthorization: Basic eDp5\r\n\r\n"
        );
        assert_eq!(
            written("http://h/base/", Wanted { method: Method::Post, ..STATUS }),
            "POST /base/client-id/a%2F005/status HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn a_range_of_etcd_can_be_asked_for() {
        let wanted = Wanted {
            method: Method::Post,
            path: "/v3/kv/range",
            body: Some("{\"key\":\"{id_base64}\",\"x\":\"{id}\"}"),
            authorization: None,
        };
        assert_eq!(
            written("http://h:2379", wanted),
            "POST /v3/kv/range HTTP/1.1\r\nHost: h:2379\r\nContent-Length: 30\r\n\
             Content-Type: application/json\r\n\r\n{\"key\":\"YS8wMDU=\",\"x\":\"a/005\"}"
        );
    }

    #[test]
    fn a_batch_asks_for_the_ids_from_one_on_and_begins_again_behind_the_last() {
        let ids = IdSpace::new(&IdArguments { id_prefix: "a\"".to_owned(), id_digits: 3, id_start: 1 }, 10);
        let url = PlainUrl::parse("http://h").unwrap();
        let template = RequestTemplate::batch(&url, 3, Some("Basic eDp5")).unwrap();
        let (mut request, mut scratch) = (Vec::new(), Vec::new());
        template.write(&ids, 8, &mut request, &mut scratch);
        assert_eq!(
            String::from_utf8(request).unwrap(),
            "POST /client-ids/status HTTP/1.1\r\nHost: h\r\nAuthorization: Basic eDp5\r\nContent-Length: 43\r\n\
             Content-Type: application/json\r\n\r\n{\"client_ids\":[\"a\\\"009\",\"a\\\"010\",\"a\\\"001\"]}"
        );
    }

    #[test]
    fn a_path_that_is_none_is_refused() {
        let url = PlainUrl::parse("http://h").unwrap();
        for path in ["x", "/a b", "/a\r\nX: y"] {
            assert!(RequestTemplate::new(&url, Wanted { path, ..STATUS }).is_err(), "{path}");
        }
    }
}
