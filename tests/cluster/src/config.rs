//! The configuration that each node of a test cluster gets.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

/// The account of nearly all scenarios: it may connect, publish, subscribe and ask.
pub const USER: (&str, &str) = ("user0", "secret0");
/// An account that a policy forbids to connect, and so to ask.
pub const FORBIDDEN_USER: (&str, &str) = ("nobody", "secret1");
/// An account that may change the cluster's members, and read events.
pub const OPERATOR: (&str, &str) = ("operator0", "secret2");
/// An account that may change users, policies and tokens.
pub const ADMIN: (&str, &str) = ("admin0", "secret3");

/// What a scenario wants of its cluster. Everything else is a default of the server.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many nodes.
    pub nodes: usize,
    /// How many partitions.
    pub partitions: u16,
    /// Replicas of each partition.
    pub replicas: u16,
    /// Node lease in milliseconds.
    pub lease_ms: u64,
    /// The instance's quota; 0 = off.
    pub messages_per_second: u32,
    /// From TCP open to CONNECT, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How members of shared subscriptions are chosen.
    pub shared_strategy: &'static str,
    /// More limits, a line each.
    pub limits: &'static [(&'static str, u32)],
    /// More lines of the section of listeners.
    pub listeners: String,
    /// More sections.
    pub more: String,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            nodes: 3,
            partitions: 3,
            replicas: 3,
            lease_ms: 3_000,
            messages_per_second: 100_000,
            connect_timeout_ms: 10_000,
            shared_strategy: "round_robin",
            limits: &[],
            listeners: String::new(),
            more: String::new(),
        }
    }
}

/// Where one node listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// MQTT over TCP.
    pub mqtt: SocketAddr,
    /// MQTT over WebSocket.
    pub ws: SocketAddr,
    /// The data plane.
    pub http: SocketAddr,
    /// Health, readiness, metrics.
    pub admin: SocketAddr,
    /// Other nodes.
    pub mesh: SocketAddr,
}

/// The TOML of one node.
#[must_use]
pub fn toml(options: &Options, name: &str, data_dir: &Path, own: &Addresses, seeds: &[SocketAddr]) -> String {
    let seeds: Vec<String> = seeds.iter().map(|seed| format!("\"{seed}\"")).collect();
    let Options { nodes, partitions, replicas, lease_ms, messages_per_second, connect_timeout_ms, .. } = options;
    let limits: String = options.limits.iter().map(|(key, limit)| format!("{key} = {limit}\n")).collect();
    let shared_strategy = options.shared_strategy;
    let mut text = String::new();
    write!(
        text,
        r##"[node]
name = "{name}"
data_dir = "{data_dir}"
advertise_host = "{host}"

[cluster]
name = "scenarios"
seeds = [{seeds}]
expect_nodes = {nodes}
partitions = {partitions}
replicas = {replicas}
lease_ms = {lease_ms}
secret = "a secret of the scenarios"

[listeners]
mqtt = "{mqtt}"
ws = "{ws}"
http = "{http}"
admin = "{admin}"
mesh = "{mesh}"
{listeners}
[limits]
messages_per_second = {messages_per_second}
connect_timeout_ms = {connect_timeout_ms}
{limits}
[broker]
shared_strategy = "{shared_strategy}"

[[auth.bootstrap_users]]
username = "{user}"
password = "{password}"
role = "client"

[[auth.bootstrap_users]]
username = "{forbidden}"
password = "{forbidden_password}"
role = "client"

[[auth.bootstrap_users]]
username = "{operator}"
password = "{operator_password}"
role = "operator"

[[auth.bootstrap_users]]
username = "{admin_user}"
password = "{admin_password}"
role = "admin"

[[auth.bootstrap_policies]]
name = "nobody-connects"
effect = "deny"
actions = ["connect"]
username = "{forbidden}"

[[auth.bootstrap_policies]]
name = "all-others-may"
effect = "allow"
actions = ["connect", "pub", "sub"]
resources = ["#"]

[[auth.bootstrap_policies]]
name = "operators-read-events"
effect = "allow"
actions = ["sub"]
resources = ["$events/#", "$SYS/#"]
username = "{operator}"

{more}"##,
        listeners = options.listeners,
        more = options.more,
        data_dir = data_dir.display(),
        host = own.mesh.ip(),
        seeds = seeds.join(", "),
        mqtt = own.mqtt,
        ws = own.ws,
        http = own.http,
        admin = own.admin,
        mesh = own.mesh,
        user = USER.0,
        password = USER.1,
        operator = OPERATOR.0,
        operator_password = OPERATOR.1,
        admin_user = ADMIN.0,
        admin_password = ADMIN.1,
        forbidden = FORBIDDEN_USER.0,
        forbidden_password = FORBIDDEN_USER.1,
    )
    .expect("writing to a string");
    text
}
