//! `rollcall nodes` and `rollcall leave`: the members of a cluster, over the management API of any of its nodes.

use crate::{
    cli::{LeaveArguments, ManagementArguments, NodesArguments},
    failure::Failure,
    http::basic,
    output, web_client,
};
use serde::Deserialize;
use std::time::Duration;
use ureq::{Agent, http::Response};

/// Longest wait for an answer: longer than a node waits for its quorum.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

#[derive(Deserialize)]
struct Nodes {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: u64,
    name: String,
    zone: Option<String>,
    mesh: String,
    alive: bool,
    leaving: bool,
    partitions: u16,
    votes: bool,
}

#[derive(Deserialize)]
struct Problem {
    detail: String,
}

/// Prints the members as the node knows them.
pub(crate) fn nodes(arguments: &NodesArguments) -> Result<(), Failure> {
    let body = Api::new(&arguments.api)?.get("nodes")?;
    if arguments.json {
        return output::print(format!("{}\n", String::from_utf8_lossy(&body)));
    }
    let Nodes { nodes } = serde_json::from_slice(&body).map_err(|_| Failure::new("the answer is no list of nodes"))?;
    let rows: Vec<Vec<String>> = nodes.iter().map(row).collect();
    let header = ["name", "id", "state", "zone", "partitions", "votes", "mesh"];
    output::print(output::table(&header, &rows, &mut Vec::new(), true))
}

fn row(node: &Node) -> Vec<String> {
    let state = match (node.leaving, node.alive) {
        (true, _) => "leaving",
        (false, true) => "alive",
        (false, false) => "down",
    };
    vec![
        node.name.clone(),
        node.id.to_string(),
        state.to_owned(),
        node.zone.clone().unwrap_or_else(|| "-".to_owned()),
        node.partitions.to_string(),
        if node.votes { "yes" } else { "no" }.to_owned(),
        node.mesh.clone(),
    ]
}

/// Tells a member to leave.
pub(crate) fn leave(arguments: &LeaveArguments) -> Result<(), Failure> {
    Api::new(&arguments.api)?.delete(&format!("nodes/{}", arguments.name))?;
    output::print(format!(
        "{} is leaving: its clients go elsewhere, others take over what it holds, then it ends\n",
        arguments.name
    ))
}

/// The management API of one node.
struct Api {
    agent: Agent,
    base: String,
    authorization: Option<String>,
}

impl Api {
    fn new(arguments: &ManagementArguments) -> Result<Api, Failure> {
        let account = &arguments.account;
        Ok(Api {
            agent: web_client::agent(&arguments.url, ANSWER_WITHIN)?,
            base: format!("{}/api/v1", arguments.url.trim_end_matches('/')),
            authorization: account.user.as_ref().map(|u| basic(u, account.password.as_deref().unwrap_or(""))),
        })
    }

    fn get(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let request = self.agent.get(format!("{}/{path}", self.base));
        self.finish(match &self.authorization {
            Some(authorization) => request.header("Authorization", authorization).call(),
            None => request.call(),
        })
    }

    fn delete(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let request = self.agent.delete(format!("{}/{path}", self.base));
        self.finish(match &self.authorization {
            Some(authorization) => request.header("Authorization", authorization).call(),
            None => request.call(),
        })
    }

    fn finish(&self, answer: Result<Response<ureq::Body>, ureq::Error>) -> Result<Vec<u8>, Failure> {
        let failed = |error: ureq::Error| Failure::new(format!("{}: {error}", self.base));
        let mut response = answer.map_err(failed)?;
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(failed)?;
        if response.status().is_success() {
            return Ok(body);
        }
        let detail = serde_json::from_slice::<Problem>(&body).map(|problem| problem.detail);
        let status = response.status().as_u16();
        Err(Failure::new(match detail {
            Ok(detail) => format!("{status}: {detail}"),
            Err(_) => format!("{status} from {}: is this a node's admin address?", self.base),
        }))
    }
}
