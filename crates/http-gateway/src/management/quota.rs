//! The instance's quota: what it is, and how the nodes share it at present.

use super::Call;
use crate::response::json;
use actix_http::{Response, StatusCode};
use bytes::Bytes;
use rollcall_types::NodeId;
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
struct Quota {
    burst_percent: u32,
    limits: Vec<Limit>,
}

/// In units a second.
#[derive(Serialize, ToSchema)]
struct Limit {
    /// As in the section limits of the configuration.
    name: &'static str,
    /// 0: there is none.
    limit: u32,
    granted: u64,
    demand: u64,
    nodes: Vec<Part>,
}

#[derive(Serialize, ToSchema)]
struct Part {
    node: Option<String>,
    id: u64,
    granted: u32,
    demand: u32,
}

/// The instance's limits in units a second, and how the nodes share them.
#[utoipa::path(
    get,
    path = "/api/v1/quota",
    responses((status = 200, description = "done", body = Quota)),
)]
pub(super) fn quota(call: &Call<'_>) -> Response<Bytes> {
    let view = call.parts.quota.view();
    let members = call.parts.membership.members();
    let name = |id: NodeId| members.iter().find(|member| member.id == id).map(|member| member.name.0.clone());
    let parts = view.parts.iter().map(|part| Part {
        node: name(part.node),
        id: part.node.0,
        granted: part.granted,
        demand: part.demand,
    });
    let nodes: Vec<Part> = parts.collect();
    let messages = Limit {
        name: "messages_per_second",
        limit: view.limit,
        granted: nodes.iter().map(|part| u64::from(part.granted)).sum(),
        demand: nodes.iter().map(|part| u64::from(part.demand)).sum(),
        nodes,
    };
    json(StatusCode::OK, &Quota { burst_percent: view.burst_percent, limits: vec![messages] })
}
