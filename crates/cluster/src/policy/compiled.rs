//! Policies made ready for many decisions a second.

use super::network::Network;
use super::pattern::{TextPattern, Values};
use super::topic::TopicPattern;
use super::{Action, Effect, PATTERN_BYTES_MAX, Policy, PolicyError, RESOURCES_MAX, RetainCondition};
use crate::Role;
use rollcall_types::QoS;
use std::net::IpAddr;

/// Name of the built-in rule that decides when no policy is configured.
pub const DEFAULT_POLICY: &str = "default_policy";
/// Name of the built-in rule that keeps clients from publishing under `$events/` and `$SYS/`.
pub const RESERVED_TOPICS: &str = "reserved_topics";

/// What somebody wants to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    /// To do what.
    pub action: Action,
    /// Topic of a publish, filter of a subscription (`$share/…` included); empty for `connect`. Valid by MQTT.
    pub resource: &'a str,
    /// The client id. Only `connect` may go without: then [`CompiledPolicies::may_connect_without_client_id`] answers.
    pub client_id: Option<&'a str>,
    /// The account's name; empty when anonymous.
    pub username: &'a str,
    /// The account's role; only the built-in rules look at it.
    pub role: Role,
    /// Where the client is.
    pub ip: IpAddr,
    /// QoS of the publish or subscription.
    pub qos: QoS,
    /// RETAIN flag of the publish.
    pub retain: bool,
}

/// The verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision<'p> {
    /// Allowed or not.
    pub allowed: bool,
    /// The rule that decided; `None` when none matched and the default effect counts.
    pub rule: Option<&'p str>,
}

/// All policies, in order, ready to decide.
#[derive(Clone, Debug)]
pub struct CompiledPolicies {
    rules: Vec<Rule>,
    default_effect: Effect,
    built_in: bool,
    problems: Vec<(String, PolicyError)>,
}

#[derive(Clone, Debug)]
struct Rule {
    name: Box<str>,
    effect: Effect,
    actions: [bool; 3],
    username: Option<TextPattern>,
    client_id: Option<TextPattern>,
    network: Option<Network>,
    qos: [bool; 3],
    retain: RetainCondition,
    /// Empty: every topic.
    resources: Vec<TopicPattern>,
}

impl CompiledPolicies {
    /// Compiles. No policy at all means the built-in `default_policy`: whoever was authenticated may connect, publish
    /// and subscribe, `$events/#` and `$SYS/#` excepted, which take the role viewer or above.
    ///
    /// A policy that does not compile (it was stored by another version) fails closed: if it allows, it allows
    /// nothing; if it denies, it denies its actions altogether. [`CompiledPolicies::problems`] names it.
    #[must_use]
    pub fn new(policies: &[Policy], default_effect: Effect) -> Self {
        let mut rules = Vec::new();
        let mut problems = Vec::new();
        for policy in policies {
            match Rule::compile(policy) {
                Ok(rule) => rules.push(rule),
                Err(error) => {
                    problems.push((policy.name.clone(), error));
                    if policy.effect == Effect::Deny {
                        rules.push(Rule::denying_everything(policy));
                    }
                }
            }
        }
        CompiledPolicies { rules, default_effect, built_in: policies.is_empty(), problems }
    }

    /// Policies that did not compile, by name.
    #[must_use]
    pub fn problems(&self) -> &[(String, PolicyError)] {
        &self.problems
    }

    /// Decides. Allocates nothing, unless a subscription with wildcards meets a denying rule with resources.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Decision<'_> {
        let topic = match request.action {
            Action::Sub => without_share(request.resource),
            Action::Pub | Action::Connect => request.resource,
        };
        if request.action == Action::Pub && is_reserved(topic) {
            return Decision { allowed: false, rule: Some(RESERVED_TOPICS) };
        }
        if self.built_in {
            let allowed = request.action == Action::Connect || !is_reserved(topic) || request.role >= Role::Viewer;
            return Decision { allowed, rule: Some(DEFAULT_POLICY) };
        }
        if request.action == Action::Connect && request.client_id.is_none() {
            return self.connect_without_client_id(request.username, request.ip);
        }
        let values = Values { client_id: request.client_id.unwrap_or(""), username: request.username };
        match self.rules.iter().find(|rule| rule.matches(request, topic, values)) {
            Some(rule) => rule.decision(),
            None => self.default_decision(),
        }
    }

    /// May this account connect from this address, as whichever client id? Some `connect` rule that matches account
    /// and address must allow it, and none that needs no client id may deny it first.
    #[must_use]
    pub fn may_connect_without_client_id(&self, username: &str, ip: IpAddr) -> bool {
        self.built_in || self.connect_without_client_id(username, ip).allowed
    }

    fn connect_without_client_id(&self, username: &str, ip: IpAddr) -> Decision<'_> {
        let values = Values { client_id: "", username };
        // Of an account pattern that needs the client id nobody can say whether it matches: it decides nothing.
        let for_account = |pattern: &TextPattern| !pattern.needs_client_id() && pattern.matches(username, values);
        let mut rules = self.rules.iter().filter(|rule| {
            rule.actions[Action::Connect as usize]
                && rule.username.as_ref().is_none_or(for_account)
                && rule.network.is_none_or(|network| network.contains(ip))
        });
        let any_client_id = |rule: &Rule| rule.client_id.as_ref().is_none_or(TextPattern::is_any);
        match rules.find(|rule| rule.effect == Effect::Allow || any_client_id(rule)) {
            Some(rule) => rule.decision(),
            None => self.default_decision(),
        }
    }

    fn default_decision(&self) -> Decision<'_> {
        Decision { allowed: self.default_effect == Effect::Allow, rule: None }
    }
}

impl Rule {
    fn compile(policy: &Policy) -> Result<Self, PolicyError> {
        if policy.name.is_empty() || policy.name.len() > PATTERN_BYTES_MAX {
            return Err(PolicyError::Name);
        }
        if policy.actions.is_empty() {
            return Err(PolicyError::NoAction);
        }
        if policy.resources.len() > RESOURCES_MAX {
            return Err(PolicyError::TooManyResources);
        }
        if policy.qos.is_empty() {
            return Err(PolicyError::NoQos);
        }
        let mut qos = [false; 3];
        for level in &policy.qos {
            *qos.get_mut(usize::from(*level)).ok_or(PolicyError::Qos(*level))? = true;
        }
        Ok(Rule {
            name: policy.name.as_str().into(),
            effect: policy.effect,
            actions: actions_of(policy),
            username: policy.username.as_deref().map(TextPattern::parse).transpose()?,
            client_id: policy.client_id.as_deref().map(TextPattern::parse).transpose()?,
            network: policy.ip.as_deref().map(Network::parse).transpose()?,
            qos,
            retain: policy.retain,
            resources: policy.resources.iter().map(|r| TopicPattern::parse(r)).collect::<Result<_, _>>()?,
        })
    }

    fn denying_everything(policy: &Policy) -> Self {
        Rule {
            name: policy.name.as_str().into(),
            effect: Effect::Deny,
            actions: actions_of(policy),
            username: None,
            client_id: None,
            network: None,
            qos: [true; 3],
            retain: RetainCondition::Both,
            resources: Vec::new(),
        }
    }

    fn matches(&self, request: &Request<'_>, topic: &str, values: Values<'_>) -> bool {
        self.actions[request.action as usize]
            && self.username.as_ref().is_none_or(|pattern| pattern.matches(request.username, values))
            && self.client_id.as_ref().is_none_or(|pattern| pattern.matches(values.client_id, values))
            && self.network.is_none_or(|network| network.contains(request.ip))
            && (request.action == Action::Connect || self.matches_message(request, topic, values))
    }

    fn matches_message(&self, request: &Request<'_>, topic: &str, values: Values<'_>) -> bool {
        let for_topic = |pattern: &TopicPattern| match self.effect {
            Effect::Allow => pattern.covers(topic, values),
            Effect::Deny => pattern.touches(topic, values),
        };
        self.qos[request.qos as usize]
            && (request.action == Action::Sub || self.retain.admits(request.retain))
            && match self.resources.as_slice() {
                [] => self.effect == Effect::Deny || !topic.starts_with('$'),
                patterns => patterns.iter().any(for_topic),
            }
    }

    fn decision(&self) -> Decision<'_> {
        Decision { allowed: self.effect == Effect::Allow, rule: Some(&self.name) }
    }
}

fn actions_of(policy: &Policy) -> [bool; 3] {
    let mut actions = [false; 3];
    policy.actions.iter().for_each(|action| actions[*action as usize] = true);
    actions
}

/// What the members of a shared subscription receive (MQTT 5.0, 4.8.2).
fn without_share(filter: &str) -> &str {
    let inner = filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
    inner.map_or(filter, |(_, inner)| inner)
}

/// Whether only the broker publishes there.
fn is_reserved(topic: &str) -> bool {
    let first = topic.split('/').next().unwrap_or(topic);
    first == "$events" || first == "$SYS"
}

pub(super) fn validate(policy: &Policy) -> Result<(), PolicyError> {
    Rule::compile(policy).map(|_| ())
}
