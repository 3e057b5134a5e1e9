//! What the cluster holds about access beside users and policies: block rules, tokens, and the record of changes; and how
//! changes from the management API are applied.

use crate::{
    AUDIT_RECORDS_MAX, Actor, ApiToken, AuditRecord, Authority, BlockRule, ClusterOutcome, ClusterRefusal,
    ClusterState, Condition, DeviceCertificate, Managed, ManagedChange, Policy, Role, ScramKeys, User, state::too_many,
};
use rollcall_types::{ClusterTime, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Most block rules. Part of the replicated rules, as the one below.
pub const BLOCK_RULES_MAX: usize = 1_000;
/// Most tokens.
pub const TOKENS_MAX: usize = 1_000;

/// Block rules, tokens, the record of changes, and who is drained. A part of the cluster's state of its own, stored behind the rest:
/// states of format version 1 end before it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct AccessState {
    pub(crate) block_rules: BTreeMap<String, BlockRule>,
    pub(crate) tokens: BTreeMap<String, ApiToken>,
    /// The oldest first.
    pub(crate) audit: VecDeque<AuditRecord>,
    /// Number of the last record.
    pub(crate) audited: u64,
    /// Members that are to serve nobody for now.
    pub(crate) draining: BTreeSet<NodeId>,
    /// By user name.
    pub(crate) scram_keys: BTreeMap<String, ScramKeys>,
    /// By id.
    pub(crate) authorities: BTreeMap<String, Authority>,
    /// By id.
    pub(crate) certificates: BTreeMap<String, DeviceCertificate>,
}

impl AccessState {
    /// Whether there never was anything in it.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        *self == AccessState::default()
    }

    /// All block rules by name.
    #[must_use]
    pub fn block_rules(&self) -> &BTreeMap<String, BlockRule> {
        &self.block_rules
    }

    /// All tokens by id.
    #[must_use]
    pub fn tokens(&self) -> &BTreeMap<String, ApiToken> {
        &self.tokens
    }

    /// The changes recorded, the oldest first.
    #[must_use]
    pub fn audit(&self) -> &VecDeque<AuditRecord> {
        &self.audit
    }

    /// Forgets what has expired; true when there was something.
    fn forget_expired(&mut self, now: ClusterTime) -> bool {
        let before = self.block_rules.len() + self.tokens.len();
        self.block_rules.retain(|_, rule| !rule.is_expired(now));
        self.tokens.retain(|_, token| !token.is_expired(now));
        self.block_rules.len() + self.tokens.len() < before
    }

    fn record(&mut self, at: ClusterTime, by: Actor, request: u64, (action, object, detail): Described) {
        self.audited += 1;
        let number = self.audited;
        self.audit.push_back(AuditRecord { number, at, by, action: action.to_owned(), object, detail, request });
        while self.audit.len() > AUDIT_RECORDS_MAX {
            self.audit.pop_front();
        }
    }
}

/// Action, object, detail.
type Described = (&'static str, String, String);

impl ClusterState {
    /// Block rules, tokens and the record of changes.
    #[must_use]
    pub fn access(&self) -> &AccessState {
        &self.access
    }

    /// The state with this beside users and policies, as it was stored.
    #[must_use]
    pub fn with_access(self, access: AccessState) -> Self {
        ClusterState { access, ..self }
    }

    /// Time has come this far.
    pub(crate) fn forget_expired(&mut self) {
        if self.access.forget_expired(self.time) {
            self.access_revision += 1;
        }
    }

    pub(crate) fn manage(&mut self, managed: Managed) -> Result<ClusterOutcome, ClusterRefusal> {
        let Managed { by, request, only_if, change } = managed;
        // Proposed once more since nobody knew what became of it: it was made.
        if self.access.audit.iter().rev().any(|record| record.request == request && record.by == by) {
            return Ok(ClusterOutcome::Done);
        }
        if !self.holds(&only_if, &change) {
            return Err(ClusterRefusal::ConditionFailed);
        }
        let described = (change.action(), change.object(), change.detail());
        let outcome = self.managed(change)?;
        if outcome == ClusterOutcome::Done {
            self.access.record(self.time, by, request, described);
        }
        Ok(outcome)
    }

    fn holds(&self, condition: &Condition, change: &ManagedChange) -> bool {
        let tag = self.tag_of(change);
        match condition {
            Condition::Always => true,
            Condition::Absent => tag.is_none(),
            Condition::Present => tag.is_some(),
            Condition::Tagged(tags) => tag.is_some_and(|tag| tags.contains(&tag)),
        }
    }

    /// Tag of the object that a change is about, if it exists.
    fn tag_of(&self, change: &ManagedChange) -> Option<u64> {
        let of_user = |name: &String| self.users.get(name).map(User::tag);
        let of_policy = |name: &String| self.policies.iter().find(|policy| policy.name == *name).map(Policy::tag);
        match change {
            ManagedChange::PutUser(user) => of_user(&user.username),
            ManagedChange::SetUserRole { username, .. }
            | ManagedChange::SetUserPassword { username, .. }
            | ManagedChange::DeleteUser { username }
            | ManagedChange::SetScramKeys { username, .. } => of_user(username),
            ManagedChange::PutPolicy(policy) => of_policy(&policy.name),
            ManagedChange::DeletePolicy { name } | ManagedChange::MovePolicy { name, .. } => of_policy(name),
            ManagedChange::PutBlockRule(rule) => self.access.block_rules.get(&rule.name).map(BlockRule::tag),
            ManagedChange::DeleteBlockRule { name } => self.access.block_rules.get(name).map(BlockRule::tag),
            ManagedChange::AddToken(token) => self.access.tokens.get(&token.id).map(ApiToken::tag),
            ManagedChange::DeleteToken { id } => self.access.tokens.get(id).map(ApiToken::tag),
            ManagedChange::Leave { node } | ManagedChange::Drain { node, .. } => self.members.get(node).map(|_| node.0),
            ManagedChange::Note { .. } => None,
            ManagedChange::RegisterAuthority { id, .. }
            | ManagedChange::SetAuthorityActive { id, .. }
            | ManagedChange::DeleteAuthority { id } => self.access.authorities.get(id).map(Authority::tag),
            ManagedChange::RegisterCertificate { id, .. }
            | ManagedChange::SetCertificateState { id, .. }
            | ManagedChange::DeleteCertificate { id } => self.access.certificates.get(id).map(DeviceCertificate::tag),
        }
    }

    fn managed(&mut self, change: ManagedChange) -> Result<ClusterOutcome, ClusterRefusal> {
        match change {
            ManagedChange::PutUser(user) => {
                self.keeps_an_admin(&user.username, Some(user.role))?;
                self.put_user(user)
            }
            ManagedChange::SetUserRole { username, role } => {
                self.keeps_an_admin(&username, Some(role))?;
                let user = self.users.get(&username).ok_or(ClusterRefusal::UnknownUser)?;
                self.put_user(User { role, ..user.clone() })
            }
            ManagedChange::SetUserPassword { username, password_hash } => {
                let user = self.users.get(&username).ok_or(ClusterRefusal::UnknownUser)?;
                self.put_user(User { password_hash: password_hash.0, ..user.clone() })
            }
            ManagedChange::DeleteUser { username } => {
                self.keeps_an_admin(&username, None)?;
                self.delete_user(&username)
            }
            ManagedChange::PutPolicy(policy) => self.put_policy(*policy),
            ManagedChange::DeletePolicy { name } => self.delete_policy(&name),
            ManagedChange::MovePolicy { name, to } => self.move_policy(&name, to),
            ManagedChange::PutBlockRule(rule) => self.put_block_rule(*rule),
            ManagedChange::DeleteBlockRule { name } => {
                self.access.block_rules.remove(&name).ok_or(ClusterRefusal::UnknownBlockRule)?;
                Ok(self.access_changed())
            }
            ManagedChange::AddToken(token) => self.add_token(*token),
            ManagedChange::DeleteToken { id } => {
                self.access.tokens.remove(&id).ok_or(ClusterRefusal::UnknownToken)?;
                Ok(self.access_changed())
            }
            ManagedChange::Leave { node } => self.leave(node),
            ManagedChange::Note { .. } => Ok(ClusterOutcome::Done),
            ManagedChange::Drain { node, drain: true } => self.drain(node),
            ManagedChange::Drain { node, drain: false } => match self.access.draining.remove(&node) {
                true => Ok(ClusterOutcome::Done),
                false => Ok(ClusterOutcome::Unchanged),
            },
            ManagedChange::SetScramKeys { username, password_hash, keys } => {
                self.set_scram_keys(username, &password_hash.0, keys)
            }
            ManagedChange::RegisterAuthority { id, authority } => self.register_authority(id, *authority),
            ManagedChange::SetAuthorityActive { id, active } => self.set_authority_active(&id, active),
            ManagedChange::DeleteAuthority { id } => self.delete_authority(&id),
            ManagedChange::RegisterCertificate { id, certificate } => self.register_certificate(id, *certificate),
            ManagedChange::SetCertificateState { id, state } => self.set_certificate_state(&id, state),
            ManagedChange::DeleteCertificate { id } => self.delete_certificate(&id),
        }
    }

    /// Somebody is left to serve: a member that has an incarnation and neither leaves nor is drained.
    fn drain(&mut self, node: NodeId) -> Result<ClusterOutcome, ClusterRefusal> {
        if !self.members.contains_key(&node) {
            return Err(ClusterRefusal::UnknownMember { node });
        }
        if self.access.draining.contains(&node) {
            return Ok(ClusterOutcome::Unchanged);
        }
        let serves = |(other, member): (&NodeId, &crate::Member)| {
            *other != node && member.alive().is_some() && !member.leaving && !self.access.draining.contains(other)
        };
        if !self.members.iter().any(serves) {
            return Err(ClusterRefusal::LastMember);
        }
        self.access.draining.insert(node);
        Ok(ClusterOutcome::Done)
    }

    /// Whether the member is to serve nobody for now.
    #[must_use]
    pub fn is_draining(&self, node: NodeId) -> bool {
        self.access.draining.contains(&node)
    }

    /// The last administrator neither goes nor gets a lower role, so that nobody is locked out. A cluster that never had
    /// one stays as it is.
    fn keeps_an_admin(&self, username: &str, role: Option<Role>) -> Result<(), ClusterRefusal> {
        let is_admin = |user: &User| user.role == Role::Admin;
        let was_admin = self.users.get(username).is_some_and(is_admin);
        let others = || self.users.values().any(|user| is_admin(user) && user.username != username);
        if was_admin && role != Some(Role::Admin) && !others() { Err(ClusterRefusal::LastAdmin) } else { Ok(()) }
    }

    fn put_block_rule(&mut self, rule: BlockRule) -> Result<ClusterOutcome, ClusterRefusal> {
        match self.access.block_rules.get(&rule.name) {
            Some(present) if *present == rule => return Ok(ClusterOutcome::Unchanged),
            None if self.access.block_rules.len() >= BLOCK_RULES_MAX => return Err(too_many(BLOCK_RULES_MAX)),
            _ => {}
        }
        self.access.block_rules.insert(rule.name.clone(), rule);
        Ok(self.access_changed())
    }

    fn add_token(&mut self, token: ApiToken) -> Result<ClusterOutcome, ClusterRefusal> {
        match self.access.tokens.get(&token.id) {
            Some(present) if *present == token => return Ok(ClusterOutcome::Unchanged),
            // Ids are random; whose it is would be anybody's guess.
            Some(_) => return Err(ClusterRefusal::ConditionFailed),
            None if self.access.tokens.len() >= TOKENS_MAX => return Err(too_many(TOKENS_MAX)),
            None => {}
        }
        self.access.tokens.insert(token.id.clone(), token);
        Ok(self.access_changed())
    }
}
