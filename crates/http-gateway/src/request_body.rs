//! A request's body, within bounds: read, or read and forgotten where nobody asked for one, so that the connection can be
//! kept.

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
    take(request, IGNORED_BODY_BYTES_MAX, Problem::BODY_TOO_LARGE, |_| {}).await
}

/// Reads the request's body to its end; one of more bytes is the problem `too_large`.
pub(crate) async fn read(request: &mut Request, bytes_max: usize, too_large: Problem) -> Result<Vec<u8>, Problem> {
    let mut body = Vec::new();
    take(request, bytes_max, too_large, |chunk| body.extend_from_slice(chunk)).await?;
    Ok(body)
}

async fn take(
    request: &mut Request,
    bytes_max: usize,
    too_large: Problem,
    mut each: impl FnMut(&[u8]),
) -> Result<(), Problem> {
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
    if declared_length(request.head().headers()).is_some_and(|length| length > bytes_max as u64) {
        return Err(too_large);
    }
    let read = async {
        let mut bytes = 0_usize;
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Problem::BAD_BODY)?;
            bytes = bytes.saturating_add(chunk.len());
            if bytes > bytes_max {
                return Err(too_large);
            }
            each(&chunk);
        }
        Ok(())
    };
    timeout(BODY_WAIT_MAX, read).await.unwrap_or(Err(Problem::BODY_TOO_SLOW))
}

/// The length of the body, where the request says it.
pub(crate) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}
