//! The instance's quota: what it is, and how the nodes share it at present.

use super::Call;
use crate::response::json;
use actix_http::{Response, StatusCode};
use bytes::Bytes;
use rollcall_types::NodeId;
use serde::Serialize;

#[derive(Serialize)]
struct Quota {
    /// 0: no limit.
    messages_per_second: u32,
    burst_percent: u32,
    granted_per_second: u64,
    demand_per_second: u64,
    nodes: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    node: Option<String>,
    id: u64,
    granted_per_second: u32,
    demand_per_second: u32,
}

pub(super) fn quota(call: &Call<'_>) -> Response<Bytes> {
    let view = call.parts.quota.view();
    let members = call.parts.membership.members();
    let name = |id: NodeId| members.iter().find(|member| member.id == id).map(|member| member.name.0.clone());
    let sum = |of: fn(&Part) -> u32, parts: &[Part]| parts.iter().map(|part| u64::from(of(part))).sum();
    let parts = view.parts.iter().map(|part| Part {
        node: name(part.node),
        id: part.node.0,
        granted_per_second: part.granted,
        demand_per_second: part.demand,
    });
    let nodes: Vec<Part> = parts.collect();
    let quota = Quota {
        messages_per_second: view.limit,
        burst_percent: view.burst_percent,
        granted_per_second: sum(|part| part.granted_per_second, &nodes),
        demand_per_second: sum(|part| part.demand_per_second, &nodes),
        nodes,
    };
    json(StatusCode::OK, &quota)
}
