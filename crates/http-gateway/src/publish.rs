//! `POST /topics/{topic}`: a message, by the door that those of MQTT clients take.

use crate::{
    authentication::{self, source_address},
    client_id_path::{BadClientId, percent_decoded},
    config::PublishLimits,
    connection_number::ConnectionNumber,
    error_response::Problem,
    in_runtime::InRuntime,
    metrics::LIMITED_TOTAL,
    publish_parameters::PublishParameters,
    request_body,
    response::page,
    route::topic_segment,
    status::Worker,
};
use actix_http::{
    Request, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use bytes::Bytes;
use rollcall_contracts::HttpPublisher;
use rollcall_types::{ClientId, Message, TopicNameError, check_topic_name, topic_levels};
use std::pin::pin;

/// Bytes of all payloads that are read or handed on at once, or one of the largest; beyond it 503.
pub(crate) const PAYLOAD_BYTES_AT_ONCE_MAX: usize = 64 << 20;
/// What a message is counted as at least.
pub(crate) const MESSAGE_BYTES_MIN: usize = 1024;

const MESSAGE_ID: HeaderName = HeaderName::from_static("x-message-id");
const MATCHED: HeaderName = HeaderName::from_static("rollcall-matched");

/// What is known before the body is read.
struct Announced {
    from: HttpPublisher,
    topic: String,
    parameters: PublishParameters,
}

impl Worker {
    pub(crate) async fn publish(&self, request: &mut Request) -> Result<Response<Bytes>, Problem> {
        let announced = match self.announced(request).await {
            Ok(announced) => announced,
            Err(problem) => {
                // Read and forgotten where it is small, so that the refusal is read before the connection ends.
                let _unread = request_body::ignore(request).await;
                return Err(problem);
            }
        };
        let most = self.changes.publish.payload_bytes_max;
        let declared = request_body::declared_length(request.head().headers());
        let weight = declared.map_or(most, |length| usize::try_from(length).unwrap_or(usize::MAX).min(most));
        let _seats =
            self.changes.payloads.take_many(weight.max(MESSAGE_BYTES_MIN)).ok_or(Problem::TOO_MANY_PUBLISHES)?;
        let payload = request_body::read(request, most, Problem::PAYLOAD_TOO_LARGE).await.inspect_err(|problem| {
            if *problem == Problem::PAYLOAD_TOO_LARGE {
                limited("payload_bytes_max");
            }
        })?;
        let Announced { from, topic, parameters } = announced;
        let PublishParameters { qos, retain, properties, .. } = parameters;
        let message = Message { topic, payload, qos, retain, properties };
        let future = pin!(self.parts.data_plane.clone().publish(from, message));
        let taken = InRuntime { runtime: &self.parts.runtime, future }.await?;
        Ok(answered(taken.matched))
    }

    /// Who publishes what to where: all that can be refused without the body, but for what the broker decides.
    async fn announced(&self, request: &Request) -> Result<Announced, Problem> {
        let account = authentication::account(&self.parts, request).await?;
        let topic = topic(topic_segment(request.path()).unwrap_or_default(), self.changes.publish)?;
        let parameters = PublishParameters::of(request.uri().query(), self.client_id_bytes_max)?;
        let client_id = match &parameters.client_id {
            Some(client_id) => client_id.clone(),
            None => unnamed(request)?,
        };
        self.may_ask(&account, Some(&client_id), request)?;
        let from = HttpPublisher { account, client_id, source: source_address(request) };
        Ok(Announced { from, topic, parameters })
    }
}

/// A publisher that names no client is its connection.
fn unnamed(request: &Request) -> Result<ClientId, Problem> {
    let number = request.conn_data::<ConnectionNumber>().map_or(0, |number| number.0);
    ClientId::new(&format!("http-{number}")).map_err(|_| Problem::from(BadClientId::TooLong))
}

/// The topic of a path segment, decoded exactly once. A plus is a plus, and so a wildcard.
fn topic(raw: &str, limits: PublishLimits) -> Result<String, Problem> {
    let topic = percent_decoded(raw, false).map_err(|error| match error {
        BadClientId::NotUtf8 => Problem::bad_topic("the topic is not UTF-8"),
        _ => Problem::bad_topic("the topic has a percent sign without two hexadecimal digits"),
    })?;
    check(&topic, limits)?;
    Ok(topic.into_owned())
}

/// Whether a message may have this topic.
pub(crate) fn check(topic: &str, limits: PublishLimits) -> Result<(), Problem> {
    check_topic_name(topic).map_err(|error| {
        Problem::bad_topic(match error {
            TopicNameError::Empty => "the topic is empty",
            TopicNameError::TooLong => "the topic is longer than 65535 bytes",
            TopicNameError::Null => "the topic contains U+0000",
            TopicNameError::Wildcard => "the topic contains a wildcard: a message goes to one topic",
        })
    })?;
    if limits.topic_bytes_max > 0 && topic.len() > limits.topic_bytes_max {
        limited("topic_bytes_max");
        return Err(Problem::bad_topic("the topic is longer than topic_bytes_max allows"));
    }
    if limits.topic_levels_max > 0 && topic_levels(topic) > limits.topic_levels_max {
        limited("topic_levels_max");
        return Err(Problem::bad_topic("the topic has more levels than topic_levels_max allows"));
    }
    Ok(())
}

fn limited(kind: &'static str) {
    metrics::counter!(LIMITED_TOTAL, "kind" => kind).increment(1);
}

/// Nothing but its headers.
fn answered(matched: bool) -> Response<Bytes> {
    let mut response = page(StatusCode::OK, "", Bytes::new());
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    // Digits and letters: it cannot fail.
    if let Ok(id) = HeaderValue::from_str(&format!("{:032X}", rand::random::<u128>())) {
        headers.insert(MESSAGE_ID, id);
    }
    headers.insert(MATCHED, HeaderValue::from_static(if matched { "true" } else { "false" }));
    response
}
