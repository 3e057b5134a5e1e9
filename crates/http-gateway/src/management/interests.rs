//! Who wants which messages: the filters that somebody is subscribed to, and the members of shared subscriptions.

use super::Call;
use crate::{
    error_response::Problem,
    in_runtime::InRuntime,
    parameters::{BadParameter, Parameters},
    response::json,
};
use actix_http::{Response, StatusCode};
use bytes::Bytes;
use rollcall_contracts::{GROUP_MEMBERS_NAMED_MAX, Interest, InterestPage, InterestQuestion};
use rollcall_types::{NodeId, SHARE_PREFIX, split_shared};
use serde::Serialize;
use std::{collections::BTreeMap, pin::pin};
use utoipa::ToSchema;

/// Filters on a page where none is said, and at most.
const PAGE: (u64, u64) = (100, 1_000);
const PARAMETERS: &[&str] = &["prefix", "after", "limit"];
const UNKNOWN: &str = "the parameters are prefix, after and limit";
const LIMIT: &str = "limit is 1 to 1000";

#[derive(Serialize, ToSchema)]
struct Topics {
    topics: Vec<Topic>,
    /// What `after` of the next page is; null on the last one.
    next: Option<String>,
    /// Nodes that did not answer: what only they have is missing.
    unanswered: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct Topic {
    filter: String,
    nodes: Vec<String>,
    /// On all nodes.
    subscriptions: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SharedGroups)]
struct Groups {
    shared_groups: Vec<Group>,
    /// What `after` of the next page is; null on the last one.
    next: Option<String>,
    /// Nodes that did not answer: what only they have is missing.
    unanswered: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SharedGroup)]
struct Group {
    group: String,
    filter: String,
    members: Vec<Member>,
    /// There are more members than those named.
    more_members: bool,
    /// Messages that the members named were given and have not acknowledged.
    lag: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SharedGroupMember)]
struct Member {
    client_id: String,
    node: String,
    connected: bool,
    lag: u64,
}

/// Names of nodes.
struct Names {
    me: String,
    others: BTreeMap<NodeId, String>,
}

impl Names {
    fn of(call: &Call<'_>) -> Names {
        let membership = &call.parts.membership;
        let others = membership.members().into_iter().map(|member| (member.id, member.name.0)).collect();
        Names { me: membership.me().0, others }
    }

    fn of_node(&self, node: Option<NodeId>) -> String {
        match node {
            None => self.me.clone(),
            Some(node) => self.others.get(&node).cloned().unwrap_or_else(|| node.to_string()),
        }
    }
}

async fn page(call: &Call<'_>, root: &str, with_members: bool) -> Result<InterestPage, Problem> {
    let parameters = Parameters::of(call.query.as_deref(), PARAMETERS, true).map_err(|error| match error {
        BadParameter::Unknown => BadParameter::Value(UNKNOWN),
        other => other,
    })?;
    let limit = parameters.number("limit", 1..=PAGE.1, LIMIT)?.unwrap_or(PAGE.0);
    let question = InterestQuestion {
        prefix: format!("{root}{}", parameters.get("prefix").unwrap_or_default()),
        after: parameters.get("after").unwrap_or_default().to_owned(),
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
        with_members,
    };
    let _seat = call.worker.lists.take().ok_or(Problem::TOO_MANY_LISTS)?;
    let future = pin!(call.parts.interests.interests(question));
    Ok(InRuntime { runtime: &call.parts.runtime, future }.await?)
}

/// Filters that somebody is subscribed to.
#[utoipa::path(
    get,
    path = "/api/v1/topics",
    params(("prefix" = Option<String>, Query, description = "they begin with this"), ("after" = Option<String>, Query, description = "`next` of the page before"), ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000)),
    responses((status = 200, description = "done", body = Topics)),
)]
pub(super) async fn topics(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let InterestPage { interests, next, silent } = page(call, "", false).await?;
    let names = Names::of(call);
    let topic = |interest: Interest| Topic {
        filter: interest.filter,
        nodes: interest.at.iter().map(|at| names.of_node(at.node)).collect(),
        subscriptions: interest.at.iter().map(|at| u64::from(at.subscriptions)).sum(),
    };
    let topics = interests.into_iter().map(topic).collect();
    let unanswered = silent.into_iter().map(|node| names.of_node(Some(node))).collect();
    Ok(json(StatusCode::OK, &Topics { topics, next, unanswered }))
}

/// Shared subscriptions with their members.
#[utoipa::path(
    get,
    path = "/api/v1/shared-groups",
    params(("prefix" = Option<String>, Query, description = "they begin with this"), ("after" = Option<String>, Query, description = "`next` of the page before"), ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000)),
    responses((status = 200, description = "done", body = Groups)),
)]
pub(super) async fn shared_groups(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let InterestPage { interests, next, silent } = page(call, SHARE_PREFIX, true).await?;
    let names = Names::of(call);
    let shared_groups = interests.into_iter().filter_map(|interest| group(interest, &names)).collect();
    let unanswered = silent.into_iter().map(|node| names.of_node(Some(node))).collect();
    Ok(json(StatusCode::OK, &Groups { shared_groups, next, unanswered }))
}

fn group(interest: Interest, names: &Names) -> Option<Group> {
    let (group, filter) = split_shared(&interest.filter)?;
    let (group, filter) = (group.to_owned(), filter.to_owned());
    let more_members = interest.at.iter().any(|at| at.members.len() >= GROUP_MEMBERS_NAMED_MAX);
    let mut members = Vec::new();
    for at in interest.at {
        let node = names.of_node(at.node);
        members.extend(at.members.into_iter().map(|member| Member {
            client_id: member.client_id.as_str().to_owned(),
            node: node.clone(),
            connected: member.connected,
            lag: u64::try_from(member.lag).unwrap_or(u64::MAX),
        }));
    }
    let lag = members.iter().map(|member| member.lag).sum();
    Some(Group { group, filter, members, more_members, lag })
}
