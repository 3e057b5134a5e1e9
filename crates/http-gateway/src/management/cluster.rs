//! The cluster as a whole, as the node that is asked knows it.

use super::{Call, members::Node};
use crate::{error_response::Problem, response::json};
use actix_http::{Response, StatusCode};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
struct Cluster {
    name: String,
    id: String,
    /// Of the program that answers.
    version: &'static str,
    /// Who answers.
    node: String,
    /// Name of the node that leads the cluster group; null while nobody is known to.
    leader: Option<String>,
    partitions: u16,
    replicas: u8,
    lease_ms: u32,
    /// When it was founded, in milliseconds of cluster time.
    formed_at: u64,
    members: Vec<Node>,
}

/// The cluster as a whole.
#[utoipa::path(
    get,
    path = "/api/v1/cluster",
    responses((status = 200, description = "done", body = Cluster)),
)]
pub(super) fn get(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let facts = call.look(|state| state.facts().cloned())?.ok_or(Problem::NO_CLUSTER_YET)?;
    let membership = &call.parts.membership;
    let members = membership.members();
    let leader = membership.leader();
    let leader = members.iter().find(|member| Some(member.id) == leader).map(|member| member.name.0.clone());
    let cluster = Cluster {
        name: facts.name,
        id: facts.cluster_id,
        version: env!("CARGO_PKG_VERSION"),
        node: membership.me().0,
        leader,
        partitions: facts.partitions,
        replicas: facts.replicas,
        lease_ms: facts.lease_ms,
        formed_at: facts.formed_at.0,
        members: members.into_iter().map(Node::of).collect(),
    };
    Ok(json(StatusCode::OK, &cluster))
}
