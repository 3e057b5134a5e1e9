//! What a client is subscribed to, and changes of that on its live session.

use super::{Call, body, clients::named, condition};
use crate::{error_response::Problem, in_runtime::InRuntime, response::json};
use actix_http::{Request, Response, StatusCode};
use bytes::Bytes;
use rollcall_cluster::Deed;
use rollcall_contracts::HeldSubscription;
use rollcall_types::{ClientId, QoS, check_topic_filter};
use serde::{Deserialize, Serialize};
use std::{num::NonZeroU32, pin::pin, sync::Arc};
use utoipa::ToSchema;

const BODY: &str = "a subscription is {\"filter\":\"…\",\"qos\":0|1|2,\"no_local\":false,\"retain_as_published\":false,\"subscription_id\":…}; filter is needed, unless it stands in the path";
/// Largest subscription identifier (MQTT 5.0, 3.8.2.1.2).
const SUBSCRIPTION_ID_MAX: u32 = 268_435_455;
const SUBSCRIPTION_ID: &str = "subscription_id is 1 to 268435455";

#[derive(Serialize, ToSchema)]
struct Subscriptions {
    subscriptions: Vec<Subscription>,
}

#[derive(Serialize, ToSchema)]
struct Subscription {
    /// The whole filter, `$share/…` included.
    filter: String,
    qos: u8,
    no_local: bool,
    retain_as_published: bool,
    subscription_id: Option<u32>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GivenSubscription {
    #[serde(default)]
    filter: Option<String>,
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    no_local: bool,
    #[serde(default)]
    retain_as_published: bool,
    #[serde(default)]
    subscription_id: Option<u32>,
}

impl Subscription {
    fn of(held: HeldSubscription) -> Self {
        Subscription {
            filter: held.filter,
            qos: level(held.qos),
            no_local: held.no_local,
            retain_as_published: held.retain_as_published,
            subscription_id: held.subscription_id.map(NonZeroU32::get),
        }
    }
}

/// A QoS as a number.
pub(super) fn level(qos: QoS) -> u8 {
    match qos {
        QoS::AtMostOnce => 0,
        QoS::AtLeastOnce => 1,
        QoS::ExactlyOnce => 2,
    }
}

/// The QoS of a number.
pub(super) fn quality(level: u8) -> Option<QoS> {
    match level {
        0 => Some(QoS::AtMostOnce),
        1 => Some(QoS::AtLeastOnce),
        2 => Some(QoS::ExactlyOnce),
        _ => None,
    }
}

/// What the session of a client is subscribed to.
#[utoipa::path(
    get,
    path = "/api/v1/clients/{client_id}/subscriptions",
    params(("client_id" = String, Path, description = "the client id, one URL-encoded segment", min_length = 1)),
    responses((status = 200, description = "done", body = Subscriptions)),
)]
pub(super) async fn list(call: &Call<'_>, client: &str) -> Result<Response<Bytes>, Problem> {
    let client_id = named(call, client)?;
    let future = pin!(call.parts.clients.subscriptions_of(&client_id));
    let held = InRuntime { runtime: &call.parts.runtime, future }.await?;
    Ok(json(StatusCode::OK, &Subscriptions { subscriptions: held.into_iter().map(Subscription::of).collect() }))
}

/// Subscribes the live session of a client.
#[utoipa::path(
    post,
    path = "/api/v1/clients/{client_id}/subscriptions",
    params(("client_id" = String, Path, description = "the client id, one URL-encoded segment", min_length = 1)),
    request_body = GivenSubscription,
    responses((status = 201, description = "it is new", body = Subscription), (status = 200, description = "it was there", body = Subscription)),
)]
pub(super) async fn add(call: &Call<'_>, request: &mut Request, client: &str) -> Result<Response<Bytes>, Problem> {
    let client_id = named(call, client)?;
    let given: GivenSubscription = body(request, BODY).await?;
    let filter = given.filter.clone().ok_or(Problem::bad_json(BODY))?;
    subscribe(call, client_id, filter, given).await
}

/// Subscribes the live session of a client.
#[utoipa::path(
    put,
    path = "/api/v1/clients/{client_id}/subscriptions/{filter}",
    params(("client_id" = String, Path, description = "the client id, one URL-encoded segment", min_length = 1), ("filter" = String, Path, description = "the whole filter, one URL-encoded segment", min_length = 1)),
    request_body = GivenSubscription,
    responses((status = 201, description = "it is new", body = Subscription), (status = 200, description = "it was there", body = Subscription)),
)]
pub(super) async fn put(
    call: &Call<'_>,
    request: &mut Request,
    client: &str,
    filter: String,
) -> Result<Response<Bytes>, Problem> {
    let client_id = named(call, client)?;
    let given: GivenSubscription = body(request, BODY).await?;
    if given.filter.as_ref().is_some_and(|other| *other != filter) {
        return Err(Problem::invalid("invalid_subscription", "the body names another filter than the path"));
    }
    subscribe(call, client_id, filter, given).await
}

async fn subscribe(
    call: &Call<'_>,
    client_id: ClientId,
    filter: String,
    given: GivenSubscription,
) -> Result<Response<Bytes>, Problem> {
    let invalid = |sentence| Problem::invalid("invalid_subscription", sentence);
    check(&filter)?;
    let subscription_id = match given.subscription_id {
        None => None,
        Some(number) if number > SUBSCRIPTION_ID_MAX => return Err(invalid(SUBSCRIPTION_ID)),
        Some(number) => Some(NonZeroU32::new(number).ok_or(invalid(SUBSCRIPTION_ID))?),
    };
    let wanted = HeldSubscription {
        filter,
        qos: quality(given.qos).ok_or(invalid("qos is 0, 1 or 2"))?,
        no_local: given.no_local,
        retain_as_published: given.retain_as_published,
        subscription_id,
    };
    if wanted.no_local && rollcall_types::split_shared(&wanted.filter).is_some() {
        return Err(invalid("a shared subscription cannot have no_local"));
    }
    call.note(Deed::Subscribe, client_id.as_str(), &wanted.filter).await?;
    let future = pin!(Arc::clone(&call.parts.clients).subscribe_client(&client_id, wanted.clone()));
    let is_new = InRuntime { runtime: &call.parts.runtime, future }.await?;
    Ok(json(if is_new { StatusCode::CREATED } else { StatusCode::OK }, &Subscription::of(wanted)))
}

/// Takes a subscription from the session of a client.
#[utoipa::path(
    delete,
    path = "/api/v1/clients/{client_id}/subscriptions/{filter}",
    params(("client_id" = String, Path, description = "the client id, one URL-encoded segment", min_length = 1), ("filter" = String, Path, description = "the whole filter, one URL-encoded segment", min_length = 1)),
    responses((status = 204, description = "done")),
)]
pub(super) async fn delete(call: &Call<'_>, client: &str, filter: String) -> Result<Response<Bytes>, Problem> {
    let client_id = named(call, client)?;
    check(&filter)?;
    call.note(Deed::Unsubscribe, client_id.as_str(), &filter).await?;
    let future = pin!(call.parts.clients.unsubscribe_client(&client_id, &filter));
    InRuntime { runtime: &call.parts.runtime, future }.await?;
    Ok(condition::no_content())
}

fn check(filter: &str) -> Result<(), Problem> {
    check_topic_filter(filter).map_err(|_| {
        let sentence = "the filter has 1 to 65535 bytes without U+0000, + as a whole level, # as the whole last one, and \
                        behind $share/ a name without wildcards";
        Problem::invalid("invalid_subscription", sentence)
    })
}
