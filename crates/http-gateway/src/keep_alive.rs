//! `POST /keep-alive`: another keep-alive for a live connection, on whichever node it is.

use crate::{
    client_id_path::checked,
    error_response::Problem,
    in_runtime::InRuntime,
    metrics::LIMITED_TOTAL,
    parameters::{BadParameter, Parameters},
    request_body,
    response::page,
    status::Worker,
};
use actix_http::{Request, Response, StatusCode};
use bytes::Bytes;
use std::{ops::RangeInclusive, pin::pin};

/// Keep-alives that are changed at once; beyond it 503.
pub(crate) const KEEP_ALIVES_AT_ONCE_MAX: usize = 1024;

/// Seconds that a keep-alive may be given.
const INTERVALS_S: RangeInclusive<u64> = 30..=1200;
const INTERVAL: &str = "interval is a whole number of seconds from 30 to 1200";

const KNOWN: &[&str] = &["client-id", "interval", "client_id", "username"];
const UNKNOWN: &str = "the parameters are client-id, interval, client_id and username";

impl Worker {
    pub(crate) async fn keep_alive(&self, request: &mut Request) -> Result<Response<Bytes>, Problem> {
        request_body::ignore(request).await?;
        self.admit(request).await?;
        let parameters = Parameters::of(request.uri().query(), KNOWN, true).map_err(|error| match error {
            BadParameter::Unknown => BadParameter::Value(UNKNOWN),
            error => error,
        })?;
        let client_id = parameters.get("client-id").ok_or(BadParameter::Value("client-id is missing"))?;
        let client_id = checked(client_id, self.client_id_bytes_max)?;
        let interval = parameters.number("interval", INTERVALS_S, INTERVAL)?.ok_or(BadParameter::Value(INTERVAL))?;
        let keep_alive_s = u16::try_from(interval).map_err(|_| BadParameter::Value(INTERVAL))?;
        let most = self.changes.keep_alive_max_s;
        if most > 0 && keep_alive_s > most {
            metrics::counter!(LIMITED_TOTAL, "kind" => "keep_alive_max_s").increment(1);
            return Err(BadParameter::Value("interval is longer than keep_alive_max_s allows").into());
        }
        let _seat = self.changes.keep_alives.take().ok_or(Problem::TOO_MANY_KEEP_ALIVES)?;
        self.parts.admission.charge(1)?;
        let future = pin!(self.parts.data_plane.change_keep_alive(&client_id, keep_alive_s));
        InRuntime { runtime: &self.parts.runtime, future }.await?;
        Ok(page(
            StatusCode::OK,
            "application/json",
            Bytes::from(format!("{{\"success\": true, \"keepalive\": {interval}}}")),
        ))
    }
}
