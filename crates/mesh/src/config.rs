//! What a mesh is started with, and which settings are refused.

use crate::{
    dial::Resolve,
    limits::{CALL_QUEUE_MAX_DEFAULT, CALL_QUEUE_MAX_MAX, CLUSTER_NAME_BYTES_MAX},
};
use rollcall_types::NodeName;
use std::{
    fmt,
    net::{IpAddr, SocketAddr, TcpListener},
    sync::Arc,
};

/// Settings of a mesh.
pub struct MeshConfig {
    /// Where to accept peers.
    pub listen: Listen,
    /// `host:port` that the other nodes dial to reach this one.
    pub advertise: String,
    /// `host:port` of the members to ask first. The mesh only judges whether they are loopback.
    pub seeds: Vec<String>,
    /// Name of the cluster; peers of another one are refused. 1 to 255 bytes.
    pub cluster_name: String,
    /// The cluster's secret: proved by challenge, never sent. It authenticates and does not encrypt.
    pub secret: Option<String>,
    /// Mutual TLS.
    pub tls: Option<MeshTls>,
    /// Who this node is, before ids are known.
    pub me: NodeIdentity,
    /// Calls of one link that may wait, for the writer or for an answer; more get `CallError::Full`. At least 1.
    pub call_queue_max: usize,
    /// Finds the addresses of a name, anew at every dial.
    pub resolver: Arc<dyn Resolve>,
}

impl fmt::Debug for MeshConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshConfig")
            .field("listen", &self.listen)
            .field("advertise", &self.advertise)
            .field("seeds", &self.seeds)
            .field("cluster_name", &self.cluster_name)
            .field("secret", &self.secret.as_ref().map(|_| ".."))
            .field("tls", &self.tls)
            .field("me", &self.me)
            .field("call_queue_max", &self.call_queue_max)
            .finish_non_exhaustive()
    }
}

/// What is known of a node before it has an id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeIdentity {
    /// The node's stable name.
    pub name: NodeName,
}

/// Where a mesh accepts peers.
#[derive(Debug)]
pub enum Listen {
    /// Bound at the start; port 0 takes a free one.
    Address(SocketAddr),
    /// Bound already.
    Bound(TcpListener),
}

impl Listen {
    fn address(&self) -> Result<SocketAddr, ConfigError> {
        match self {
            Listen::Address(address) => Ok(*address),
            Listen::Bound(listener) => listener.local_addr().map_err(|e| ConfigError::Listener(e.to_string())),
        }
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Listen::Address(address)
    }
}

impl From<TcpListener> for Listen {
    fn from(listener: TcpListener) -> Self {
        Listen::Bound(listener)
    }
}

/// Certificates of the mesh, in PEM. Each side shows its own and checks the other's against `ca`; the certificate must
/// name the host by which the node is dialled.
#[derive(Clone, PartialEq, Eq)]
pub struct MeshTls {
    /// Certificates of the authorities that peers' certificates must go back to.
    pub ca: Vec<u8>,
    /// This node's certificate, with its chain.
    pub cert: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
}

impl fmt::Debug for MeshTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MeshTls { .. }")
    }
}

/// Why settings are refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// No name.
    #[error("the cluster has no name: set `name` in [cluster]")]
    NoClusterName,
    /// Longer than 255 bytes.
    #[error("the cluster's name is longer than {CLUSTER_NAME_BYTES_MAX} bytes: shorten `name` in [cluster]")]
    ClusterNameTooLong,
    /// A secret of no characters protects nothing.
    #[error("the cluster's secret is empty: set `secret` in [cluster], or leave it out")]
    EmptySecret,
    /// Neither secret nor TLS, and an address that other machines reach.
    #[error(
        "the mesh would be open to others at `{address}`: set `secret` in [cluster] or the files of [cluster.tls], or \
         keep every mesh address on loopback"
    )]
    Unprotected {
        /// The address that is not loopback.
        address: String,
    },
    /// Not `host:port`.
    #[error("`{0}` is no mesh address: write host:port")]
    BadAddress(String),
    /// Out of range.
    #[error("call_queue_max is {0}; it must be between 1 and {CALL_QUEUE_MAX_MAX}")]
    QueueSize(usize),
    /// The bound listener does not tell its address.
    #[error("the mesh listener cannot be used: {0}")]
    Listener(String),
}

impl MeshConfig {
    /// Settings for one address that is listened on and advertised, without protection.
    #[must_use]
    pub fn new(listen: impl Into<Listen>, advertise: String, cluster_name: String, name: NodeName) -> Self {
        MeshConfig {
            listen: listen.into(),
            advertise,
            seeds: Vec::new(),
            cluster_name,
            secret: None,
            tls: None,
            me: NodeIdentity { name },
            call_queue_max: CALL_QUEUE_MAX_DEFAULT,
            resolver: Arc::new(crate::dial::SystemResolver),
        }
    }

    /// Whether peers must prove something.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.secret.is_some() || self.tls.is_some()
    }

    /// Checks the settings against each other.
    ///
    /// # Errors
    /// A sentence that says what to set.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.cluster_name.is_empty() {
            return Err(ConfigError::NoClusterName);
        }
        if self.cluster_name.len() > CLUSTER_NAME_BYTES_MAX {
            return Err(ConfigError::ClusterNameTooLong);
        }
        if self.secret.as_ref().is_some_and(String::is_empty) {
            return Err(ConfigError::EmptySecret);
        }
        if self.call_queue_max == 0 || self.call_queue_max > CALL_QUEUE_MAX_MAX {
            return Err(ConfigError::QueueSize(self.call_queue_max));
        }
        let listen = self.listen.address()?;
        for address in self.seeds.iter().chain([&self.advertise]) {
            let (host, _) = split_address(address)?;
            if !self.is_protected() && !is_loopback_host(host) {
                return Err(ConfigError::Unprotected { address: address.clone() });
            }
        }
        if !self.is_protected() && !is_loopback(listen.ip()) {
            return Err(ConfigError::Unprotected { address: listen.to_string() });
        }
        Ok(())
    }
}

/// Host and port of `host:port`; an IPv6 address stands in brackets, which are taken off.
pub(crate) fn split_address(address: &str) -> Result<(&str, u16), ConfigError> {
    let bad = || ConfigError::BadAddress(address.to_owned());
    let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
    let port: u16 = port.parse().map_err(|_| bad())?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').ok_or_else(bad)?,
        None if host.contains(':') => return Err(bad()),
        None => host,
    };
    if host.is_empty() { Err(bad()) } else { Ok((host, port)) }
}

/// Whether only this machine reaches the address.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// The same for a host as written; of the names only `localhost` counts, since any other may resolve to anything.
fn is_loopback_host(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(listen: &str, advertise: &str) -> MeshConfig {
        let listen: SocketAddr = listen.parse().unwrap();
        MeshConfig::new(listen, advertise.to_owned(), "lab".to_owned(), NodeName("n1".to_owned()))
    }

    #[test]
    fn addresses_are_split_at_the_last_colon() {
        assert_eq!(split_address("n1.mesh:7400"), Ok(("n1.mesh", 7400)));
        assert_eq!(split_address("[::1]:7400"), Ok(("::1", 7400)));
        for bad in ["", "n1", ":1", "n1:", "n1:x", "n1:65536", "::1:7400", "[::1:7400"] {
            assert_eq!(split_address(bad), Err(ConfigError::BadAddress(bad.to_owned())), "{bad}");
        }
    }

    #[test]
    fn without_secret_or_tls_every_address_must_be_loopback() {
        assert_eq!(config("127.0.0.1:0", "localhost:7400").validate(), Ok(()));
        assert_eq!(config("[::1]:0", "[::1]:7400").validate(), Ok(()));
        let mut open = vec![
            config("0.0.0.0:0", "127.0.0.1:7400"),
            config("127.0.0.1:0", "n1.example:7400"),
            config("127.0.0.1:0", "10.0.0.1:7400"),
        ];
        let mut seeds = config("127.0.0.1:0", "127.0.0.1:7400");
        seeds.seeds = vec!["127.0.0.1:7401".to_owned(), "n2:7400".to_owned()];
        open.push(seeds);
        for mut config in open {
            let refusal = config.validate().unwrap_err();
            assert!(matches!(refusal, ConfigError::Unprotected { .. }), "{refusal}");
            let text = refusal.to_string();
            assert!(text.contains("`secret` in [cluster]") && text.contains("[cluster.tls]"), "{text}");
            config.secret = Some("change-me".to_owned());
            assert_eq!(config.validate(), Ok(()));
            config.secret = None;
            config.tls = Some(MeshTls { ca: Vec::new(), cert: Vec::new(), key: Vec::new() });
            assert_eq!(config.validate(), Ok(()));
        }
    }

    #[test]
    fn empty_names_empty_secrets_and_queues_without_room_are_refused() {
        let mut c = config("127.0.0.1:0", "127.0.0.1:7400");
        c.cluster_name = String::new();
        assert_eq!(c.validate(), Err(ConfigError::NoClusterName));
        c.cluster_name = "n".repeat(256);
        assert_eq!(c.validate(), Err(ConfigError::ClusterNameTooLong));
        c.cluster_name = "lab".to_owned();
        c.secret = Some(String::new());
        assert_eq!(c.validate(), Err(ConfigError::EmptySecret));
        c.secret = None;
        c.call_queue_max = 0;
        assert_eq!(c.validate(), Err(ConfigError::QueueSize(0)));
    }

    #[test]
    fn settings_print_no_secret() {
        let mut c = config("127.0.0.1:0", "127.0.0.1:7400");
        c.tls = Some(MeshTls { ca: b"c1".to_vec(), cert: b"c2".to_vec(), key: b"0123".to_vec() });
        c.secret = Some("change-me".to_owned());
        let text = format!("{c:?}");
        assert!(!text.contains("change-me") && !text.contains("48, 49"), "{text}");
    }
}
