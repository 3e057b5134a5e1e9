//! From the configuration to what each part is started with.

use crate::{
    access_control::hashed,
    config::{
        Authenticator, BindClientId, Config, ListenerTls, PolicyAction, PolicyEffect, Profile, Secret, SharedStrategy,
    },
    errors::StartError,
};
use rollcall_admission::{Admission, AdmissionConfig, ClientIdBinding, Share};
use rollcall_broker::{Broker, BrokerConfig};
use rollcall_cluster::{
    Action, DirectoryId, Effect, Hello, LeaseTerms, NodeAddresses, Policy, RetainCondition, ScramKeys, User,
};
use rollcall_contracts::Rated;
use rollcall_http_gateway::{GatewayConfig, PublishLimits};
use rollcall_mesh::{MeshConfig, MeshTls};
use rollcall_mqtt_listener::ListenerConfig;
use rollcall_retained::RetainedLimits;
use rollcall_routing::Strategy;
use rollcall_session::Limits;
use rollcall_storage::StoreConfig;
use rollcall_tls::{CertificateFiles, Certificates};
use rollcall_types::NodeName;
use std::{fs, net::SocketAddr, num::NonZeroU16, path::Path, sync::Arc, time::Duration};

/// The keep-alive that outside suites expect the server to ask for.
const CONFORMANCE_KEEP_ALIVE_S: u16 = 60;
/// The Receive Maximum that outside suites can overrun.
const CONFORMANCE_RECEIVE_MAXIMUM: u16 = 100;
/// The largest packet that outside suites can overrun.
const CONFORMANCE_PACKET_BYTES_MAX: u32 = 65_000;
/// The topic aliases of a client that outside suites can overrun.
const CONFORMANCE_TOPIC_ALIAS_MAXIMUM: u16 = 10;
/// The filter that outside suites expect to be refused.
const CONFORMANCE_REFUSED_FILTER: &str = "test/nosubscribe";

/// The lease and what follows from it.
pub(crate) fn lease_terms(config: &Config) -> Result<LeaseTerms, StartError> {
    let ms = u32::try_from(config.cluster.lease_ms).unwrap_or(u32::MAX);
    LeaseTerms::new(ms).map_err(|e| StartError::Formation(e.to_string()))
}

/// Whether clients may prove passwords by SCRAM-SHA-256.
pub(crate) fn offers_scram(config: &Config) -> bool {
    config.auth.authenticators.contains(&Authenticator::Scram)
}

pub(crate) fn allow_by_default(config: &Config) -> bool {
    config.auth.policy_default_effect == PolicyEffect::Allow
}

/// This node's part of the instance's limits: until grants exist, an equal one among the nodes expected. [`share`]
/// says how it shrinks where there are more.
pub(crate) fn admission(config: &Config) -> AdmissionConfig {
    let nodes = config.cluster.expect_nodes.max(1);
    let limits = config.limits.effective();
    let part = |limit: u32| rollcall_quota::node_share(limit, nodes);
    AdmissionConfig {
        anonymous: config.auth.anonymous || config.node.profile == Profile::Conformance,
        conformance: config.node.profile == Profile::Conformance,
        messages_per_second: part(limits.messages_per_second),
        burst_percent: limits.burst_percent,
        connects_per_second: part(limits.connects_per_second),
        will_connects_per_second: part(limits.will_connects_per_second),
        subscribes_per_second: part(limits.subscribes_per_second),
        unsubscribes_per_second: part(limits.unsubscribes_per_second),
        auth_failures_per_minute: limits.auth_failures_per_minute,
        bind_account: config.auth.bind_account && config.node.profile != Profile::Conformance,
        bind_client_id: match config.auth.bind_client_id {
            BindClientId::Free => ClientIdBinding::Free,
            BindClientId::Username => ClientIdBinding::Username,
            BindClientId::CommonName => ClientIdBinding::CommonName,
        },
    }
}

/// An equal part of a limit of the instance among so many members, or among the nodes expected where those are more.
/// Where the limit does not suffice for a whole unit each, nothing may be admitted.
fn share(limit: u32, config: &Config, members: u32) -> Share {
    let part = rollcall_quota::node_share(limit, config.cluster.expect_nodes.max(members));
    if limit > 0 && part == 0 { Share::NoGrant } else { Share::of_limit(part) }
}

/// The instance's limit of messages and queries; 0: none.
pub(crate) fn message_limit(config: &Config) -> u32 {
    config.limits.effective().messages_per_second
}

/// An even part of the instance's messages among so many members.
pub(crate) fn even_messages(config: &Config, members: u32) -> Share {
    share(message_limit(config), config, members)
}

/// This node's parts of the instance's other limits among so many members, from now on.
pub(crate) fn share_limits(config: &Config, members: u32, admission: &Admission, broker: &Broker) {
    let limits = config.limits.effective();
    for packet in Rated::ALL {
        let limit = match packet {
            Rated::Connects => limits.connects_per_second,
            Rated::WillConnects => limits.will_connects_per_second,
            Rated::Subscribes => limits.subscribes_per_second,
            Rated::Unsubscribes => limits.unsubscribes_per_second,
        };
        admission.set_packet_share(packet, share(limit, config, members));
    }
    let (connections, subscriptions) = level_shares(config, members);
    broker.set_instance_limits(connections, subscriptions);
}

/// This node's part of the instance's connections and subscriptions.
fn level_shares(config: &Config, members: u32) -> (usize, usize) {
    let limits = config.limits.effective();
    let part = |limit| match share(limit, config, members) {
        Share::Unlimited => usize::MAX,
        Share::PerSecond(part) => part.get() as usize,
        Share::NoGrant => 0,
    };
    (part(limits.connections), part(limits.subscriptions))
}

/// The certificates of all listeners over TLS; `None` when there is no such listener.
pub(crate) fn certificates(config: &Config) -> Result<Option<Arc<Certificates>>, StartError> {
    let listeners = &config.listeners;
    if [listeners.mqtts, listeners.wss, listeners.https].iter().all(Option::is_none) {
        return Ok(None);
    }
    let files = |tls: &ListenerTls| CertificateFiles {
        cert_file: tls.cert_file.clone(),
        key_file: tls.key_file.clone(),
        server_names: tls.server_names.clone(),
        client_ca_file: tls.client_ca_file.clone(),
        client_ca_registered: tls.client_ca_registered,
        client_certificate_optional: tls.client_certificate_optional,
    };
    let loaded = Certificates::load(listeners.tls.iter().map(files).collect())?;
    Ok(Some(Arc::new(loaded)))
}

pub(crate) fn gateway(config: &Config, certificates: Option<Arc<Certificates>>) -> GatewayConfig {
    let https = config.listeners.https.zip(certificates).map(|(address, tls)| (address.into(), tls));
    GatewayConfig {
        http: config.listeners.http.map(Into::into),
        https,
        admin: config.listeners.admin.map(Into::into),
        client_id_bytes_max: usize::try_from(config.limits.client_id_bytes_max).unwrap_or(usize::MAX),
        cluster: config.cluster.name.clone(),
        lease: Duration::from_millis(config.cluster.lease_ms),
        streams_max: config.limits.event_streams as usize,
        publish: publish_limits(config),
        keep_alive_max_s: client_limits(config).keep_alive_max_s,
        ..GatewayConfig::default()
    }
}

/// What MQTT clients are held to. Where payloads have no limit of their own, that of a packet holds.
fn publish_limits(config: &Config) -> PublishLimits {
    let limits = client_limits(config);
    let payload = match limits.payload_bytes_max {
        0 => limits.packet_bytes_max,
        payload => payload,
    };
    PublishLimits {
        topic_bytes_max: limits.topic_bytes_max,
        topic_levels_max: limits.topic_levels_max,
        payload_bytes_max: payload as usize,
    }
}

pub(crate) fn mesh(config: &Config) -> Result<MeshConfig, StartError> {
    let advertise = mesh_address(config);
    let name = NodeName(config.node.name.clone());
    let mut mesh = MeshConfig::new(config.listeners.mesh, advertise, config.cluster.name.clone(), name);
    mesh.seeds.clone_from(&config.cluster.seeds);
    mesh.secret = config.cluster.secret.as_ref().map(|s| s.reveal().to_owned());
    mesh.tls = config.cluster.tls.as_ref().map(mesh_certificates).transpose()?;
    Ok(mesh)
}

pub(crate) fn mesh_certificates(files: &crate::config::MeshTls) -> Result<MeshTls, StartError> {
    Ok(MeshTls { ca: read(&files.ca_file)?, cert: read(&files.cert_file)?, key: read(&files.key_file)? })
}

/// Leases that a SUBSCRIBE waits at most for the other nodes: one that is silent is counted out before.
const LEASES_PER_SUBSCRIBE: u64 = 3;

pub(crate) fn broker(config: &Config) -> BrokerConfig {
    BrokerConfig {
        node_name: config.node.name.clone(),
        client_queue_messages: bound(config.limits.client_queue_messages),
        client_queue_bytes: bound(config.limits.client_queue_bytes),
        client_messages_per_second: config.limits.client_messages_per_second,
        client_filters: config.limits.effective().client_filters as usize,
        refused_filter: (config.node.profile == Profile::Conformance).then_some(CONFORMANCE_REFUSED_FILTER),
        client_connects_per_minute: config.limits.client_connects_per_minute,
        client_takeovers_per_minute: config.limits.client_takeovers_per_minute,
        shared_strategy: shared_strategy(config),
        subscribe_deadline_ms: config.cluster.lease_ms.saturating_mul(LEASES_PER_SUBSCRIBE),
        ..BrokerConfig::default()
    }
}

/// How members of shared subscriptions are chosen, by the publisher's node and by the member's.
pub(crate) fn shared_strategy(config: &Config) -> Strategy {
    match config.broker.shared_strategy {
        SharedStrategy::RoundRobin => Strategy::RoundRobin,
        SharedStrategy::Random => Strategy::Random,
        SharedStrategy::HashOfClient => Strategy::HashOfClient,
    }
}

/// A bound, or none for 0.
fn bound(most: u32) -> usize {
    if most == 0 { usize::MAX } else { most as usize }
}

/// Each partition's part of the bounds of retained messages. All nodes of a cluster should be given the same; what
/// counts is what a partition's leader has.
pub(crate) fn retained(config: &Config, partitions: u16) -> RetainedLimits {
    let part = |limit: u32| u64::from(limit).div_ceil(u64::from(partitions.max(1)));
    RetainedLimits { messages: part(config.limits.retained_messages), bytes: part(config.limits.retained_bytes) }
}

fn client_limits(config: &Config) -> Limits {
    let limits = &config.limits;
    let conformance = config.node.profile == Profile::Conformance;
    let defaults = Limits::default();
    Limits {
        connect_timeout_ms: u64::from(limits.connect_timeout_ms),
        keep_alive_max_s: if conformance {
            CONFORMANCE_KEEP_ALIVE_S
        } else {
            u16::try_from(limits.keep_alive_max_s).unwrap_or(u16::MAX)
        },
        session_expiry_max_s: limits.session_expiry_max_s,
        packet_bytes_max: if conformance {
            limits.packet_bytes_max.min(CONFORMANCE_PACKET_BYTES_MAX)
        } else {
            limits.packet_bytes_max
        },
        payload_bytes_max: limits.payload_bytes_max,
        topic_bytes_max: limits.topic_bytes_max as usize,
        topic_levels_max: limits.topic_levels_max as usize,
        client_id_bytes_max: limits.client_id_bytes_max as usize,
        receive_maximum: if conformance { CONFORMANCE_RECEIVE_MAXIMUM } else { defaults.receive_maximum },
        topic_alias_maximum: if conformance {
            CONFORMANCE_TOPIC_ALIAS_MAXIMUM
        } else {
            u16::try_from(limits.topic_alias_max).unwrap_or(u16::MAX)
        },
        client_inflight: NonZeroU16::new(u16::try_from(limits.client_inflight).unwrap_or(u16::MAX)),
    }
}

pub(crate) fn listeners(config: &Config, certificates: Option<Arc<Certificates>>) -> ListenerConfig {
    ListenerConfig {
        mqtt: config.listeners.mqtt,
        mqtts: config.listeners.mqtts,
        ws: config.listeners.ws,
        wss: config.listeners.wss,
        certificates,
        proxy_protocol: config.listeners.proxy_protocol,
        plain_names: config.node.profile == Profile::Conformance,
        reason_strings: config.node.profile != Profile::Conformance,
        limits: Arc::new(client_limits(config)),
        ..ListenerConfig::default()
    }
}

pub(crate) fn store(_config: &Config) -> StoreConfig {
    StoreConfig::default()
}

/// What this node says of itself to its seeds.
pub(crate) fn hello(config: &Config, directory: DirectoryId) -> Hello {
    Hello {
        name: NodeName(config.node.name.clone()),
        directory,
        addresses: addresses(config),
        seeds_hash: rollcall_cluster::formation::seeds_hash(&config.cluster.seeds),
        expect_nodes: u16::try_from(config.cluster.expect_nodes).unwrap_or(u16::MAX),
        cluster_name: config.cluster.name.clone(),
        partitions: config.cluster.partitions,
        replicas: u8::try_from(config.cluster.replicas).unwrap_or(u8::MAX),
        lease_ms: u32::try_from(config.cluster.lease_ms).unwrap_or(u32::MAX),
        formed: None,
    }
}

pub(crate) fn addresses(config: &Config) -> NodeAddresses {
    let host = &config.node.advertise_host;
    let at = |address: Option<SocketAddr>| address.map(|a| format!("{host}:{}", a.port()));
    NodeAddresses {
        mesh: mesh_address(config),
        mqtt: at(config.listeners.mqtt),
        http: at(config.listeners.http),
        admin: at(config.listeners.admin),
        zone: Some(config.node.zone.clone()).filter(|zone| !zone.is_empty()),
    }
}

fn mesh_address(config: &Config) -> String {
    format!("{}:{}", config.node.advertise_host, config.listeners.mesh.port())
}

/// What a new cluster starts with.
#[derive(Clone, Default)]
pub(crate) struct FirstAccounts {
    pub(crate) users: Vec<User>,
    pub(crate) policies: Vec<Policy>,
    /// Keys for SCRAM-SHA-256 by user name, where it is offered.
    pub(crate) scram_keys: Vec<(String, ScramKeys)>,
}

/// The accounts and policies a new cluster starts with. Without any user an `admin` is made, whose random password is
/// printed once.
pub(crate) async fn first_accounts(config: &Config) -> Result<FirstAccounts, StartError> {
    let mut named = Vec::new();
    for user in &config.auth.bootstrap_users {
        let password = user.password.as_ref().map(|p| p.reveal().to_owned()).ok_or_else(|| {
            StartError::Accounts(format!("user {:?} has no password; set `password` or `password_file`", user.username))
        })?;
        named.push((user.username.clone(), password, user.role));
    }
    if let Some(password) = &config.auth.admin_password {
        if !named.iter().any(|(name, ..)| name == "admin") {
            named.push(("admin".to_owned(), password.reveal().to_owned(), rollcall_contracts::Role::Admin));
        }
    } else if named.is_empty() && !config.auth.anonymous && config.node.profile != Profile::Conformance {
        let password = Secret::new(random_password());
        #[allow(clippy::print_stdout)]
        {
            println!("first start without users: made user `admin` with password {}", password.reveal());
        }
        named.push(("admin".to_owned(), password.reveal().to_owned(), rollcall_contracts::Role::Admin));
    }
    let with_scram = offers_scram(config);
    let made = tokio::task::spawn_blocking(move || {
        named
            .into_iter()
            .map(|(username, password, role)| {
                let hashed = hashed(&password, with_scram).map_err(|e| StartError::Accounts(e.to_string()))?;
                Ok((User { username, password_hash: hashed.hash, role: role_of(role) }, hashed.scram_keys))
            })
            .collect::<Result<Vec<_>, StartError>>()
    })
    .await
    .map_err(|e| StartError::Internal(e.to_string()))??;
    let policies = config.auth.bootstrap_policies.iter().map(policy).collect::<Result<Vec<_>, _>>()?;
    let (users, keys): (Vec<User>, Vec<_>) = made.into_iter().unzip();
    let named = users.iter().zip(keys).filter_map(|(user, keys)| Some((user.username.clone(), keys?)));
    let scram_keys = named.collect();
    Ok(FirstAccounts { users, policies, scram_keys })
}

fn random_password() -> String {
    use rand::Rng as _;
    const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789";
    let mut random = rand::rng();
    (0..20).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect()
}

fn role_of(role: rollcall_contracts::Role) -> rollcall_cluster::Role {
    match role {
        rollcall_contracts::Role::Client => rollcall_cluster::Role::Client,
        rollcall_contracts::Role::Viewer => rollcall_cluster::Role::Viewer,
        rollcall_contracts::Role::Operator => rollcall_cluster::Role::Operator,
        rollcall_contracts::Role::Admin => rollcall_cluster::Role::Admin,
    }
}

fn policy(policy: &crate::config::BootstrapPolicy) -> Result<Policy, StartError> {
    let retain = RetainCondition::try_from(policy.retain)
        .map_err(|e| StartError::Accounts(format!("policy {:?}: {e}", policy.name)))?;
    let policy = Policy {
        name: policy.name.clone(),
        effect: match policy.effect {
            PolicyEffect::Allow => Effect::Allow,
            PolicyEffect::Deny => Effect::Deny,
        },
        actions: policy.actions.iter().map(action).collect(),
        resources: policy.resources.clone(),
        client_id: policy.client_id.clone(),
        username: policy.username.clone(),
        ip: policy.ip.clone(),
        qos: policy.qos.clone(),
        retain,
    };
    policy.validate().map_err(|e| StartError::Accounts(format!("policy {:?}: {e}", policy.name)))?;
    Ok(policy)
}

fn action(action: &PolicyAction) -> Action {
    match action {
        PolicyAction::Connect => Action::Connect,
        PolicyAction::Pub => Action::Pub,
        PolicyAction::Sub => Action::Sub,
    }
}

fn read(path: &Path) -> Result<Vec<u8>, StartError> {
    fs::read(path).map_err(|e| StartError::Accounts(format!("{}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    #[test]
    fn a_share_shrinks_with_more_members_than_expected_and_never_turns_into_no_limit() {
        let mut config = Config::default();
        config.cluster.expect_nodes = 3;
        let per_second = |units| NonZeroU32::new(units).map(Share::PerSecond);
        assert_eq!(Some(share(12, &config, 0)), per_second(4), "before the cluster is known");
        assert_eq!(Some(share(12, &config, 2)), per_second(4));
        assert_eq!(Some(share(12, &config, 4)), per_second(3));
        assert_eq!(share(12, &config, 13), Share::NoGrant, "not a unit for each");
        assert_eq!(share(0, &config, 4), Share::Unlimited, "off");
    }

    #[test]
    fn limits_of_one_client_are_those_configured() {
        let mut config = Config::default();
        assert_eq!(client_limits(&config), Limits::default());
        assert_eq!(broker(&config), BrokerConfig { node_name: config.node.name.clone(), ..BrokerConfig::default() });
        config.limits.client_inflight = 3;
        config.limits.topic_alias_max = 4;
        let limits = client_limits(&config);
        assert_eq!((limits.client_inflight, limits.topic_alias_maximum), (NonZeroU16::new(3), 4));
        config.limits.client_queue_messages = 0;
        config.limits.client_queue_bytes = 5;
        config.limits.client_messages_per_second = 6;
        config.limits.client_takeovers_per_minute = 7;
        let limits = broker(&config);
        assert_eq!((limits.client_queue_messages, limits.client_queue_bytes), (usize::MAX, 5), "0 = off");
        assert_eq!((limits.client_messages_per_second, limits.client_takeovers_per_minute), (6, 7));
    }

    #[test]
    fn limits_that_are_counted_have_the_names_they_are_set_by() {
        for limit in rollcall_session::ClientLimit::ALL {
            let metric = format!("rollcall_quota_limited_total{{kind=\"{}\"}}", limit.name());
            let is_documented = rollcall_quota::LIMIT_KEYS.iter().any(|key| key.metric == metric);
            // What a client may have under way towards the broker is not set.
            assert_eq!(is_documented, limit != rollcall_session::ClientLimit::ReceiveMaximum, "{metric}");
        }
    }

    #[test]
    fn the_preset_sets_everything_that_follows_from_the_connections() {
        let mut config = Config::default();
        config.limits.preset = rollcall_quota::Preset::Tdmq;
        config.limits.connections = 30_000;
        config.cluster.expect_nodes = 3;
        assert_eq!(broker(&config).client_filters, 30);
        let rates = admission(&config);
        assert_eq!((rates.connects_per_second, rates.will_connects_per_second), (100, 33));
        assert_eq!((rates.subscribes_per_second, rates.unsubscribes_per_second), (100, 100));
        assert_eq!(level_shares(&config, 3), (10_000, 300_000));
        assert_eq!(level_shares(&config, 4), (7_500, 225_000));
        assert_eq!(level_shares(&Config::default(), 3), (usize::MAX, usize::MAX), "off");
    }

    #[test]
    fn the_conformance_profile_has_limits_that_suites_can_overrun() {
        let mut config = Config::default();
        let usual = client_limits(&config);
        assert_eq!((usual.packet_bytes_max, usual.receive_maximum), (1024 * 1024, 1024));
        config.node.profile = Profile::Conformance;
        let limits = client_limits(&config);
        assert_eq!((limits.packet_bytes_max, limits.receive_maximum), (65_000, 100));
        assert_eq!(limits.keep_alive_max_s, 60);
        assert_eq!(limits.topic_alias_maximum, 10);
        config.limits.packet_bytes_max = 1000;
        assert_eq!(client_limits(&config).packet_bytes_max, 1000, "a smaller one that was asked for stays");
    }
}
