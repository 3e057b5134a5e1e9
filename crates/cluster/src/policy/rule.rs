//! One policy made ready: which requests it matches.

use super::compiled::Request;
use super::network::Network;
use super::pattern::TextPattern;
use super::topic::TopicPattern;
use super::variable::Values;
use super::{Action, Effect, PATTERN_BYTES_MAX, Policy, PolicyError, RESOURCES_MAX, RetainCondition};
use std::net::IpAddr;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Rule {
    pub(super) name: Box<str>,
    pub(super) effect: Effect,
    pub(super) actions: [bool; 3],
    pub(super) username: Option<TextPattern>,
    pub(super) client_id: Option<TextPattern>,
    pub(super) network: Option<Network>,
    qos: [bool; 3],
    retain: RetainCondition,
    /// Empty: every topic.
    pub(super) resources: Vec<TopicPattern>,
}

impl Rule {
    pub(super) fn compile(policy: &Policy) -> Result<Self, PolicyError> {
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

    pub(super) fn denying_everything(policy: &Policy) -> Self {
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

    pub(super) fn matches(&self, request: &Request<'_>, topic: &str, values: Values<'_>) -> bool {
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

    /// Whether it may decide about an account that connects as whichever client: it allows it as some, or denies it as
    /// any. Of an account pattern that needs the client id nobody can say whether it matches: it decides nothing.
    pub(super) fn decides_for_account(&self, username: &str, ip: IpAddr, values: Values<'_>) -> bool {
        let for_account = |pattern: &TextPattern| !pattern.needs_client_id() && pattern.matches(username, values);
        self.actions[Action::Connect as usize]
            && self.username.as_ref().is_none_or(for_account)
            && self.network.is_none_or(|network| network.contains(ip))
            && (self.effect == Effect::Allow || self.client_id.as_ref().is_none_or(TextPattern::is_any))
    }
}

fn actions_of(policy: &Policy) -> [bool; 3] {
    let mut actions = [false; 3];
    policy.actions.iter().for_each(|action| actions[*action as usize] = true);
    actions
}

pub(super) fn validate(policy: &Policy) -> Result<(), PolicyError> {
    Rule::compile(policy).map(|_| ())
}
