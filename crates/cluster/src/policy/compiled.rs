//! Policies made ready for many decisions a second.

use super::index::Index;
use super::rule::Rule;
use super::variable::Values;
use super::{Action, CertificateFields, Effect, OwnRules, Policy, PolicyError};
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
    /// The client id. Only `connect` may go without: then some `connect` rule that matches account and address must
    /// allow it, and none that needs no client id may deny it first.
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
    /// Policies do not apply to the account.
    pub superuser: bool,
    /// The rules that came with the account's credentials.
    pub own_rules: Option<&'a OwnRules>,
    /// What the client's certificate says.
    pub certificate: Option<&'a CertificateFields>,
}

/// The verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision<'p> {
    /// Allowed or not.
    pub allowed: bool,
    /// Whose rule decided.
    pub by: DecidedBy,
    /// The rule that decided; `None` when none matched and the default effect counts.
    pub rule: Option<&'p str>,
}

/// Whose rule decided. They are asked in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecidedBy {
    /// Nobody's: topics that only the broker publishes to.
    ReservedTopics,
    /// The account's own nature: policies do not apply to it.
    Superuser,
    /// A rule that came with the credentials.
    OwnRules,
    /// A policy of the cluster.
    Policy,
    /// The built-in policy that stands in where there is none.
    BuiltIn,
    /// No rule matched.
    Default,
}

impl DecidedBy {
    /// The name in explanations.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            DecidedBy::ReservedTopics => "reserved_topics",
            DecidedBy::Superuser => "superuser",
            DecidedBy::OwnRules => "own_rules",
            DecidedBy::Policy => "policy",
            DecidedBy::BuiltIn => "default_policy",
            DecidedBy::Default => "default_effect",
        }
    }
}

/// All policies, in order, ready to decide.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CompiledPolicies {
    rules: Vec<Rule>,
    index: Index,
    default_effect: Effect,
    built_in: bool,
    problems: Vec<(String, PolicyError)>,
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
        let index = Index::of(&rules);
        CompiledPolicies { rules, index, default_effect, built_in: policies.is_empty(), problems }
    }

    /// Policies that did not compile, by name.
    #[must_use]
    pub fn problems(&self) -> &[(String, PolicyError)] {
        &self.problems
    }

    /// Decides. Allocates nothing, unless a subscription with wildcards meets a denying rule with resources.
    #[must_use]
    pub fn decide<'p>(&'p self, request: &Request<'p>) -> Decision<'p> {
        let topic = match request.action {
            Action::Sub => without_share(request.resource),
            Action::Pub | Action::Connect => request.resource,
        };
        if request.action == Action::Pub && is_reserved(topic) {
            return Decision { allowed: false, by: DecidedBy::ReservedTopics, rule: Some(RESERVED_TOPICS) };
        }
        if request.superuser {
            return Decision { allowed: true, by: DecidedBy::Superuser, rule: None };
        }
        let client_id = request.client_id.unwrap_or("");
        let values = Values { client_id, username: request.username, certificate: request.certificate };
        let as_anyone = request.action == Action::Connect && request.client_id.is_none();
        let decides = |rule: &&Rule| match as_anyone {
            true => rule.decides_for_account(request.username, request.ip, values),
            false => rule.matches(request, topic, values),
        };
        if let Some(own) = request.own_rules
            && let Some(rule) = own.rules.iter().find(decides)
        {
            return decision(rule, DecidedBy::OwnRules);
        }
        if self.built_in {
            return built_in(request, topic);
        }
        let candidates = match as_anyone {
            true => self.index.candidates_of_account(request.username),
            false => self.index.candidates(request.action, request.username, client_id, topic),
        };
        match candidates.filter_map(|place| self.rules.get(place)).find(decides) {
            Some(rule) => decision(rule, DecidedBy::Policy),
            None => self.default_decision(),
        }
    }

    fn default_decision(&self) -> Decision<'_> {
        Decision { allowed: self.default_effect == Effect::Allow, by: DecidedBy::Default, rule: None }
    }
}

/// Where no policy is configured: whoever was authenticated may connect, publish and subscribe, but an account whose
/// credentials brought rules of their own may do no more than those say, once it is connected.
fn built_in<'p>(request: &Request<'p>, topic: &str) -> Decision<'p> {
    if request.own_rules.is_some() && request.action != Action::Connect {
        return Decision { allowed: false, by: DecidedBy::Default, rule: None };
    }
    let allowed = request.action == Action::Connect || !is_reserved(topic) || request.role >= Role::Viewer;
    Decision { allowed, by: DecidedBy::BuiltIn, rule: Some(DEFAULT_POLICY) }
}

fn decision(rule: &Rule, by: DecidedBy) -> Decision<'_> {
    Decision { allowed: rule.effect == Effect::Allow, by, rule: Some(&rule.name) }
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
