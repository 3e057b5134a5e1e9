//! `[auth.jwt]`, `[auth.jwks]`, `[auth.http]`, `[auth.x509]`: what each authenticator beside the stored users goes by. Each
//! counts only where `auth.authenticators` names it.

use super::Secret;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What checks credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authenticator {
    /// User names and passwords of the cluster's own accounts.
    Users,
    /// Tokens signed with a secret or a key that is configured.
    Jwt,
    /// Tokens signed with a key of a set.
    Jwks,
    /// SCRAM-SHA-256 in AUTH packets, for stored users.
    Scram,
    /// An HTTP service.
    Http,
    /// Certificates of clients.
    X509,
}

impl Authenticator {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Authenticator::Users => "users",
            Authenticator::Jwt => "jwt",
            Authenticator::Jwks => "jwks",
            Authenticator::Scram => "scram",
            Authenticator::Http => "http",
            Authenticator::X509 => "x509",
        }
    }
}

/// Where a token is in CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenFrom {
    /// In the password.
    Password,
    /// In the user name.
    Username,
}

/// How tokens are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JwtAlgorithm {
    /// With a secret.
    #[default]
    Hmac,
    /// With a private key.
    PublicKey,
}

/// `[auth.jwt]`: tokens signed with one secret or key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JwtConfig {
    /// How they are signed.
    pub algorithm: JwtAlgorithm,
    /// The secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// A file that holds the secret instead; its content is in `secret` once the configuration is loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// The secret is written in Base64.
    pub secret_base64: bool,
    /// PEM file with the public key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key_file: Option<PathBuf>,
    /// Where the token is.
    pub from: TokenFrom,
    /// What tokens must say, `name=value`.
    pub claims: Vec<String>,
    /// The claim that is the account's name.
    pub username_claim: String,
    /// The claim with rules.
    pub acl_claim: String,
    /// How far clocks may differ, in seconds.
    pub leeway_s: u32,
}

impl Default for JwtConfig {
    fn default() -> Self {
        JwtConfig {
            algorithm: JwtAlgorithm::Hmac,
            secret: None,
            secret_file: None,
            secret_base64: false,
            public_key_file: None,
            from: TokenFrom::Password,
            claims: Vec::new(),
            username_claim: "sub".to_owned(),
            acl_claim: "acl".to_owned(),
            leeway_s: 0,
        }
    }
}

/// `[auth.jwks]`: tokens signed with a key of a set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JwksConfig {
    /// Where the set is fetched.
    pub url: String,
    /// The set itself, instead.
    pub inline: String,
    /// How often it is fetched, in seconds.
    pub refresh_s: u32,
    /// PEM file with the authorities of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Where the token is.
    pub from: TokenFrom,
    /// What tokens must say, `name=value`.
    pub claims: Vec<String>,
    /// The claim that is the account's name.
    pub username_claim: String,
    /// The claim with rules.
    pub acl_claim: String,
    /// How far clocks may differ, in seconds.
    pub leeway_s: u32,
}

impl Default for JwksConfig {
    fn default() -> Self {
        JwksConfig {
            url: String::new(),
            inline: String::new(),
            refresh_s: 60,
            ca_file: None,
            from: TokenFrom::Username,
            claims: Vec::new(),
            username_claim: "sub".to_owned(),
            acl_claim: "acl".to_owned(),
            leeway_s: 0,
        }
    }
}

/// How the service is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HttpMethod {
    /// POST.
    Post,
    /// GET.
    Get,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HttpBodyFormat {
    /// JSON.
    Json,
    /// As a form.
    Form,
}

/// What holds while the service cannot say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HttpWhenDown {
    /// Clients are told to come back.
    Refuse,
    /// The next authenticator is asked.
    Ignore,
}

/// `[auth.http]`: a service that is asked about each client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpAuthConfig {
    /// How it is asked.
    pub method: HttpMethod,
    /// Where.
    pub url: String,
    /// PEM file with the authorities of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Headers, `name=value`.
    pub headers: Vec<String>,
    /// How the body is written.
    pub body_format: HttpBodyFormat,
    /// Fields of the body, `name=value`.
    pub body: Vec<String>,
    /// Longest time to connect, in seconds.
    pub connect_timeout_s: u32,
    /// Longest time for the answer, in seconds.
    pub read_timeout_s: u32,
    /// Requests under way at a time.
    pub requests_max: u32,
    /// What holds while it cannot say.
    pub when_down: HttpWhenDown,
}

impl Default for HttpAuthConfig {
    fn default() -> Self {
        let field = |name: &str, value: &str| format!("{name}=${{{value}}}");
        HttpAuthConfig {
            method: HttpMethod::Post,
            url: String::new(),
            ca_file: None,
            headers: Vec::new(),
            body_format: HttpBodyFormat::Json,
            body: vec![field("clientid", "ClientId"), field("username", "Username"), field("password", "Password")],
            connect_timeout_s: 5,
            read_timeout_s: 5,
            requests_max: 8,
            when_down: HttpWhenDown::Refuse,
        }
    }
}

/// Which part of a certificate is the account's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsernameFrom {
    /// The common name of its subject.
    #[default]
    CommonName,
    /// Its whole subject.
    DistinguishedName,
    /// The first of its alternative names.
    AlternativeName,
}

/// Which certificates count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum X509Devices {
    /// Any that an authority of the listener signed.
    #[default]
    Any,
    /// Those that are registered and active.
    Registered,
    /// The same, and others are registered at their first connect and wait to be activated.
    JustInTime,
    /// The same, and others are registered at their first connect and active at once.
    JustInTimeActive,
}

/// `[auth.x509]`: certificates of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct X509Config {
    /// Which part is the account's name.
    pub username_from: UsernameFrom,
    /// Which count.
    pub devices: X509Devices,
}
