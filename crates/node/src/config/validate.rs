//! Settings that contradict each other or would let strangers in, each with a sentence that says what to set.
//!
//! Everything is checked before anything is reported, so that a configuration is put right in one go.

use super::{
    AuthConfig, Authenticator, BootstrapPolicy, BootstrapUser, ClusterConfig, Config, ConfigError, Limits,
    ListenersConfig, PolicyAction, Profile,
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

/// Longest node, cluster and policy name, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Longest user name, in bytes.
const USERNAME_BYTES_MAX: usize = 256;
/// Most partitions of a cluster: each is a Raft group on every node that holds a copy.
const PARTITIONS_MAX: u16 = 1_024;
/// Most copies of a partition: beyond it every commit waits for more nodes and none is safer.
const REPLICAS_MAX: u32 = 7;
/// Shortest and longest lease. Below, a busy disk looks like a dead node; above, a dead node's clients look alive.
const LEASE_MS: (u64, u64) = (1_000, 600_000);
/// Shortest deadline of a status query: one round between nodes needs about this.
const STATUS_DEADLINE_MS_MIN: u64 = 10;
/// Shortest and longest time between two fetches of a key set.
const JWKS_REFRESH_S: (u32, u32) = (60, 1_000);
/// Shortest and longest time for either part of a request to the HTTP authenticator.
const HTTP_TIMEOUT_S: (u32, u32) = (1, 30);
/// Fewest and most such requests under way.
const HTTP_REQUESTS: (u32, u32) = (1, 1_000);
/// Smallest bound on MQTT packets that still lets a plain CONNECT in.
const PACKET_BYTES_MIN: u32 = 128;
/// A server accepts client ids of 1 to 23 bytes (MQTT-3.1.3-5).
const CLIENT_ID_BYTES_MIN: u32 = 23;
/// Shortest wait for a CONNECT; none at all would keep silent connections for ever.
const CONNECT_TIMEOUT_MS_MIN: u32 = 100;

impl Config {
    /// Checks the relations between settings.
    ///
    /// # Errors
    /// All that must be changed. On success, what is allowed but probably not meant.
    pub fn validate(&self) -> Result<Vec<String>, ConfigError> {
        let mut findings = Findings::default();
        findings.node(self);
        findings.cluster(&self.cluster);
        findings.mesh(self);
        findings.listeners(self);
        findings.strangers(self);
        findings.limits(&self.limits, self.cluster.expect_nodes);
        findings.users(&self.auth.bootstrap_users);
        findings.policies(&self.auth.bootstrap_policies);
        findings.telemetry(self);
        findings.authenticators(&self.auth, &self.listeners);
        if self.auth.authenticators.is_empty() && !self.auth.anonymous {
            findings.refuse("auth.authenticators is empty, so that nobody can come in; set [\"users\"]");
        }
        if self.auth.admin_password.as_ref().is_some_and(|password| password.reveal().is_empty()) {
            findings.refuse("ROLLCALL_ADMIN_PASSWORD is empty; set a password or unset the variable");
        }
        if findings.problems.is_empty() {
            Ok(findings.warnings)
        } else {
            Err(ConfigError::Refused { problems: findings.problems })
        }
    }
}

#[derive(Default)]
struct Findings {
    problems: Vec<String>,
    warnings: Vec<String>,
}

impl Findings {
    fn refuse(&mut self, sentence: impl Into<String>) {
        self.problems.push(sentence.into());
    }

    fn warn(&mut self, sentence: impl Into<String>) {
        self.warnings.push(sentence.into());
    }

    fn node(&mut self, config: &Config) {
        let node = &config.node;
        self.name("node.name", &node.name);
        if node.data_dir.as_os_str().is_empty() {
            self.refuse("node.data_dir is empty; set the directory this node keeps its data in");
        }
        if !is_host(&node.advertise_host) {
            self.refuse(format!(
                "node.advertise_host must be a host name or an IP address without a port, not {:?}",
                node.advertise_host
            ));
        }
    }

    fn cluster(&mut self, cluster: &ClusterConfig) {
        self.name("cluster.name", &cluster.name);
        self.within("cluster.partitions", cluster.partitions, (1, PARTITIONS_MAX));
        self.within("cluster.replicas", cluster.replicas, (1, REPLICAS_MAX));
        self.within("cluster.lease_ms", cluster.lease_ms, LEASE_MS);
        if cluster.status_deadline_ms < STATUS_DEADLINE_MS_MIN || cluster.status_deadline_ms >= cluster.lease_ms {
            self.refuse(format!(
                "cluster.status_deadline_ms must be at least {STATUS_DEADLINE_MS_MIN} and less than cluster.lease_ms \
                 ({}), not {}: a query must end before the node may no longer serve",
                cluster.lease_ms, cluster.status_deadline_ms
            ));
        }
        if cluster.offline_record_keep_s.saturating_mul(1_000) < cluster.lease_ms {
            self.refuse(format!(
                "cluster.offline_record_keep_s ({}) must not be shorter than cluster.lease_ms ({})",
                cluster.offline_record_keep_s, cluster.lease_ms
            ));
        }
        let seeds = u32::try_from(cluster.seeds.len()).unwrap_or(u32::MAX);
        if cluster.expect_nodes == 0 {
            self.refuse("cluster.expect_nodes must be at least 1");
        } else if cluster.expect_nodes > 1 && seeds == 0 {
            self.refuse(format!(
                "cluster.expect_nodes is {} but cluster.seeds is empty; set the mesh address of every node that forms \
                 the cluster",
                cluster.expect_nodes
            ));
        } else if seeds > 1 && cluster.expect_nodes < seeds {
            self.warn(format!(
                "cluster.expect_nodes is {} while cluster.seeds names {seeds} nodes; set it to the number of nodes that \
                 form the cluster",
                cluster.expect_nodes
            ));
        }
        if cluster.expect_nodes > 1 && cluster.replicas > cluster.expect_nodes {
            self.warn(format!(
                "cluster.replicas is {} but the cluster is formed by {} nodes; each partition has {} copies until more \
                 join",
                cluster.replicas, cluster.expect_nodes, cluster.expect_nodes
            ));
        }
        if cluster.replicas.is_multiple_of(2) {
            self.warn(format!(
                "cluster.replicas is {}; an even number survives no more failures than {}",
                cluster.replicas,
                cluster.replicas.saturating_sub(1)
            ));
        }
        let mut seen = BTreeSet::new();
        for seed in &cluster.seeds {
            if host_and_port(seed).is_none() {
                self.refuse(format!("cluster.seeds must hold addresses such as \"n1.example:7400\", not {seed:?}"));
            } else if !seen.insert(seed) {
                self.refuse(format!("cluster.seeds names {seed} twice"));
            }
        }
    }

    /// Nodes that do not prove themselves to each other may only meet on loopback.
    fn mesh(&mut self, config: &Config) {
        let cluster = &config.cluster;
        if cluster.secret.as_ref().is_some_and(|secret| secret.reveal().is_empty()) {
            self.refuse("cluster.secret is empty; set a long random text, the same on all nodes");
        }
        if let Some(tls) = &cluster.tls {
            for (key, file) in [("ca_file", &tls.ca_file), ("cert_file", &tls.cert_file), ("key_file", &tls.key_file)] {
                if file.as_os_str().is_empty() {
                    self.refuse(format!("cluster.tls needs all of its files; set cluster.tls.{key}"));
                }
            }
        }
        let outside = if config.listeners.mesh.ip().is_loopback() {
            let seed = cluster.seeds.iter().find(|seed| !is_loopback(seed));
            seed.map(|seed| format!("cluster.seeds names {seed}"))
        } else {
            Some(format!("listeners.mesh is {}", config.listeners.mesh))
        };
        let Some(outside) = outside else { return };
        if cluster.secret.is_none() && cluster.tls.is_none() {
            self.refuse(format!(
                "{outside}, which is not loopback: set cluster.secret (the same on all nodes) or [cluster.tls], so that \
                 only your own nodes can join"
            ));
        }
        let host = &config.node.advertise_host;
        if cluster.seeds.iter().any(|seed| !is_loopback(seed)) && is_loopback_host(host) {
            self.refuse(format!(
                "node.advertise_host is {host}, under which the other nodes would reach themselves; set the host name \
                 or address of this node"
            ));
        }
    }

    fn listeners(&mut self, config: &Config) {
        let listeners = &config.listeners;
        let mut bound: Vec<(&str, SocketAddr)> = listeners.open_to_clients();
        bound.push(("mesh", listeners.mesh));
        for (index, (key, address)) in bound.iter().enumerate() {
            let clash = bound[..index].iter().find(|(_, other)| overlap(*address, *other));
            if let Some((other, _)) = clash {
                self.refuse(format!("listeners.{other} and listeners.{key} both want {address}; set different ports"));
            }
        }
        let over_tls = [("mqtts", listeners.mqtts), ("wss", listeners.wss), ("https", listeners.https)];
        for (key, _) in over_tls.iter().filter(|(_, address)| address.is_some() && listeners.tls.is_empty()) {
            self.refuse(format!(
                "listeners.{key} needs a certificate; set cert_file and key_file in [[listeners.tls]]"
            ));
        }
        let authorities = |tls: &super::ListenerTls| {
            (tls.client_ca_file.clone(), tls.client_ca_registered, tls.client_certificate_optional)
        };
        if listeners.https.is_some()
            && listeners.tls.windows(2).any(|pair| authorities(&pair[0]) != authorities(&pair[1]))
        {
            self.refuse(
                "listeners.https cannot tell which certificate's clients must show one; set the same client_ca_file, \
                 client_ca_registered and client_certificate_optional in every [[listeners.tls]], or leave listeners.https off",
            );
        }
        for (index, tls) in listeners.tls.iter().enumerate() {
            for (key, file) in [("cert_file", &tls.cert_file), ("key_file", &tls.key_file)] {
                if file.as_os_str().is_empty() {
                    self.refuse(format!("listeners.tls[{index}] needs both of its files; set {key}"));
                }
            }
        }
    }

    /// What everybody can reach must know who may come in.
    fn strangers(&mut self, config: &Config) {
        let outside = config.listeners.open_to_clients();
        let Some((key, address)) = outside.iter().find(|(_, address)| !address.ip().is_loopback()) else { return };
        let place = format!("listeners.{key} is {address}, which is not loopback");
        if config.node.profile == Profile::Conformance {
            self.refuse(format!(
                "{place}, and node.profile = \"conformance\" lets everybody in; set it to \"default\""
            ));
        }
        if config.auth.anonymous {
            self.refuse(format!("{place}, and auth.anonymous lets everybody in; set auth.anonymous = false"));
        } else if config.auth.bootstrap_users.is_empty() && config.auth.admin_password.is_none() {
            self.refuse(format!(
                "{place}, but no user is configured; set ROLLCALL_ADMIN_PASSWORD (or ROLLCALL_ADMIN_PASSWORD_FILE), or \
                 username and password in [[auth.bootstrap_users]]"
            ));
        }
    }

    /// Beside what the limits say of themselves: sizes of which 0 would leave nothing.
    fn limits(&mut self, limits: &Limits, nodes: u32) {
        if let Err(error) = limits.validate_for(nodes.max(1)) {
            self.refuse(format!("limits: {error}"));
        }
        self.at_least("limits.packet_bytes_max", limits.packet_bytes_max, PACKET_BYTES_MIN);
        self.at_least("limits.topic_bytes_max", limits.topic_bytes_max, 1);
        self.at_least("limits.topic_levels_max", limits.topic_levels_max, 1);
        self.at_least("limits.client_id_bytes_max", limits.client_id_bytes_max, CLIENT_ID_BYTES_MIN);
        self.at_least("limits.connect_timeout_ms", limits.connect_timeout_ms, CONNECT_TIMEOUT_MS_MIN);
    }

    fn users(&mut self, users: &[BootstrapUser]) {
        let mut seen = BTreeSet::new();
        for (index, user) in users.iter().enumerate() {
            let place = format!("auth.bootstrap_users[{index}]");
            let name = user.username.as_str();
            if name.is_empty() || name.len() > USERNAME_BYTES_MAX || name.contains(|c: char| c == ':' || c.is_control())
            {
                self.refuse(format!(
                    "{place}.username must be 1 to {USERNAME_BYTES_MAX} bytes without colons and control characters, \
                     not {name:?}"
                ));
            } else if !seen.insert(name) {
                self.refuse(format!("{place}.username {name} is there twice"));
            }
            if user.password.as_ref().is_none_or(|password| password.reveal().is_empty()) {
                self.refuse(format!("{place} has no password; set password or password_file"));
            }
        }
    }

    fn policies(&mut self, policies: &[BootstrapPolicy]) {
        let mut seen = BTreeSet::new();
        for (index, policy) in policies.iter().enumerate() {
            let place = format!("auth.bootstrap_policies[{index}]");
            self.name(&format!("{place}.name"), &policy.name);
            if !seen.insert(policy.name.as_str()) {
                self.refuse(format!("{place}.name {} is there twice", policy.name));
            }
            if policy.actions.is_empty() {
                self.refuse(format!("{place}.actions is empty; set at least one of \"connect\", \"pub\", \"sub\""));
            }
            let needs_topics = policy.actions.iter().any(|action| *action != PolicyAction::Connect);
            if needs_topics && policy.resources.is_empty() {
                self.refuse(format!("{place}.resources is empty; set the topics it is about, [\"*\"] for all"));
            }
            if policy.qos.is_empty() || policy.qos.iter().any(|qos| *qos > 2) {
                self.refuse(format!("{place}.qos must hold some of 0, 1, 2"));
            }
            self.within(&format!("{place}.retain"), policy.retain, (1, 3));
            if let Some(ip) = policy.ip.as_deref().filter(|ip| !is_address_or_block(ip)) {
                self.refuse(format!("{place}.ip must be an address or a block such as 10.0.0.0/8, not {ip:?}"));
            }
        }
    }

    fn authenticators(&mut self, auth: &AuthConfig, listeners: &ListenersConfig) {
        let mut seen = BTreeSet::new();
        for authenticator in auth.authenticators.iter().filter(|one| !seen.insert(**one)) {
            self.refuse(format!("auth.authenticators names {:?} twice", authenticator.name()));
        }
        if seen.contains(&Authenticator::Jwks) {
            self.within("auth.jwks.refresh_s", auth.jwks.refresh_s, JWKS_REFRESH_S);
        }
        let asks_for_certificates = |tls: &super::ListenerTls| tls.client_ca_file.is_some() || tls.client_ca_registered;
        if seen.contains(&Authenticator::X509) && !listeners.tls.iter().any(asks_for_certificates) {
            self.refuse(
                "auth.authenticators names \"x509\", but no listener asks for certificates; set client_ca_file or \
                 client_ca_registered in [[listeners.tls]]",
            );
        }
        if seen.contains(&Authenticator::Http) {
            self.within("auth.http.connect_timeout_s", auth.http.connect_timeout_s, HTTP_TIMEOUT_S);
            self.within("auth.http.read_timeout_s", auth.http.read_timeout_s, HTTP_TIMEOUT_S);
            self.within("auth.http.requests_max", auth.http.requests_max, HTTP_REQUESTS);
        }
    }

    fn telemetry(&mut self, config: &Config) {
        let endpoint = config.telemetry.otlp_endpoint.as_str();
        if !endpoint.is_empty() {
            if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
                self.refuse(format!("telemetry.otlp_endpoint must start with http:// or https://, not {endpoint:?}"));
            }
            self.warn("telemetry.otlp_endpoint is set, but this version exports no traces yet");
        }
        if config.telemetry.log_level.trim().is_empty() {
            self.refuse("telemetry.log_level is empty; set error, warn, info, debug or trace");
        }
    }

    fn name(&mut self, key: &str, name: &str) {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !starts_well || name.len() > NAME_BYTES_MAX || !name.chars().all(known) {
            self.refuse(format!(
                "{key} must be 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 . _ - and start with a letter or digit, not {name:?}"
            ));
        }
    }

    fn at_least(&mut self, key: &str, number: u32, least: u32) {
        if number < least {
            self.refuse(format!("{key} must be at least {least}, not {number}"));
        }
    }

    fn within<N: PartialOrd + std::fmt::Display>(&mut self, key: &str, number: N, (least, most): (N, N)) {
        if number < least || number > most {
            self.refuse(format!("{key} must be from {least} to {most}, not {number}"));
        }
    }
}

/// Whether two listeners cannot be bound together. Port 0 is a free port each time.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}

/// Splits `host:port`, `[::1]:port` included.
fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<std::net::Ipv6Addr>().ok().map(|_| host)?,
        None if host.contains(':') => return None,
        None => host,
    };
    let port = port.parse().ok().filter(|port| *port != 0)?;
    is_host(host).then_some((host, port))
}

/// An IP address or a DNS name.
fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    host.parse::<IpAddr>().is_ok() || host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
}

fn is_loopback(address: &str) -> bool {
    host_and_port(address).is_some_and(|(host, _)| is_loopback_host(host))
}

fn is_loopback_host(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_address_or_block(text: &str) -> bool {
    match text.split_once('/') {
        None => text.parse::<IpAddr>().is_ok(),
        Some((address, bits)) => match (address.parse::<IpAddr>(), bits.parse::<u8>()) {
            (Ok(IpAddr::V4(_)), Ok(bits)) => bits <= 32,
            (Ok(IpAddr::V6(_)), Ok(bits)) => bits <= 128,
            _ => false,
        },
    }
}
