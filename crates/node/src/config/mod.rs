//! The configuration of a node: what can be set, what holds when nothing is, and which settings contradict each other.
//!
//! One reader for the whole process: the TOML file first, then environment variables named
//! `ROLLCALL_<SECTION>__<KEY>`, which win. Everything here is plain data and sentences; nothing is opened, bound or
//! resolved except the configuration file itself and the secret files it names. A key exists in three places that a
//! test holds together: the struct field with its default, the table in `keys.rs` with its kind and meaning, and the
//! generated `rollcall.example.toml` and `docs/reference/configuration.md`.
//!
//! Not here: how a value is used, command-line options, log set-up.

mod auth;
mod authenticators;
mod broker;
mod cluster;
mod environment;
mod error;
mod file;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test, a failure is the failure of the test")]
mod fuzz;
mod keys;
mod listeners;
mod nearest;
mod secret;
mod show;
mod telemetry;
mod validate;

#[cfg(test)]
mod tests;

pub use auth::{AuthConfig, BindClientId, BootstrapPolicy, BootstrapUser, PolicyAction, PolicyEffect};
pub use authenticators::{
    Authenticator, HttpAuthConfig, HttpBodyFormat, HttpMethod, HttpWhenDown, JwksConfig, JwtAlgorithm, JwtConfig,
    TokenFrom, UsernameFrom, X509Config, X509Devices,
};
pub use broker::{BrokerConfig, SharedStrategy};
pub use cluster::{ClusterConfig, MeshTls};
pub use error::ConfigError;
pub use keys::{KEYS, Key, Kind};
pub use listeners::{ListenerTls, ListenersConfig};
pub use rollcall_quota::{Limits, Preset};
pub use secret::Secret;
pub use show::Entry;
pub use telemetry::{LogFormat, TelemetryConfig};

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

/// Longest configuration file or secret file that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Everything that can be set about one node. `Default` is a single-node cluster on loopback.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who this node is.
    pub node: NodeConfig,
    /// The cluster it belongs to.
    pub cluster: ClusterConfig,
    /// Where it listens.
    pub listeners: ListenersConfig,
    /// What it bounds. What each limit means and how the preset fills them in is the business of `rollcall-quota`.
    pub limits: Limits,
    /// What is delivered to whom.
    pub broker: BrokerConfig,
    /// Who may do what.
    pub auth: AuthConfig,
    /// What it tells about itself.
    pub telemetry: TelemetryConfig,
}

/// `[node]`: who this node is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeConfig {
    /// Stable and unique in the cluster, e.g. the pod name.
    pub name: String,
    /// Where this node keeps its logs and snapshots; relative to the working directory.
    pub data_dir: PathBuf,
    /// The host name or address under which other nodes and clients reach this node; resolved again at every dial.
    pub advertise_host: String,
    /// The failure domain this node stands in; empty for one of its own.
    pub zone: String,
    /// A set of behaviours chosen as a whole.
    pub profile: Profile,
}

impl Default for NodeConfig {
    fn default() -> Self {
        NodeConfig {
            name: "n1".to_owned(),
            data_dir: PathBuf::from("rollcall-data"),
            advertise_host: "127.0.0.1".to_owned(),
            zone: String::new(),
            profile: Profile::Default,
        }
    }
}

/// A set of behaviours chosen as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// What a user wants.
    #[default]
    Default,
    /// What outside conformance suites expect: any credentials or none are accepted and policies do not apply.
    Conformance,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// The environment variable of this name.
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Environment(name) => f.write_str(name),
        }
    }
}

/// A configuration that was read and found valid.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values; every password is present, whether it was written down or read from its file.
    pub config: Config,
    /// Where each value that was set came from, by its path (`cluster.lease_ms`, `auth.bootstrap_users[0].role`).
    /// Paths that are absent have their default.
    pub origins: BTreeMap<String, Origin>,
    /// Settings that are allowed but probably not meant, one sentence each.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads the file, if there is one, then the environment, then the secret files they name, and validates the
    /// result. Variables that do not start with `ROLLCALL_` are ignored, and so are those without a double
    /// underscore, since container platforms inject such names for services; a known key misspelt with a single
    /// underscore is refused all the same.
    ///
    /// # Errors
    /// When a file cannot be read or is not TOML, and when values are unknown, of the wrong kind, or contradict each
    /// other: then with all the sentences at once.
    pub fn load(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Loaded, ConfigError> {
        let mut merged = match path {
            Some(path) => file::read(path)?,
            None => file::Merged::default(),
        };
        let special = environment::apply(&mut merged, environment);
        if !merged.problems.is_empty() {
            return Err(ConfigError::Refused { problems: merged.problems });
        }
        let mut config: Config = merged
            .table
            .try_into()
            .map_err(|error: toml::de::Error| ConfigError::Refused { problems: vec![error.message().to_owned()] })?;
        config.auth.admin_password = special.admin_password;
        secret::read_files(&mut config, special.admin_password_file.as_deref())?;
        let warnings = config.validate()?;
        Ok(Loaded { config, origins: merged.origins, warnings })
    }
}
