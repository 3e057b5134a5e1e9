//! Retained messages: pages of those that a filter matches, and one by its topic.

use super::{Call, condition, message::Shown};
use crate::{
    error_response::Problem,
    in_runtime::InRuntime,
    parameters::{BadParameter, Parameters},
    response::json,
};
use actix_http::{Response, StatusCode};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use rollcall_cluster::Deed;
use rollcall_contracts::{RetainedPage, RetainedPlace};
use rollcall_types::{Message, MessageProperties, QoS, check_topic_filter, check_topic_name, split_shared};
use serde::Serialize;
use std::{pin::pin, sync::Arc};
use utoipa::ToSchema;

/// Messages on a page where none is said, and at most.
const PAGE: (u64, u64) = (100, 1_000);
/// Pages of the store that are read for one page here: a prefix may leave out most of what a filter matches.
const READS_MAX: usize = 16;
const PARAMETERS: &[&str] = &["filter", "prefix", "limit", "cursor"];
const UNKNOWN: &str = "the parameters are filter, prefix, limit and cursor";
const LIMIT: &str = "limit is 1 to 1000";
const FILTER: &str = "filter is a topic filter that is not shared";

#[derive(Serialize, ToSchema)]
struct RetainedMessages {
    retained: Vec<Shown>,
    /// What `cursor` of the next page is; null on the last one. A page may be short, or empty, before the end.
    cursor: Option<String>,
}

/// Retained messages that a filter matches.
#[utoipa::path(
    get,
    path = "/api/v1/retained",
    params(("filter" = Option<String>, Query, description = "a topic filter; # where none is given"), ("prefix" = Option<String>, Query, description = "the topic begins with this"), ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000), ("cursor" = Option<String>, Query, description = "of the page before")),
    responses((status = 200, description = "done", body = RetainedMessages)),
)]
pub(super) async fn list(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let parameters = Parameters::of(call.query.as_deref(), PARAMETERS, true).map_err(|error| match error {
        BadParameter::Unknown => BadParameter::Value(UNKNOWN),
        other => other,
    })?;
    let limit = parameters.number("limit", 1..=PAGE.1, LIMIT)?.unwrap_or(PAGE.0);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let filter = parameters.get("filter").unwrap_or("#");
    if check_topic_filter(filter).is_err() || split_shared(filter).is_some() {
        return Err(BadParameter::Value(FILTER).into());
    }
    let prefix = parameters.get("prefix").unwrap_or_default();
    let mut place = match parameters.get("cursor") {
        None => Some(RetainedPlace::default()),
        Some(text) => Some(read(text).ok_or(Problem::BAD_CURSOR)?),
    };
    let _seat = call.worker.lists.take().ok_or(Problem::TOO_MANY_LISTS)?;
    let mut retained = Vec::new();
    for _ in 0..READS_MAX {
        let Some(from) = place.take() else { break };
        let partition = from.partition;
        let RetainedPage { messages, next } = matching(call, filter, from).await?;
        let mut fitting = messages.into_iter().filter(|message| message.topic.starts_with(prefix));
        let room = limit - retained.len();
        retained.extend(fitting.by_ref().take(room));
        let is_cut = fitting.next().is_some();
        place = match retained.last() {
            Some(last) if is_cut => Some(RetainedPlace::behind(partition, &last.topic)),
            _ => next,
        };
        if retained.len() >= limit {
            break;
        }
    }
    let cursor = place.map(|place| written(&place));
    Ok(json(StatusCode::OK, &RetainedMessages { retained: retained.into_iter().map(Shown::of).collect(), cursor }))
}

/// A text that means nothing to whoever holds it. It gives nobody a right, and one that was made up leads to a place where
/// nothing is.
fn written(place: &RetainedPlace) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default())
}

fn read(text: &str) -> Option<RetainedPlace> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

async fn matching(call: &Call<'_>, filter: &str, from: RetainedPlace) -> Result<RetainedPage, Problem> {
    let future = pin!(call.parts.retained.matching(filter, from));
    Ok(InRuntime { runtime: &call.parts.runtime, future }.await?)
}

async fn find(call: &Call<'_>, topic: &str) -> Result<Message, Problem> {
    check_topic_name(topic)
        .map_err(|_| Problem::bad_topic("the topic is empty, too long, or has a wildcard or U+0000"))?;
    let page = matching(call, topic, RetainedPlace::default()).await?;
    page.messages.into_iter().next().ok_or(Problem::NO_RETAINED)
}

/// One retained message.
#[utoipa::path(
    get,
    path = "/api/v1/retained/{topic}",
    params(("topic" = String, Path, description = "the topic, one URL-encoded segment", min_length = 1)),
    responses((status = 200, description = "done", body = Shown)),
)]
pub(super) async fn get(call: &Call<'_>, topic: &str) -> Result<Response<Bytes>, Problem> {
    Ok(json(StatusCode::OK, &Shown::of(find(call, topic).await?)))
}

/// Deletes a retained message.
#[utoipa::path(
    delete,
    path = "/api/v1/retained/{topic}",
    params(("topic" = String, Path, description = "the topic, one URL-encoded segment", min_length = 1)),
    responses((status = 204, description = "done")),
)]
pub(super) async fn delete(call: &Call<'_>, topic: &str) -> Result<Response<Bytes>, Problem> {
    find(call, topic).await?;
    call.note(Deed::DeleteRetained, topic, "").await?;
    let cleared = Message {
        topic: topic.to_owned(),
        payload: Vec::new(),
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: MessageProperties::default(),
    };
    let future = pin!(call.parts.retained.keep(Arc::new(cleared)));
    InRuntime { runtime: &call.parts.runtime, future }.await?;
    Ok(condition::no_content())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_types::PartitionId;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is() {
        let place = RetainedPlace::behind(PartitionId(3), "a/ö\u{1}");
        assert_eq!(read(&written(&place)), Some(place));
        for text in ["", "x", "!", "e30"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
