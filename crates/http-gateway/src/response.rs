//! Documents, on either listener: never kept by a cache.

use actix_http::{
    Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};
use bytes::Bytes;
use serde::Serialize;

/// A page of a content type.
pub(crate) fn page(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::with_body(status, body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A JSON document.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    // Strings, numbers and flags: encoding cannot fail, and the status alone is an answer.
    page(status, "application/json", Bytes::from(serde_json::to_vec(body).unwrap_or_default()))
}
