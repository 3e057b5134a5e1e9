//! The management API on the admin listener: the members, the partitions, and telling a member to leave.
//!
//! Names of nodes need no decoding: they consist of letters, digits, `.`, `_` and `-`.

use crate::{
    authentication,
    config::GatewayParts,
    error_response::{MEMBER_METHODS, Problem, READ_METHODS},
    in_runtime::InRuntime,
    response::json,
};
use actix_http::{Method, Request, Response, StatusCode};
use bytes::Bytes;
use rollcall_contracts::{LeaveError, MemberView, PartitionView, Role};
use serde::Serialize;
use std::pin::pin;

/// Where all of it is.
pub(crate) const PREFIX: &str = "/api/v1/";

#[derive(Serialize)]
struct Nodes {
    nodes: Vec<Node>,
}

#[derive(Serialize)]
struct Node {
    id: u64,
    name: String,
    zone: Option<String>,
    mesh: String,
    alive: bool,
    incarnation: Option<u64>,
    leaving: bool,
    partitions: u16,
    votes: bool,
}

#[derive(Serialize)]
struct Partitions {
    partitions: Vec<Partition>,
}

#[derive(Serialize)]
struct Partition {
    partition: u16,
    replicas: Vec<u64>,
    leader: Option<u64>,
    moving: bool,
}

#[derive(Serialize)]
struct Leaving {
    leaving: bool,
}

/// What is asked.
enum Call<'a> {
    Nodes,
    Partitions,
    Leave(&'a str),
}

/// Answers one request below [`PREFIX`].
pub(crate) async fn respond(parts: &GatewayParts, request: &Request) -> Response<Bytes> {
    match answer(parts, request).await {
        Ok(response) => response,
        Err(problem) => problem.response(),
    }
}

async fn answer(parts: &GatewayParts, request: &Request) -> Result<Response<Bytes>, Problem> {
    let call = call(request)?;
    let wanted = match call {
        Call::Nodes | Call::Partitions => Role::Viewer,
        Call::Leave(_) => Role::Operator,
    };
    authorize(parts, request, wanted).await?;
    Ok(match call {
        Call::Nodes => {
            json(StatusCode::OK, &Nodes { nodes: parts.membership.members().into_iter().map(node).collect() })
        }
        Call::Partitions => {
            let partitions = parts.membership.partitions().into_iter().map(partition).collect();
            json(StatusCode::OK, &Partitions { partitions })
        }
        Call::Leave(name) => {
            let future = pin!(parts.membership.leave(name));
            InRuntime { runtime: &parts.runtime, future }.await?;
            json(StatusCode::ACCEPTED, &Leaving { leaving: true })
        }
    })
}

/// By path and method.
fn call(request: &Request) -> Result<Call<'_>, Problem> {
    let path = request.path().strip_prefix(PREFIX).unwrap_or_default();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match (path, path.strip_prefix("nodes/")) {
        ("nodes", _) if reads => Ok(Call::Nodes),
        ("partitions", _) if reads => Ok(Call::Partitions),
        ("nodes" | "partitions", _) => Err(Problem::method_not_allowed(READ_METHODS)),
        (_, Some(name)) if !name.is_empty() && !name.contains('/') => match *request.method() {
            Method::DELETE => Ok(Call::Leave(name)),
            _ => Err(Problem::method_not_allowed(MEMBER_METHODS)),
        },
        _ => Err(Problem::NO_SUCH_RESOURCE),
    }
}

async fn authorize(parts: &GatewayParts, request: &Request, wanted: Role) -> Result<(), Problem> {
    let account = authentication::account(parts, request).await?;
    if account.role < wanted { Err(Problem::ROLE_TOO_LOW) } else { Ok(()) }
}

fn node(member: MemberView) -> Node {
    Node {
        id: member.id.0,
        name: member.name.0,
        zone: member.zone,
        mesh: member.mesh,
        alive: member.alive.is_some(),
        incarnation: member.alive.map(|incarnation| incarnation.0),
        leaving: member.leaving,
        partitions: member.partitions,
        votes: member.votes,
    }
}

fn partition(view: PartitionView) -> Partition {
    Partition {
        partition: view.partition.0,
        replicas: view.replicas.into_iter().map(|node| node.0).collect(),
        leader: view.leader.map(|node| node.0),
        moving: view.moving,
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
