//! Nodes and partitions, and telling a member to leave.

use super::Call;
use crate::{error_response::Problem, in_runtime::InRuntime, response::json};
use actix_http::{Response, StatusCode};
use bytes::Bytes;
use rollcall_contracts::{LeaveError, MemberView, PartitionView};
use serde::Serialize;
use std::pin::pin;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
struct Nodes {
    nodes: Vec<Node>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Node {
    id: u64,
    name: String,
    zone: Option<String>,
    mesh: String,
    alive: bool,
    incarnation: Option<u64>,
    leaving: bool,
    draining: bool,
    partitions: u16,
    votes: bool,
}

#[derive(Serialize, ToSchema)]
struct Partitions {
    partitions: Vec<Partition>,
}

#[derive(Serialize, ToSchema)]
struct Partition {
    partition: u16,
    replicas: Vec<u64>,
    leader: Option<u64>,
    moving: bool,
    /// Beside `replicas`; null where another node leads.
    lags: Vec<Option<u64>>,
}

#[derive(Serialize, ToSchema)]
struct Draining {
    draining: bool,
}

#[derive(Serialize, ToSchema)]
struct Leaving {
    leaving: bool,
}

/// All members.
#[utoipa::path(
    get,
    path = "/api/v1/nodes",
    responses((status = 200, description = "done", body = Nodes)),
)]
pub(super) fn nodes(call: &Call<'_>) -> Response<Bytes> {
    json(StatusCode::OK, &Nodes { nodes: call.parts.membership.members().into_iter().map(Node::of).collect() })
}

/// All partitions.
#[utoipa::path(
    get,
    path = "/api/v1/partitions",
    responses((status = 200, description = "done", body = Partitions)),
)]
pub(super) fn partitions(call: &Call<'_>) -> Response<Bytes> {
    let partitions = call.parts.membership.partitions().into_iter().map(partition).collect();
    json(StatusCode::OK, &Partitions { partitions })
}

/// Tells a member to leave.
#[utoipa::path(
    delete,
    path = "/api/v1/nodes/{name}",
    params(("name" = String, Path, description = "the name of the node", min_length = 1)),
    responses((status = 202, description = "decided", body = Leaving)),
)]
pub(super) async fn leave(call: &Call<'_>, name: &str) -> Result<Response<Bytes>, Problem> {
    let future = pin!(call.parts.membership.leave(name, call.asker.name(), call.asker.source()));
    InRuntime { runtime: &call.parts.runtime, future }.await?;
    Ok(json(StatusCode::ACCEPTED, &Leaving { leaving: true }))
}

/// Tells a member to serve no clients and to lead nothing.
#[utoipa::path(
    post,
    path = "/api/v1/nodes/{name}/drain",
    params(("name" = String, Path, description = "the name of the node", min_length = 1)),
    responses((status = 202, description = "decided", body = Draining)),
)]
pub(super) async fn drain(call: &Call<'_>, name: &str) -> Result<Response<Bytes>, Problem> {
    set_draining(call, name, true).await
}

/// Lets a drained member serve again.
#[utoipa::path(
    delete,
    path = "/api/v1/nodes/{name}/drain",
    params(("name" = String, Path, description = "the name of the node", min_length = 1)),
    responses((status = 202, description = "decided", body = Draining)),
)]
pub(super) async fn undrain(call: &Call<'_>, name: &str) -> Result<Response<Bytes>, Problem> {
    set_draining(call, name, false).await
}

async fn set_draining(call: &Call<'_>, name: &str, drain: bool) -> Result<Response<Bytes>, Problem> {
    let future = pin!(call.parts.membership.drain(name, drain, call.asker.name(), call.asker.source()));
    InRuntime { runtime: &call.parts.runtime, future }.await.map_err(|error| match error {
        LeaveError::Refused(_) => Problem::CANNOT_DRAIN,
        other => Problem::from(other),
    })?;
    Ok(json(StatusCode::ACCEPTED, &Draining { draining: drain }))
}

impl Node {
    pub(super) fn of(member: MemberView) -> Self {
        Node {
            id: member.id.0,
            name: member.name.0,
            zone: member.zone,
            mesh: member.mesh,
            alive: member.alive.is_some(),
            incarnation: member.alive.map(|incarnation| incarnation.0),
            leaving: member.leaving,
            draining: member.draining,
            partitions: member.partitions,
            votes: member.votes,
        }
    }
}

fn partition(view: PartitionView) -> Partition {
    Partition {
        partition: view.partition.0,
        replicas: view.replicas.into_iter().map(|node| node.0).collect(),
        leader: view.leader.map(|node| node.0),
        moving: view.moving,
        lags: view.lags,
    }
}

impl From<LeaveError> for Problem {
    fn from(error: LeaveError) -> Self {
        match error {
            LeaveError::UnknownNode => Problem::NO_SUCH_NODE,
            LeaveError::Refused(_) => Problem::CANNOT_LEAVE,
            LeaveError::Unavailable => Problem::NO_QUORUM,
        }
    }
}
