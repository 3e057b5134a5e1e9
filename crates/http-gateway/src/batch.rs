//! `POST /client-ids/status`: many clients in one question. All of them are answered, or none.

use crate::{
    client_id_path::checked, error_response::Problem, in_runtime::InRuntime, request_body, response::json,
    status::Worker,
};
use actix_http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use bytes::Bytes;
use rollcall_contracts::StatusAnswer;
use rollcall_types::ClientId;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, pin::pin};

/// Most ids in one batch.
pub(crate) const BATCH_IDS_MAX: usize = 1000;
/// Largest body of a batch.
pub(crate) const BATCH_BODY_BYTES_MAX: usize = 1 << 20;
/// Batches whose body is read or that are answered at once; beyond it 503.
pub(crate) const BATCHES_AT_ONCE_MAX: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked<'a> {
    #[serde(borrow)]
    client_ids: Vec<Text<'a>>,
}

/// Part of the body, where nothing in it is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Serialize)]
struct Answered<'a> {
    results: Vec<One<'a>>,
}

#[derive(Serialize)]
struct One<'a> {
    client_id: &'a str,
    online: bool,
    epoch: Option<u64>,
    node: Option<&'a str>,
}

impl Worker {
    pub(crate) async fn batch(&self, request: &mut Request) -> Result<Response<Bytes>, Problem> {
        if let Err(problem) = self.admit(request).await {
            // Read and forgotten where it is small, so that the refusal is read before the connection ends.
            let _unread = request_body::ignore(request).await;
            return Err(problem);
        }
        let _seat = self.batches.take().ok_or(Problem::TOO_MANY_BATCHES)?;
        says_json(request)?;
        let body = request_body::read(request, BATCH_BODY_BYTES_MAX, Problem::BATCH_TOO_LARGE).await?;
        let client_ids = client_ids(&body, self.client_id_bytes_max)?;
        drop(body);
        self.parts.admission.charge(u32::try_from(client_ids.len()).unwrap_or(u32::MAX))?;
        let future = pin!(self.parts.questions.statuses(client_ids.clone()));
        let answers = InRuntime { runtime: &self.parts.runtime, future }.await?;
        if answers.len() != client_ids.len() {
            // Answers that cannot be told apart are none.
            return Err(Problem::from(rollcall_contracts::StatusError::NoQuorum));
        }
        Ok(answered(&client_ids, &answers))
    }
}

/// Left out it is taken for JSON; anything else is a mistake of the caller.
fn says_json(request: &Request) -> Result<(), Problem> {
    let Some(value) = request.head().headers().get(CONTENT_TYPE) else { return Ok(()) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    match essence.eq_ignore_ascii_case("application/json") {
        true => Ok(()),
        false => Err(Problem::NOT_JSON_TYPE),
    }
}

fn client_ids(body: &[u8], bytes_max: usize) -> Result<Vec<ClientId>, Problem> {
    let asked: Asked<'_> = serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Problem::BAD_BATCH,
        _ => Problem::BAD_JSON,
    })?;
    match asked.client_ids.len() {
        0 => return Err(Problem::NO_CLIENT_IDS),
        ids if ids > BATCH_IDS_MAX => return Err(Problem::TOO_MANY_CLIENT_IDS),
        _ => {}
    }
    let ids = asked.client_ids.iter().enumerate();
    ids.map(|(place, Text(id))| checked(id, bytes_max).map_err(|error| Problem::from(error).at(place))).collect()
}

fn answered(client_ids: &[ClientId], answers: &[StatusAnswer]) -> Response<Bytes> {
    let results = client_ids.iter().zip(answers).map(|(client_id, answer)| One {
        client_id: client_id.as_str(),
        online: answer.online,
        epoch: answer.epoch.map(|epoch| epoch.0),
        node: answer.node.as_ref().filter(|_| answer.online).map(|node| node.0.as_str()),
    });
    json(StatusCode::OK, &Answered { results: results.collect() })
}
