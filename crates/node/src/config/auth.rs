//! `[auth]`: who is let in, and what the first accounts and policies of a new cluster are.

use super::{Authenticator, HttpAuthConfig, JwksConfig, JwtConfig, Secret, X509Config};
use rollcall_contracts::Role;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `[auth]`: who may do what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// Whether clients without credentials are let in.
    pub anonymous: bool,
    /// What checks credentials, asked in this order.
    pub authenticators: Vec<Authenticator>,
    /// What the authenticator `jwt` goes by.
    pub jwt: JwtConfig,
    /// What the authenticator `jwks` goes by.
    pub jwks: JwksConfig,
    /// What the authenticator `http` goes by.
    pub http: HttpAuthConfig,
    /// What the authenticator `x509` goes by.
    pub x509: X509Config,
    /// What holds when no policy matches.
    pub policy_default_effect: PolicyEffect,
    /// Whether taking over a client id that another account holds is refused.
    pub bind_account: bool,
    /// What a client id must be.
    pub bind_client_id: BindClientId,
    /// Accounts made once, when the cluster is first formed.
    pub bootstrap_users: Vec<BootstrapUser>,
    /// Policies made once, when the cluster is first formed; the first match wins.
    pub bootstrap_policies: Vec<BootstrapPolicy>,
    /// The password of the account `admin`, from `ROLLCALL_ADMIN_PASSWORD` or the file that
    /// `ROLLCALL_ADMIN_PASSWORD_FILE` names; not a key of the file.
    #[serde(skip)]
    pub admin_password: Option<Secret>,
}

impl Default for AuthConfig {
    fn default() -> Self {
        AuthConfig {
            anonymous: false,
            authenticators: vec![Authenticator::Users],
            jwt: JwtConfig::default(),
            jwks: JwksConfig::default(),
            http: HttpAuthConfig::default(),
            x509: X509Config::default(),
            policy_default_effect: PolicyEffect::Deny,
            bind_account: true,
            bind_client_id: BindClientId::Free,
            bootstrap_users: Vec::new(),
            bootstrap_policies: Vec::new(),
            admin_password: None,
        }
    }
}

/// What a client id must be, so that nobody connects under another's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BindClientId {
    /// Anything.
    #[default]
    Free,
    /// The user name.
    Username,
    /// The common name of the client's certificate.
    CommonName,
}

/// `[[auth.bootstrap_users]]`: one account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BootstrapUser {
    /// Its name; no colon, since Basic authentication ends the name there.
    pub username: String,
    /// Its password. Always present once the configuration is loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// A file that holds the password instead; its content is in `password` once the configuration is loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// What it may do on the management API.
    #[serde(with = "role")]
    pub role: Role,
}

impl Default for BootstrapUser {
    fn default() -> Self {
        BootstrapUser { username: String::new(), password: None, password_file: None, role: Role::Client }
    }
}

/// What a policy does with what it matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyEffect {
    /// Lets it pass.
    Allow,
    /// Refuses it.
    #[default]
    Deny,
}

/// What a policy is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyAction {
    /// CONNECT, and the status query.
    Connect,
    /// PUBLISH.
    Pub,
    /// SUBSCRIBE.
    Sub,
}

/// `[[auth.bootstrap_policies]]`: one policy. A condition that is absent matches everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BootstrapPolicy {
    /// Unique name.
    pub name: String,
    /// What it does.
    pub effect: PolicyEffect,
    /// What it is about.
    pub actions: Vec<PolicyAction>,
    /// Topic patterns for `pub` and `sub`.
    pub resources: Vec<String>,
    /// Pattern of client ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Pattern of user names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Address or CIDR block of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Levels of QoS it is about.
    pub qos: Vec<u8>,
    /// 1: retained messages only, 2: others only, 3: both.
    pub retain: u8,
}

impl Default for BootstrapPolicy {
    fn default() -> Self {
        BootstrapPolicy {
            name: String::new(),
            effect: PolicyEffect::Allow,
            actions: Vec::new(),
            resources: Vec::new(),
            client_id: None,
            username: None,
            ip: None,
            qos: vec![0, 1, 2],
            retain: 3,
        }
    }
}

/// The roles by their names.
pub(super) const ROLES: [(&str, Role); 4] =
    [("admin", Role::Admin), ("operator", Role::Operator), ("viewer", Role::Viewer), ("client", Role::Client)];

mod role {
    use super::{ROLES, Role};
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
        let name = ROLES.iter().find(|(_, known)| known == role).map_or("client", |(name, _)| name);
        serializer.serialize_str(name)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Role, D::Error> {
        let text = String::deserialize(deserializer)?;
        ROLES
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, role)| *role)
            .ok_or_else(|| de::Error::custom(format!("unknown role {text:?}")))
    }
}
