//! What credentials may say beside a name: rules of their own, and the fields of a certificate.

use super::rule::Rule;
use super::{Action, Effect, Policy, PolicyError, RetainCondition};
use serde::Deserialize;

/// Rules that came with an account's credentials, compiled once. They are asked before the cluster's policies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnRules {
    pub(super) rules: Vec<Rule>,
}

impl OwnRules {
    /// Compiles them, in order. The names are what an explanation shows.
    ///
    /// # Errors
    /// With the first thing that is wrong; credentials with an unusable rule are to be refused, not used without it.
    pub fn compile(policies: &[Policy]) -> Result<Self, PolicyError> {
        let rules = policies.iter().map(Rule::compile).collect::<Result<_, _>>()?;
        Ok(OwnRules { rules })
    }

    /// Compiles the ACL claim of a token; its entries are named `acl[0]`, `acl[1]`, ….
    ///
    /// # Errors
    /// As [`OwnRules::compile`].
    pub fn of_claims(claims: &[AclClaim]) -> Result<Self, PolicyError> {
        // No topics would mean every topic, which a token has to say.
        if claims.iter().any(|claim| claim.action != ClaimedAction::Connect && claim.topics.to_vec().is_empty()) {
            return Err(PolicyError::NoTopic);
        }
        let policies: Vec<Policy> = claims.iter().enumerate().map(|(place, claim)| claim.policy(place)).collect();
        OwnRules::compile(&policies)
    }
}

/// One entry of a token's ACL claim, in the form that EMQX made known:
/// `{"permission":"allow","action":"publish","topics":["home/${clientid}/#"],"qos":[0,1],"retain":false}`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AclClaim {
    permission: Effect,
    action: ClaimedAction,
    #[serde(default, alias = "topic")]
    topics: OneOrMany<String>,
    #[serde(default)]
    qos: OneOrMany<u8>,
    #[serde(default)]
    retain: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ClaimedAction {
    Connect,
    #[serde(alias = "pub")]
    Publish,
    #[serde(alias = "sub")]
    Subscribe,
    #[serde(alias = "pubsub")]
    All,
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        OneOrMany::Many(Vec::new())
    }
}

impl<T: Clone> OneOrMany<T> {
    fn to_vec(&self) -> Vec<T> {
        match self {
            OneOrMany::One(one) => vec![one.clone()],
            OneOrMany::Many(many) => many.clone(),
        }
    }
}

impl AclClaim {
    fn policy(&self, place: usize) -> Policy {
        let qos = self.qos.to_vec();
        Policy {
            name: format!("acl[{place}]"),
            effect: self.permission,
            actions: match self.action {
                ClaimedAction::Connect => vec![Action::Connect],
                ClaimedAction::Publish => vec![Action::Pub],
                ClaimedAction::Subscribe => vec![Action::Sub],
                ClaimedAction::All => vec![Action::Pub, Action::Sub],
            },
            resources: self.topics.to_vec(),
            client_id: None,
            username: None,
            ip: None,
            qos: if qos.is_empty() { vec![0, 1, 2] } else { qos },
            retain: match self.retain {
                None => RetainCondition::Both,
                Some(true) => RetainCondition::Retained,
                Some(false) => RetainCondition::NotRetained,
            },
        }
    }
}

/// What the subject of a client's verified certificate says, for the variables `${Certificate.Subject.…}`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct CertificateFields {
    /// `CN`.
    pub common_name: Option<Box<str>>,
    /// `C`.
    pub country: Option<Box<str>>,
    /// `O`.
    pub organization: Option<Box<str>>,
    /// `OU`.
    pub organizational_unit: Option<Box<str>>,
    /// `ST`.
    pub state: Option<Box<str>>,
    /// `serialNumber` of the subject, not of the certificate.
    pub serial_number: Option<Box<str>>,
}
