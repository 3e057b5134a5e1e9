//! Shapes of the management API's documents that are made elsewhere, as its description tells them. Nothing is made of
//! these; that they are true is seen by asking a server (`tests/openapi`).
#![allow(dead_code, reason = "their schema is all that is wanted of them")]

use serde::Serialize;
use utoipa::ToSchema;

/// What an account may do.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Role)]
pub(super) enum RoleName {
    Client,
    Viewer,
    Operator,
    Admin,
}

/// What a matching policy does.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Effect)]
pub(super) enum EffectName {
    Allow,
    Deny,
}

/// What somebody wants to do.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Action)]
pub(super) enum ActionName {
    Connect,
    Pub,
    Sub,
}

/// What a block rule looks at.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BlockKind)]
pub(super) enum BlockKindName {
    ClientId,
    Username,
    Address,
}

/// A policy. The first that matches decides.
#[derive(Serialize, ToSchema)]
#[schema(as = Policy)]
pub(super) struct PolicyShape {
    name: String,
    effect: EffectName,
    actions: Vec<ActionName>,
    /// Topic patterns; none means every topic.
    resources: Vec<String>,
    client_id: Option<String>,
    username: Option<String>,
    /// An address or a CIDR block.
    ip: Option<String>,
    qos: Vec<u8>,
    /// 1: retained ones only, 2: others only, 3: both.
    #[schema(minimum = 1, maximum = 3)]
    retain: u8,
}

/// One entry of an ACL, as a token claims it.
#[derive(Serialize, ToSchema)]
pub(super) struct AclEntry {
    permission: EffectName,
    action: ClaimedAction,
    topics: Option<Vec<String>>,
    qos: Option<Vec<u8>>,
    retain: Option<bool>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ClaimedAction {
    Connect,
    Publish,
    Subscribe,
    All,
}

/// A page of clients.
#[derive(Serialize, ToSchema)]
pub(super) struct ClientPage {
    clients: Vec<Client>,
    /// What `cursor` of the next page is; null on the last one.
    cursor: Option<String>,
}

/// What is told of one client.
#[derive(Serialize, ToSchema)]
struct Client {
    client_id: String,
    online: bool,
    /// Grows with each connection.
    epoch: Option<u64>,
    /// While online.
    node: Option<String>,
    /// In its present state since then, in milliseconds.
    since: Option<u64>,
    last_disconnect: Option<LastDisconnect>,
    username: Option<String>,
    protocol_version: Option<u8>,
    keep_alive: Option<u16>,
}

#[derive(Serialize, ToSchema)]
struct LastDisconnect {
    at: u64,
    reason: String,
}

/// All that is known of one client.
#[derive(Serialize, ToSchema)]
pub(super) struct ClientPresence {
    #[serde(flatten)]
    client: Client,
    partition: u16,
    /// The read position in the log of the partition.
    index: u64,
    lease_ms: u64,
    half_open_bound_ms: Option<u64>,
}

/// Why a call was refused (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemShape {
    r#type: String,
    title: String,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// A sentence.
    detail: String,
    /// What programs read.
    code: String,
    /// Of a change that is answered with 503.
    may_have_happened: Option<bool>,
}

/// Where a device's certificate stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schema(as = CertificateState)]
pub(super) enum CertificateStateName {
    Active,
    Inactive,
    Revoked,
    PendingActivation,
}

/// One user.
#[derive(Serialize, ToSchema)]
#[schema(as = UserAlone)]
pub(super) struct UserShape {
    username: String,
    role: RoleName,
    /// Whether the password can be proved by SCRAM-SHA-256.
    scram: bool,
}
