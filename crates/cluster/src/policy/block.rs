//! Block rules: who may not connect, whatever policies say, until a rule expires.

use super::network::Network;
use super::pattern::TextPattern;
use super::variable::Values;
use super::{PATTERN_BYTES_MAX, PolicyError};
use rollcall_types::ClusterTime;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Most exceptions of one rule.
pub const BLOCK_EXCLUDES_MAX: usize = 10;

/// One block rule. `*` stands for any characters and `?` for one, in client ids and user names.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct BlockRule {
    /// Unique name.
    pub name: String,
    /// What `include` and `excludes` are of.
    pub kind: BlockKind,
    /// Who is blocked: a pattern, or an address or CIDR block.
    pub include: String,
    /// Who is not, all the same.
    pub excludes: Vec<String>,
    /// Cluster time from which on it counts no more and is forgotten; none means never.
    pub expires_at: Option<ClusterTime>,
    /// For people.
    pub remark: String,
}

/// What a block rule looks at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// The client id.
    ClientId,
    /// The user name.
    Username,
    /// The address of the client.
    Address,
}

impl BlockKind {
    /// The name in the management API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            BlockKind::ClientId => "client_id",
            BlockKind::Username => "username",
            BlockKind::Address => "address",
        }
    }
}

impl BlockRule {
    /// Whether its time is over.
    #[must_use]
    pub fn is_expired(&self, now: ClusterTime) -> bool {
        self.expires_at.is_some_and(|at| now >= at)
    }

    /// Checks what a proposer must check before it proposes the rule; the replicated rules accept any.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn validate(&self) -> Result<(), PolicyError> {
        if self.name.is_empty() || self.name.len() > PATTERN_BYTES_MAX || self.remark.len() > PATTERN_BYTES_MAX {
            return Err(PolicyError::Name);
        }
        Compiled::of(self).map(|_| ())
    }
}

/// All block rules, ready to decide.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CompiledBlocks {
    /// By [`BlockKind`].
    rules: [Vec<Compiled>; 3],
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Compiled {
    name: Box<str>,
    include: Matcher,
    excludes: Vec<Matcher>,
    expires_at: Option<ClusterTime>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Matcher {
    Pattern(TextPattern),
    Network(Network),
    /// The pattern of a rule that another version stored and this one cannot read: fails closed.
    Everybody,
}

impl CompiledBlocks {
    /// Compiles. A rule that does not compile blocks everybody its kind looks at: it was stored by another version, and
    /// whom it meant is not known.
    #[must_use]
    pub fn new<'r>(rules: impl IntoIterator<Item = &'r BlockRule>) -> Self {
        let mut compiled = CompiledBlocks::default();
        for rule in rules {
            let ready = Compiled::of(rule).unwrap_or_else(|_| Compiled {
                name: rule.name.as_str().into(),
                include: Matcher::Everybody,
                excludes: Vec::new(),
                expires_at: rule.expires_at,
            });
            compiled.rules[rule.kind as usize].push(ready);
        }
        compiled
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.iter().all(Vec::is_empty)
    }

    /// The rule that keeps this client out at this time, if any. Allocates nothing.
    #[must_use]
    pub fn blocking(&self, client_id: Option<&str>, username: &str, ip: IpAddr, now: ClusterTime) -> Option<&str> {
        let [of_clients, of_users, of_addresses] = &self.rules;
        let by_client = client_id.and_then(|id| of_clients.iter().find(|rule| rule.blocks_text(id, now)));
        let by_user = || of_users.iter().find(|rule| rule.blocks_text(username, now));
        let by_address = || of_addresses.iter().find(|rule| rule.blocks_address(ip, now));
        by_client.or_else(by_user).or_else(by_address).map(|rule| &*rule.name)
    }
}

impl Compiled {
    fn of(rule: &BlockRule) -> Result<Self, PolicyError> {
        if rule.excludes.len() > BLOCK_EXCLUDES_MAX {
            return Err(PolicyError::TooManyExcludes);
        }
        let matcher = |text: &String| match rule.kind {
            BlockKind::ClientId | BlockKind::Username => TextPattern::glob(text).map(Matcher::Pattern),
            BlockKind::Address => Network::parse(text).map(Matcher::Network),
        };
        Ok(Compiled {
            name: rule.name.as_str().into(),
            include: matcher(&rule.include)?,
            excludes: rule.excludes.iter().map(matcher).collect::<Result<_, _>>()?,
            expires_at: rule.expires_at,
        })
    }

    fn is_over(&self, now: ClusterTime) -> bool {
        self.expires_at.is_some_and(|at| now >= at)
    }

    fn blocks_text(&self, text: &str, now: ClusterTime) -> bool {
        let matches = |matcher: &Matcher| match matcher {
            Matcher::Pattern(pattern) => {
                pattern.matches(text, Values { client_id: "", username: "", certificate: None })
            }
            Matcher::Network(_) => false,
            Matcher::Everybody => true,
        };
        !self.is_over(now) && matches(&self.include) && !self.excludes.iter().any(matches)
    }

    fn blocks_address(&self, ip: IpAddr, now: ClusterTime) -> bool {
        let matches = |matcher: &Matcher| match matcher {
            Matcher::Network(network) => network.contains(ip),
            Matcher::Pattern(_) => false,
            Matcher::Everybody => true,
        };
        !self.is_over(now) && matches(&self.include) && !self.excludes.iter().any(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn rule(name: &str, kind: BlockKind, include: &str, excludes: &[&str], expires_at: Option<u64>) -> BlockRule {
        BlockRule {
            name: name.to_owned(),
            kind,
            include: include.to_owned(),
            excludes: excludes.iter().map(|text| (*text).to_owned()).collect(),
            expires_at: expires_at.map(ClusterTime),
            remark: String::new(),
        }
    }

    #[test]
    fn a_rule_blocks_whom_it_names_until_it_expires() {
        let compiled = CompiledBlocks::new(&[
            rule("ids", BlockKind::ClientId, "bad?-*", &["bad1-good*"], None),
            rule("users", BlockKind::Username, "mallory", &[], Some(1_000)),
            rule("net", BlockKind::Address, "192.0.2.0/24", &["192.0.2.9"], None),
        ]);
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let there = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
        for (client_id, username, ip, at, expected) in [
            (Some("bad1-x"), "u", here, 0, Some("ids")),
            (Some("badü-x"), "u", here, 0, Some("ids")),
            (Some("bad-x"), "u", here, 0, None),
            (Some("bad12-x"), "u", here, 0, None),
            (Some("bad1-good7"), "u", here, 0, None),
            (None, "mallory", here, 999, Some("users")),
            (None, "mallory", here, 1_000, None),
            (None, "mallory2", here, 0, None),
            (Some("c"), "u", there(1), 0, Some("net")),
            (Some("c"), "u", there(9), 0, None),
            (None, "", here, 0, None),
        ] {
            let blocking = compiled.blocking(client_id, username, ip, ClusterTime(at));
            assert_eq!(blocking, expected, "{client_id:?} {username} {ip} {at}");
        }
    }

    #[test]
    fn a_variable_is_none_in_a_block_rule_and_what_cannot_be_read_blocks_everybody() {
        let literal = CompiledBlocks::new(&[rule("v", BlockKind::ClientId, "${ClientId}", &[], None)]);
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(literal.blocking(Some("c"), "", here, ClusterTime(0)), None);
        assert_eq!(literal.blocking(Some("${ClientId}"), "", here, ClusterTime(0)), Some("v"));
        let unreadable = rule("u", BlockKind::Address, "nowhere", &[], None);
        assert!(unreadable.validate().is_err());
        let unreadable = CompiledBlocks::new(&[unreadable]);
        assert_eq!(unreadable.blocking(None, "", here, ClusterTime(0)), Some("u"));
    }
}
