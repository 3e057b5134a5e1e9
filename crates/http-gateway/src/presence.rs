//! `GET /clients/{client-id}/presence`: all that is known of one client.

use crate::{
    client_id_path::decode_segment, error_response::Problem, in_runtime::InRuntime, request_body, response::json,
    route::presence_segment, status::Worker,
};
use actix_http::{Request, Response, StatusCode};
use bytes::Bytes;
use rollcall_contracts::{KnownClient, PresenceAnswer, StatusError};
use rollcall_types::ClientId;
use serde::Serialize;
use std::pin::pin;

/// What is told of a client wherever more is told than its status. Nothing but `client_id` and `online` is known of a
/// client that was never seen.
#[derive(Serialize, Default)]
pub(crate) struct ClientView<'a> {
    pub(crate) client_id: &'a str,
    online: bool,
    epoch: Option<u64>,
    node: Option<&'a str>,
    since: Option<u64>,
    last_disconnect: Option<Ended>,
    username: Option<&'a str>,
    protocol_version: Option<u8>,
    keep_alive: Option<u16>,
}

#[derive(Serialize)]
struct Ended {
    at: u64,
    reason: &'static str,
}

#[derive(Serialize)]
struct Presence<'a> {
    #[serde(flatten)]
    client: ClientView<'a>,
    partition: u16,
    index: u64,
    lease_ms: u64,
    half_open_bound_ms: Option<u64>,
}

impl<'a> ClientView<'a> {
    pub(crate) fn of(client: &'a KnownClient) -> ClientView<'a> {
        let facts = &client.facts;
        ClientView {
            client_id: facts.client_id.as_str(),
            online: facts.online(),
            epoch: Some(facts.epoch.0),
            node: client.node.as_ref().filter(|_| facts.online()).map(|node| node.0.as_str()),
            since: Some(facts.since.0),
            last_disconnect: facts.offline().map(|end| Ended { at: end.at.0, reason: end.reason.name() }),
            username: Some(&*facts.username).filter(|username| !username.is_empty()),
            protocol_version: Some(facts.protocol.level()),
            keep_alive: Some(facts.keep_alive_s),
        }
    }
}

impl Worker {
    pub(crate) async fn presence(&self, request: &mut Request) -> Result<Response<Bytes>, Problem> {
        request_body::ignore(request).await?;
        self.admit(request).await?;
        let segment = presence_segment(request.path()).unwrap_or_default();
        let client_id = decode_segment(segment, self.client_id_bytes_max)?;
        self.parts.admission.charge(1)?;
        let answer = self.known(client_id.clone()).await?;
        Ok(self.shown(&client_id, &answer))
    }

    /// The same for a reader of the management API, to whom a client that was never seen is not there.
    pub(crate) async fn presence_for_manager(&self, client_id: ClientId) -> Result<Response<Bytes>, Problem> {
        let answer = self.known(client_id.clone()).await?;
        if answer.client.is_none() {
            return Err(Problem::NO_SUCH_CLIENT);
        }
        Ok(self.shown(&client_id, &answer))
    }

    async fn known(&self, client_id: ClientId) -> Result<PresenceAnswer, StatusError> {
        let future = pin!(self.parts.questions.presence(client_id));
        InRuntime { runtime: &self.parts.runtime, future }.await
    }

    fn shown(&self, client_id: &ClientId, answer: &PresenceAnswer) -> Response<Bytes> {
        let client = match &answer.client {
            Some(client) => ClientView::of(client),
            None => ClientView { client_id: client_id.as_str(), ..ClientView::default() },
        };
        let half_open_bound_ms = client.keep_alive.filter(|_| client.online).and_then(half_open_bound_ms);
        let view = Presence {
            client,
            partition: answer.partition.0,
            index: answer.index.0,
            lease_ms: u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX),
            half_open_bound_ms,
        };
        json(StatusCode::OK, &view)
    }
}

/// How long a client whose network vanished may still be told as online, by the one rule that holds behind every proxy:
/// MQTT's one and a half keep-alives. Without a keep-alive there is none.
fn half_open_bound_ms(keep_alive_s: u16) -> Option<u64> {
    (keep_alive_s > 0).then(|| u64::from(keep_alive_s) * 1500)
}
