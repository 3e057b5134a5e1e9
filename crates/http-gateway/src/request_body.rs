//! A body that nobody asked for: read and forgotten, within bounds, so that the connection can be kept.

use crate::error_response::Problem;
use actix_http::{
    Payload, Request, Version,
    header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING},
};
use actix_web::rt::time::timeout;
use futures_util::StreamExt;
use std::time::Duration;

/// Most bytes of a body that are read and forgotten; beyond it 413 and the connection ends.
pub(crate) const IGNORED_BODY_BYTES_MAX: usize = 64 * 1024;
/// Longest wait for the whole body.
const BODY_WAIT_MAX: Duration = Duration::from_secs(10);

/// Reads the request's body to its end and forgets it.
pub(crate) async fn ignore(request: &mut Request) -> Result<(), Problem> {
    let mut payload = match request.payload() {
        Payload::None => return Ok(()),
        _ => request.take_payload(),
    };
    // An upgrade that is not taken (RFC 9110, 7.8) looks like a body without end: it is left unread, which ends the
    // connection after the answer.
    let headers = request.head().headers();
    let framed = headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
    if !framed && request.version() < Version::HTTP_2 {
        return Ok(());
    }
    if declared_length(request.head().headers()).is_some_and(|length| length > IGNORED_BODY_BYTES_MAX as u64) {
        return Err(Problem::BODY_TOO_LARGE);
    }
    let read = async {
        let mut bytes = 0_usize;
        while let Some(chunk) = payload.next().await {
            bytes = bytes.saturating_add(chunk.map_err(|_| Problem::BAD_BODY)?.len());
            if bytes > IGNORED_BODY_BYTES_MAX {
                return Err(Problem::BODY_TOO_LARGE);
            }
        }
        Ok(())
    };
    timeout(BODY_WAIT_MAX, read).await.unwrap_or(Err(Problem::BODY_TOO_SLOW))
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}
