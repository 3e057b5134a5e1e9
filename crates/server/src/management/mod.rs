//! The operator's verbs, over the management API of any node of a cluster. Here are those about its members; clients, users
//! and policies have files of their own.

pub(crate) mod arguments;
pub(crate) mod clients;
pub(crate) mod policies;
pub(crate) mod users;

use crate::{
    cli::{LeaveArguments, ManagementArguments, NodesArguments},
    failure::Failure,
    http::basic,
    output, web_client,
};
use arguments::DrainArguments;
use serde::{Deserialize, de::DeserializeOwned};
use std::time::Duration;
use ureq::{Agent, http::Response};

/// Longest wait for an answer: longer than a node waits for its quorum.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

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
    /// Older nodes do not say it.
    #[serde(default)]
    draining: bool,
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
    let state = match (node.leaving, node.draining, node.alive) {
        (true, ..) => "leaving",
        (false, true, true) => "draining",
        (false, true, false) => "drained",
        (false, false, true) => "alive",
        (false, false, false) => "down",
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

/// Tells a member to serve nobody, or to serve again.
pub(crate) fn drain(arguments: &DrainArguments) -> Result<(), Failure> {
    let path = format!("nodes/{}/drain", arguments.name);
    let api = Api::new(&arguments.api)?;
    if arguments.undo {
        api.delete(&path)?;
        return output::print(format!("{} serves again as soon as it is ready\n", arguments.name));
    }
    api.send(Method::Post, &path, &[], "")?;
    output::print(format!(
        "{} is drained: its clients go elsewhere, and it serves nobody until `rollcall drain {} --undo`\n",
        arguments.name, arguments.name
    ))
}

/// How something is sent.
#[derive(Clone, Copy)]
enum Method {
    Post,
    Put,
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

    /// With a JSON body.
    fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Vec<u8>, Failure> {
        let target = format!("{}/{path}", self.base);
        let mut request = match method {
            Method::Post => self.agent.post(target),
            Method::Put => self.agent.put(target),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        self.finish(request.header("Content-Type", "application/json").send(body))
    }

    /// An answer as JSON.
    fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let body = self.get(path)?;
        serde_json::from_slice(&body).map_err(|error| Failure::new(format!("{}: {error}", self.base)))
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
