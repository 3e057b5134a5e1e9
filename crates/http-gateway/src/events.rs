//! `GET /presence/events`: who asks, for which events, from where on; then a stream. On either listener.

use crate::{
    body::Body,
    client_id_path::checked,
    error_response::Problem,
    event_json::{KINDS, name},
    event_stream::{EventFilter, EventStream, Following},
    event_token::{BadToken, Tokens},
    in_runtime::InRuntime,
    parameters::{BadParameter, Parameters},
    request_body,
    status::Worker,
};
use actix_http::{
    ConnectionType, Method, Request, Response, StatusCode, Version,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue},
};
use bytes::Bytes;
use rollcall_contracts::{FeedError, PresenceFeeds, StatusError};
use rollcall_types::FeedPosition;
use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

const KNOWN: &[&str] = &["client_id", "prefix", "kinds", "from"];
const UNKNOWN: &str = "the parameters are client_id, prefix, kinds and from";
const KINDS_ARE: &str = "kinds is a list, with commas, of client_connected and client_disconnected";

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Asks a proxy that understands it (nginx) to pass each event on at once.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

impl Worker {
    pub(crate) async fn events(&self, request: &mut Request) -> Result<Response<Body>, Problem> {
        request_body::ignore(request).await?;
        self.admit(request).await?;
        self.event_stream(request, true).await
    }

    /// The stream for somebody who may have it; a reader of the data plane pays for it.
    pub(crate) async fn event_stream(&self, request: &Request, is_charged: bool) -> Result<Response<Body>, Problem> {
        let parameters = Parameters::of(request.uri().query(), KNOWN, true).map_err(|error| match error {
            BadParameter::Unknown => BadParameter::Value(UNKNOWN),
            other => other,
        })?;
        let filter = filter(&parameters, self.client_id_bytes_max)?;
        let feeds = Arc::clone(&self.parts.feeds);
        let tokens = Tokens::of(&feeds.feeds().ok_or(StatusError::NotReady)?);
        let from = token(request, &parameters)?.map(|token| tokens.read(token)).transpose()?;
        let leaving = self.parts.leaving.clone();
        if *leaving.borrow() {
            return Err(Problem::from(StatusError::NotReady));
        }
        let place = self.streams.take(Instant::now()).ok_or(Problem::TOO_MANY_STREAMS)?;
        if is_charged {
            self.parts.admission.charge(1)?;
        }
        let from = {
            let future = pin!(beginning(&*feeds, from));
            InRuntime { runtime: &self.parts.runtime, future }.await?
        };
        let following = Following { feeds, tokens, filter, from, heartbeat: self.heartbeat, leaving, place };
        let body = match *request.method() {
            Method::HEAD => Body::Whole(Bytes::new()),
            _ => Body::Events(Box::new(EventStream::new(following, self.parts.runtime.clone()))),
        };
        let mut response = Response::with_body(StatusCode::OK, body);
        if request.version() < Version::HTTP_11 {
            // It knows no chunks: the stream ends with the connection.
            response.head_mut().no_chunking(true);
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(BUFFERING, HeaderValue::from_static("no"));
        Ok(response)
    }
}

/// The token of the request. That of the header is the later one: a browser repeats the query when it comes again.
fn token<'a>(request: &'a Request, parameters: &'a Parameters<'_>) -> Result<Option<&'a str>, Problem> {
    match request.head().headers().get(LAST_EVENT_ID).map(HeaderValue::as_bytes) {
        // As the standard has it: no id.
        None | Some(b"") => Ok(parameters.get("from")),
        Some(bytes) => str::from_utf8(bytes).map(Some).map_err(|_| Problem::BAD_TOKEN),
    }
}

fn filter(parameters: &Parameters<'_>, client_id_bytes_max: usize) -> Result<EventFilter, BadParameter> {
    let client_id = parameters.get("client_id").map(|text| checked(text, client_id_bytes_max));
    let kinds = match parameters.get("kinds") {
        None => Vec::new(),
        Some(list) => {
            let kind = |text: &str| KINDS.into_iter().find(|known| name(*known) == text);
            let kinds: Option<_> = list.split(',').map(kind).collect();
            kinds.ok_or(BadParameter::Value(KINDS_ARE))?
        }
    };
    Ok(EventFilter {
        prefix: parameters.get("prefix").unwrap_or_default().to_owned(),
        client_id: client_id.transpose().map_err(BadParameter::ClientId)?,
        kinds,
    })
}

/// Where the stream begins, once a quorum has confirmed that it can: behind all that was committed before, or where the
/// token says, if all that came since is still kept.
async fn beginning(feeds: &dyn PresenceFeeds, from: Option<Vec<FeedPosition>>) -> Result<Vec<FeedPosition>, Problem> {
    let now: Vec<FeedPosition> = feeds.confirm().await.into_iter().collect::<Result<_, StatusError>>()?;
    let Some(from) = from else { return Ok(now) };
    if from.len() != now.len() {
        return Err(Problem::from(StatusError::NotReady));
    }
    if from.iter().zip(&now).any(|(from, now)| from > now) {
        // Nobody was told of a place that the log has not reached.
        return Err(Problem::OTHER_HISTORY);
    }
    match feeds.next(&from, 1, Duration::ZERO).await {
        Ok(_) => Ok(from),
        Err(FeedError::Gone(_)) => Err(Problem::POSITION_GONE),
        Err(FeedError::NotReady) => Err(Problem::from(StatusError::NotReady)),
    }
}

impl From<BadToken> for Problem {
    fn from(error: BadToken) -> Self {
        match error {
            BadToken::Malformed => Problem::BAD_TOKEN,
            BadToken::OtherHistory => Problem::OTHER_HISTORY,
        }
    }
}
