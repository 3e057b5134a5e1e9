//! Changes that come from the management API: each says who asks for it and under which condition, and is recorded.

use crate::{
    Actor, ApiToken, Authority, BlockRule, CertificateState, DeviceCertificate, Policy, Role, ScramKeys, User,
};
use rollcall_types::NodeId;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// Most tags that one condition may name.
pub const CONDITION_TAGS_MAX: usize = 16;

/// A change with its asker.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Managed {
    /// Who asks.
    pub by: Actor,
    /// A random number of this change: when it is proposed once more since nobody knows what became of it, it is known
    /// by it.
    pub request: u64,
    /// Under which condition.
    pub only_if: Condition,
    /// What changes.
    pub change: ManagedChange,
}

/// What must be the case for a change to be made.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Condition {
    /// Nothing.
    #[default]
    Always,
    /// There is no such object yet.
    Absent,
    /// There is one.
    Present,
    /// There is one, and its tag is among these.
    Tagged(Vec<u64>),
}

/// One such change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ManagedChange {
    /// Adds or replaces a user.
    PutUser(User),
    /// Gives a user another role.
    SetUserRole {
        /// Its name.
        username: String,
        /// The role.
        role: Role,
    },
    /// Gives a user another password.
    SetUserPassword {
        /// Its name.
        username: String,
        /// The hash, a PHC string. Never printed.
        password_hash: PasswordHash,
    },
    /// Deletes a user.
    DeleteUser {
        /// Its name.
        username: String,
    },
    /// Replaces the policy of that name where it stands, or adds it at the end.
    PutPolicy(Box<Policy>),
    /// Deletes a policy.
    DeletePolicy {
        /// Its name.
        name: String,
    },
    /// Moves a policy within the order of evaluation.
    MovePolicy {
        /// Its name.
        name: String,
        /// Its 0-based place afterwards; beyond the end means the end.
        to: u32,
    },
    /// Adds or replaces a block rule.
    PutBlockRule(Box<BlockRule>),
    /// Deletes a block rule.
    DeleteBlockRule {
        /// Its name.
        name: String,
    },
    /// Adds a token.
    AddToken(Box<ApiToken>),
    /// Deletes a token.
    DeleteToken {
        /// Its id.
        id: String,
    },
    /// The member is to leave.
    Leave {
        /// The node.
        node: NodeId,
    },
    /// Something is done that this state holds nothing of; it is recorded before it is done.
    Note {
        /// What.
        deed: Deed,
        /// To what.
        object: String,
        /// What about it; nothing secret.
        detail: String,
    },
    /// The member is to serve no clients and to lead nothing, or is to again. It stays a member.
    Drain {
        /// The node.
        node: NodeId,
        /// Whether it is to stop.
        drain: bool,
    },
    /// Gives a user keys for SCRAM-SHA-256, unless its password is another by now.
    SetScramKeys {
        /// Its name.
        username: String,
        /// The hash of the password that the keys were derived from.
        password_hash: PasswordHash,
        /// The keys.
        keys: ScramKeys,
    },
    /// Registers an authority of clients' certificates.
    RegisterAuthority {
        /// Its id.
        id: String,
        /// The authority.
        authority: Box<Authority>,
    },
    /// Has an authority count, or not.
    SetAuthorityActive {
        /// Its id.
        id: String,
        /// Whether it counts.
        active: bool,
    },
    /// Deletes an authority that signed no registered certificate.
    DeleteAuthority {
        /// Its id.
        id: String,
    },
    /// Registers a device's certificate.
    RegisterCertificate {
        /// Its id.
        id: String,
        /// The certificate.
        certificate: Box<DeviceCertificate>,
    },
    /// Gives a device's certificate another state.
    SetCertificateState {
        /// Its id.
        id: String,
        /// The state.
        state: CertificateState,
    },
    /// Forgets a device's certificate.
    DeleteCertificate {
        /// Its id.
        id: String,
    },
}

/// What operators do that is recorded here and done elsewhere. Variants are only ever added at the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Deed {
    /// Ends a client's connection.
    KickClient,
    /// Ends a client's connection and its session.
    DeleteSession,
    /// Subscribes a client's session to a filter.
    Subscribe,
    /// Takes a subscription from a client's session.
    Unsubscribe,
    /// Deletes a retained message.
    DeleteRetained,
}

impl Deed {
    /// Its name in the record of changes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Deed::KickClient => "kick_client",
            Deed::DeleteSession => "delete_session",
            Deed::Subscribe => "subscribe",
            Deed::Unsubscribe => "unsubscribe",
            Deed::DeleteRetained => "delete_retained",
        }
    }
}

/// Longest text of a note that is recorded, in bytes: what is behind is cut off. Part of the replicated rules.
pub const NOTE_BYTES_MAX: usize = 256;

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(NOTE_BYTES_MAX)].to_owned()
}

/// A password's hash that no `Debug` shows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash(pub String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

impl ManagedChange {
    /// What is done, as the audit log names it.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match self {
            ManagedChange::PutUser(_) => "put_user",
            ManagedChange::SetUserRole { .. } => "set_user_role",
            ManagedChange::SetUserPassword { .. } => "set_user_password",
            ManagedChange::DeleteUser { .. } => "delete_user",
            ManagedChange::PutPolicy(_) => "put_policy",
            ManagedChange::DeletePolicy { .. } => "delete_policy",
            ManagedChange::MovePolicy { .. } => "move_policy",
            ManagedChange::PutBlockRule(_) => "put_block_rule",
            ManagedChange::DeleteBlockRule { .. } => "delete_block_rule",
            ManagedChange::AddToken(_) => "add_token",
            ManagedChange::DeleteToken { .. } => "delete_token",
            ManagedChange::Leave { .. } => "leave",
            ManagedChange::Note { deed, .. } => deed.name(),
            ManagedChange::Drain { drain: true, .. } => "drain",
            ManagedChange::Drain { drain: false, .. } => "undrain",
            ManagedChange::SetScramKeys { .. } => "set_scram_keys",
            ManagedChange::RegisterAuthority { .. } => "register_authority",
            ManagedChange::SetAuthorityActive { .. } => "set_authority_active",
            ManagedChange::DeleteAuthority { .. } => "delete_authority",
            ManagedChange::RegisterCertificate { .. } => "register_certificate",
            ManagedChange::SetCertificateState { .. } => "set_certificate_state",
            ManagedChange::DeleteCertificate { .. } => "delete_certificate",
        }
    }

    /// To what.
    #[must_use]
    pub fn object(&self) -> String {
        match self {
            ManagedChange::PutUser(user) => user.username.clone(),
            ManagedChange::SetUserRole { username, .. }
            | ManagedChange::SetUserPassword { username, .. }
            | ManagedChange::DeleteUser { username }
            | ManagedChange::SetScramKeys { username, .. } => username.clone(),
            ManagedChange::PutPolicy(policy) => policy.name.clone(),
            ManagedChange::DeletePolicy { name }
            | ManagedChange::MovePolicy { name, .. }
            | ManagedChange::DeleteBlockRule { name } => name.clone(),
            ManagedChange::PutBlockRule(rule) => rule.name.clone(),
            ManagedChange::AddToken(token) => token.id.clone(),
            ManagedChange::DeleteToken { id }
            | ManagedChange::RegisterAuthority { id, .. }
            | ManagedChange::SetAuthorityActive { id, .. }
            | ManagedChange::DeleteAuthority { id }
            | ManagedChange::RegisterCertificate { id, .. }
            | ManagedChange::SetCertificateState { id, .. }
            | ManagedChange::DeleteCertificate { id } => id.clone(),
            ManagedChange::Leave { node } | ManagedChange::Drain { node, .. } => node.to_string(),
            ManagedChange::Note { object, .. } => cut(object),
        }
    }

    /// What about it; nothing secret.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            ManagedChange::PutUser(user) => format!("role {}", user.role.name()),
            ManagedChange::SetUserRole { role, .. } => format!("role {}", role.name()),
            ManagedChange::PutPolicy(policy) => {
                let effect = match policy.effect {
                    crate::Effect::Allow => "allow",
                    crate::Effect::Deny => "deny",
                };
                format!("{effect} {} actions on {} resources", policy.actions.len(), policy.resources.len())
            }
            ManagedChange::MovePolicy { to, .. } => format!("to place {to}"),
            ManagedChange::PutBlockRule(rule) => format!("{} {:?}", rule.kind.name(), rule.include),
            ManagedChange::AddToken(token) => format!("role {} {:?}", token.role.name(), token.remark),
            ManagedChange::Note { detail, .. } => cut(detail),
            ManagedChange::RegisterAuthority { authority, .. } => format!("{:?}", authority.common_name),
            ManagedChange::SetAuthorityActive { active, .. } => if *active { "ACTIVE" } else { "INACTIVE" }.to_owned(),
            ManagedChange::RegisterCertificate { certificate, .. } => {
                format!("{:?} {}", certificate.common_name, certificate.state.name())
            }
            ManagedChange::SetCertificateState { state, .. } => state.name().to_owned(),
            ManagedChange::DeleteAuthority { .. }
            | ManagedChange::DeleteCertificate { .. }
            | ManagedChange::SetUserPassword { .. }
            | ManagedChange::DeleteUser { .. }
            | ManagedChange::DeletePolicy { .. }
            | ManagedChange::DeleteBlockRule { .. }
            | ManagedChange::DeleteToken { .. }
            | ManagedChange::Drain { .. }
            | ManagedChange::Leave { .. }
            | ManagedChange::SetScramKeys { .. } => String::new(),
        }
    }
}

/// Tags: what an object is, in 64 bits, so that a condition can name the state it was made for. The same on every member
/// and in every version, hence spelt out field by field.
struct Tag(Xxh3);

impl Tag {
    fn new(kind: &str) -> Self {
        Tag(Xxh3::new()).text(kind)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    fn texts<'t>(self, texts: impl IntoIterator<Item = &'t str>) -> Self {
        texts.into_iter().fold(self.text("["), Tag::text).text("]")
    }

    fn optional(self, text: Option<&str>) -> Self {
        self.texts(text)
    }

    fn end(self) -> u64 {
        self.0.digest()
    }
}

impl User {
    /// What it is, in 64 bits.
    #[must_use]
    pub fn tag(&self) -> u64 {
        Tag::new("user").text(&self.username).text(&self.password_hash).text(self.role.name()).end()
    }
}

impl Policy {
    /// What it is, in 64 bits; its place among the others is no part of it.
    #[must_use]
    pub fn tag(&self) -> u64 {
        let actions: Vec<u8> = self.actions.iter().map(|action| *action as u8).collect();
        Tag::new("policy")
            .text(&self.name)
            .bytes(&[self.effect as u8, u8::from(self.retain)])
            .bytes(&actions)
            .texts(self.resources.iter().map(String::as_str))
            .optional(self.client_id.as_deref())
            .optional(self.username.as_deref())
            .optional(self.ip.as_deref())
            .bytes(&self.qos)
            .end()
    }
}

impl BlockRule {
    /// What it is, in 64 bits.
    #[must_use]
    pub fn tag(&self) -> u64 {
        Tag::new("block_rule")
            .text(&self.name)
            .text(self.kind.name())
            .text(&self.include)
            .texts(self.excludes.iter().map(String::as_str))
            .bytes(&self.expires_at.map_or([0; 8], |at| at.0.to_le_bytes()))
            .text(&self.remark)
            .end()
    }
}

impl ApiToken {
    /// What it is, in 64 bits.
    #[must_use]
    pub fn tag(&self) -> u64 {
        Tag::new("token").text(&self.id).end()
    }
}

impl Authority {
    /// What it is, in 64 bits; its id says what is in it.
    #[must_use]
    pub fn tag(&self) -> u64 {
        Tag::new("authority").bytes(&self.der).bytes(&[u8::from(self.active)]).end()
    }
}

impl DeviceCertificate {
    /// What it is, in 64 bits; its id says what is in it.
    #[must_use]
    pub fn tag(&self) -> u64 {
        let certificate = Tag::new("certificate").text(&self.serial).text(&self.authority).text(self.state.name());
        certificate.optional(self.client_id.as_deref()).end()
    }
}
