//! Who may connect, publish and subscribe: policies as they are stored and configured, and their compiled form.
//!
//! Rules are tried in order; the first that matches decides. A rule that *allows* must cover everything the request
//! asks for; a rule that *denies* matches as soon as the request touches what it names. Hence a subscription to
//! `home/#` is not allowed by `home/+`, and is denied by `home/secret`. As in MQTT (4.7.2), a pattern that begins with
//! a wildcard allows nothing that begins with `$`.
//!
//! What does not belong here: authentication, caching, the rule that a session belongs to its account.

mod block;
mod compiled;
mod index;
mod network;
mod own;
mod pattern;
mod rule;
mod topic;
mod variable;

pub use block::{BLOCK_EXCLUDES_MAX, BlockKind, BlockRule, CompiledBlocks};
pub use compiled::{CompiledPolicies, DEFAULT_POLICY, DecidedBy, Decision, RESERVED_TOPICS, Request};
pub use own::{AclClaim, CertificateFields, OwnRules};

use serde::{Deserialize, Serialize};

/// The longest pattern or name in a policy, in bytes.
const PATTERN_BYTES_MAX: usize = 1_024;
/// Most resources of one policy.
const RESOURCES_MAX: usize = 100;

/// One rule, as in `[[auth.bootstrap_policies]]` and in the management API.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Unique name.
    pub name: String,
    /// What it does when it matches.
    pub effect: Effect,
    /// For which actions; at least one.
    pub actions: Vec<Action>,
    /// Topic patterns for `pub` and `sub`; none means every topic. `*` stands for any characters, `+` for one level, a
    /// last level `#` or `*` for the level above and everything below it. Variables such as `${ClientId}`,
    /// `${Username}` and `${Certificate.Subject.CommonName}` stand for what the request has. Without meaning for
    /// `connect`.
    #[serde(default)]
    pub resources: Vec<String>,
    /// Pattern of the client id (`sensor*`, `${Username}-*`); none means any.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Pattern of the user name; none means any.
    #[serde(default)]
    pub username: Option<String>,
    /// Address or CIDR block of the client; none means anywhere.
    #[serde(default)]
    pub ip: Option<String>,
    /// QoS levels of the publish or subscription, 0 to 2. Without meaning for `connect`.
    #[serde(default = "every_qos")]
    pub qos: Vec<u8>,
    /// RETAIN flag of the publish. Without meaning for `connect` and `sub`.
    #[serde(default)]
    pub retain: RetainCondition,
}

fn every_qos() -> Vec<u8> {
    vec![0, 1, 2]
}

/// What a matching policy does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// The request is allowed.
    Allow,
    /// The request is denied.
    #[default]
    Deny,
}

/// What a client wants to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// To connect.
    Connect,
    /// To publish to a topic.
    Pub,
    /// To subscribe to a filter.
    Sub,
}

/// Which publishes a policy matches by their RETAIN flag; 1, 2, 3 in its outward form.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum RetainCondition {
    /// 1: retained ones only.
    Retained,
    /// 2: others only.
    NotRetained,
    /// 3: both.
    #[default]
    Both,
}

impl RetainCondition {
    fn admits(self, retain: bool) -> bool {
        match self {
            RetainCondition::Retained => retain,
            RetainCondition::NotRetained => !retain,
            RetainCondition::Both => true,
        }
    }
}

impl From<RetainCondition> for u8 {
    fn from(condition: RetainCondition) -> u8 {
        match condition {
            RetainCondition::Retained => 1,
            RetainCondition::NotRetained => 2,
            RetainCondition::Both => 3,
        }
    }
}

impl TryFrom<u8> for RetainCondition {
    type Error = PolicyError;

    fn try_from(number: u8) -> Result<Self, PolicyError> {
        match number {
            1 => Ok(RetainCondition::Retained),
            2 => Ok(RetainCondition::NotRetained),
            3 => Ok(RetainCondition::Both),
            _ => Err(PolicyError::Retain(number)),
        }
    }
}

/// Why a policy is not acceptable.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PolicyError {
    /// Name missing or too long.
    #[error("a policy needs a name of 1 to {PATTERN_BYTES_MAX} bytes")]
    Name,
    /// No action.
    #[error("a policy needs at least one action of connect, pub, sub")]
    NoAction,
    /// Too many resources.
    #[error("a policy has at most {RESOURCES_MAX} resources")]
    TooManyResources,
    /// A pattern is too long.
    #[error("a pattern has 1 to {PATTERN_BYTES_MAX} bytes")]
    PatternLength,
    /// `${…}` with something unknown in it.
    #[error(
        "the pattern {0:?} has a variable other than ${{ClientId}}, ${{Username}} and ${{Certificate.Subject.…}}, or a substring with wrong bounds"
    )]
    UnknownVariable(String),
    /// `+` or `#` where MQTT allows none.
    #[error("in the resource {0:?}, + must be a whole level and # the whole last level")]
    Wildcard(String),
    /// Not an address or CIDR block.
    #[error("{0:?} is neither an address nor a CIDR block")]
    Address(String),
    /// Not 0, 1 or 2.
    #[error("qos is 0, 1 or 2, not {0}")]
    Qos(u8),
    /// No QoS at all: the policy would match no message.
    #[error("qos names at least one of 0, 1, 2")]
    NoQos,
    /// An entry of an ACL claim without topics.
    #[error("an entry of an acl claim names its topics")]
    NoTopic,
    /// Too many exceptions of a block rule.
    #[error("a block rule has at most {} excludes", block::BLOCK_EXCLUDES_MAX)]
    TooManyExcludes,
    /// Not 1, 2 or 3.
    #[error("retain is 1 (retained only), 2 (others only) or 3 (both), not {0}")]
    Retain(u8),
}

impl Policy {
    /// Checks what a proposer must check before it proposes the policy; the replicated rules accept any.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn validate(&self) -> Result<(), PolicyError> {
        rule::validate(self)
    }
}
