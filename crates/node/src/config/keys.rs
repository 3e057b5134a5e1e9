//! Every key there is: its path, what kind of value it takes, and what it means in a sentence. The example file and
//! the reference page are generated from this table and the defaults of the structs.
//!
//! `[]` in a path stands for any place in a list of tables. Not here: relations between keys (`validate.rs`).

use super::{
    listeners::OFF,
    nearest::{nearest, suggestion},
};
use std::net::SocketAddr;
use toml::Value;

/// What kind of value a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Text that is never shown.
    Secret,
    /// A path; a relative one starts at the working directory.
    Path,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of these words.
    ChoiceList(&'static [&'static str]),
    /// A whole number from 0 to this.
    Integer(u64),
    /// A list of whole numbers from 0 to this.
    IntegerList(u64),
    /// `true` or `false`.
    Boolean,
    /// A socket address.
    Address,
    /// A socket address, or `off`.
    Listener,
    /// A list of texts.
    TextList,
    /// A list of tables, whose keys follow.
    Tables,
}

/// One key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Section, then key, joined by dots.
    pub path: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it means.
    pub meaning: &'static str,
}

const U16: Kind = Kind::Integer(u16::MAX as u64);
const U32: Kind = Kind::Integer(u32::MAX as u64);
/// TOML numbers are signed and 64 bits wide.
const U63: Kind = Kind::Integer(i64::MAX as u64);
const ROLE: Kind = Kind::Choice(&["admin", "operator", "viewer", "client"]);
const STRATEGY: Kind = Kind::Choice(&["round_robin", "random", "hash_of_client"]);
const AUTHENTICATORS: Kind = Kind::ChoiceList(&["users", "jwt", "jwks", "scram", "http", "x509"]);
const TOKEN_FROM: Kind = Kind::Choice(&["password", "username"]);
const EFFECT: Kind = Kind::Choice(&["allow", "deny"]);

const fn key(path: &'static str, kind: Kind, meaning: &'static str) -> Key {
    Key { path, kind, meaning }
}

/// Every key, in the order of the example file.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("node.name", Kind::Text, "Stable and unique in the cluster, e.g. the pod name: 1 to 64 of A-Z a-z 0-9 . _ - and first a letter or digit."),
    key("node.data_dir", Kind::Path, "Where this node keeps its logs and snapshots. A directory belongs to one node of one cluster."),
    key("node.advertise_host", Kind::Text, "The host name or address under which other nodes and clients reach this node, without a port; resolved again at every dial."),
    key("node.zone", Kind::Text, "The failure domain this node stands in, e.g. the cloud's zone: replicas are spread over zones. Empty: a domain of its own."),
    key("node.profile", Kind::Choice(&["default", "conformance"]), "`conformance` sets what outside MQTT test suites expect: any credentials or none are accepted and policies do not apply. Loopback only."),

    key("cluster.name", Kind::Text, "The same on all nodes of a cluster; same characters as node.name."),
    key("cluster.seeds", Kind::TextList, "Mesh addresses (`host:port`) of the nodes asked at the first start."),
    key("cluster.expect_nodes", U32, "How many nodes form the cluster when it is first made."),
    key("cluster.partitions", U16, "How many partitions the client-id space has, 1 to 1024; fixed when the cluster is first made."),
    key("cluster.replicas", U32, "How many nodes hold a copy of each partition, 1 to 7; fewer as long as there are fewer nodes."),
    key("cluster.lease_ms", U63, "How long a node may serve clients after its last acknowledged heartbeat, 1000 to 600000. A dead node's clients are offline within this and 1 s."),
    key("cluster.status_deadline_ms", U63, "How long a status query may take before it ends in 503; at least 10 and less than lease_ms."),
    key("cluster.offline_record_keep_s", U63, "How long the record of an offline client without a session is kept; at least lease_ms."),
    key("cluster.secret", Kind::Secret, "Proved by challenge between nodes, never sent; it authenticates and does not encrypt. Needed off loopback unless cluster.tls is set."),
    key("cluster.secret_file", Kind::Path, "A file that holds the secret instead."),
    key("cluster.tls.ca_file", Kind::Path, "Mutual TLS between nodes: PEM file with the authorities that sign the nodes' certificates."),
    key("cluster.tls.cert_file", Kind::Path, "Mutual TLS between nodes: PEM file with this node's certificate chain."),
    key("cluster.tls.key_file", Kind::Path, "Mutual TLS between nodes: PEM file with this node's private key."),

    key("listeners.mqtt", Kind::Listener, "MQTT over TCP."),
    key("listeners.mqtts", Kind::Listener, "MQTT over TLS."),
    key("listeners.ws", Kind::Listener, "MQTT over WebSocket, path `/mqtt`."),
    key("listeners.wss", Kind::Listener, "MQTT over WebSocket over TLS, path `/mqtt`."),
    key("listeners.http", Kind::Listener, "The HTTP data plane: the status query."),
    key("listeners.https", Kind::Listener, "The HTTP data plane over TLS."),
    key("listeners.admin", Kind::Listener, "Management, metrics and health."),
    key("listeners.mesh", Kind::Address, "Traffic between nodes."),
    key("listeners.proxy_protocol", Kind::Boolean, "Whether a PROXY protocol header (version 1 or 2) comes first on the MQTT listeners (mqtt, mqtts, ws, wss). Only a balancer may then reach them."),
    key("listeners.tls", Kind::Tables, "Certificates for mqtts, wss and https, chosen by server name, reloaded when their files change."),
    key("listeners.tls[].cert_file", Kind::Path, "PEM file with the certificate chain."),
    key("listeners.tls[].key_file", Kind::Path, "PEM file with its private key."),
    key("listeners.tls[].server_names", Kind::TextList, "Names that clients ask for (SNI); empty for the certificate shown when no other matches."),
    key("listeners.tls[].client_ca_file", Kind::Path, "PEM file with authorities; when set, clients of these names must show a certificate that one of them signed."),

    key("listeners.tls[].client_ca_registered", Kind::Boolean, "Whether the authorities that are registered in the management API count as well."),
    key("listeners.tls[].client_certificate_optional", Kind::Boolean, "Whether clients of these names may show none and prove themselves otherwise."),

    key("limits.preset", Kind::Choice(&["none", "tdmq"]), "`tdmq` derives the numbers of Tencent Cloud's TDMQ MQTT edition from limits.connections, where they are not set here."),
    key("limits.messages_per_second", U32, "The instance's quota, whole cluster: messages in and out, and queries. Off, or at least one for each node."),
    key("limits.burst_percent", U32, "How much above messages_per_second one second may go, 0 to 1000."),
    key("limits.connections", U32, "Connections, whole cluster; each node takes an equal part, and refuses more with 0x97."),
    key("limits.subscriptions", U32, "Subscriptions, whole cluster; each node takes an equal part, and refuses more with 0x97."),
    key("limits.connects_per_second", U32, "CONNECT packets, whole cluster; each node takes an equal part, and refuses more with 0x9F."),
    key("limits.subscribes_per_second", U32, "SUBSCRIBE packets, whole cluster; each node takes an equal part, and refuses all filters of more with 0x97."),
    key("limits.unsubscribes_per_second", U32, "UNSUBSCRIBE packets, whole cluster; each node takes an equal part. More are refused with 0x83, and a client of MQTT 3 is not read from until there is room."),
    key("limits.will_connects_per_second", U32, "CONNECT packets that carry a will, whole cluster; each node takes an equal part, and refuses more with 0x9F."),
    key("limits.client_messages_per_second", U32, "Messages one client publishes in a second; beyond it those of QoS 0 are dropped, those of QoS 1 and 2 answered with 0x97, and a client of MQTT 3 is not read from."),
    key("limits.client_filters", U32, "Topic filters of one client."),
    key("limits.client_queue_messages", U32, "Messages queued for one client."),
    key("limits.client_queue_bytes", U32, "Bytes of the messages queued for one client."),
    key("limits.client_inflight", U32, "Unacknowledged messages to one client, at most 65535, beside its Receive Maximum. 0: 16 with MQTT 3, with MQTT 5 the Receive Maximum alone."),
    key("limits.client_connects_per_minute", U32, "Connects of one client id."),
    key("limits.client_takeovers_per_minute", U32, "Takeovers of one client id by connections of one node; beyond it the id has to wait, and its connection stays."),
    key("limits.session_expiry_max_s", U32, "Longest session expiry."),
    key("limits.keep_alive_max_s", U32, "Longest keep-alive, at most 65535."),
    key("limits.packet_bytes_max", U32, "Largest MQTT packet, 128 to 268435460 (not 0)."),
    key("limits.payload_bytes_max", U32, "Largest payload of a publish; at most packet_bytes_max."),
    key("limits.topic_bytes_max", U32, "Longest topic or filter, 1 to 65535 (not 0)."),
    key("limits.topic_levels_max", U32, "Most levels of a topic or filter, at least 1 (not 0)."),
    key("limits.client_id_bytes_max", U32, "Longest client id, 23 to 65535 (not 0)."),
    key("limits.topic_alias_max", U32, "Topic aliases one client of MQTT 5 may use, at most 65535."),
    key("limits.connect_timeout_ms", U32, "From the TCP connection to the complete CONNECT, at least 100 (not 0)."),
    key("limits.auth_failures_per_minute", U32, "Failed authentications from one source address, HTTP and MQTT."),
    key("limits.retained_messages", U32, "Topics with a retained message, whole cluster; each partition has an equal part."),
    key("limits.retained_bytes", U32, "Bytes of retained messages, their topics and properties, whole cluster; each partition has an equal part."),
    key("limits.event_streams", U32, "Streams of presence events open at a time, each node."),

    key("broker.shared_strategy", STRATEGY, "Which member of a shared subscription gets a message, on whichever node it is: one after the other, one by chance, or always the same one for a publishing client as long as the members are the same. The same on all nodes."),

    key("auth.anonymous", Kind::Boolean, "Whether clients without credentials are let in. Loopback only."),
    key("auth.authenticators", AUTHENTICATORS, "What checks the credentials of MQTT clients, asked in this order: the first that knows them decides. `scram` is asked by clients that name it (MQTT 5), wherever it stands. Those of HTTP requests are checked against users."),
    key("auth.policy_default_effect", EFFECT, "What holds when no policy matches."),
    key("auth.bind_account", Kind::Boolean, "Whether taking over a client id that another account holds is refused."),
    key("auth.bind_client_id", Kind::Choice(&["free", "username", "common_name"]), "What a client id must be: anything, the user name, or the common name of the client's certificate. Others may not connect."),
    key("auth.bootstrap_users", Kind::Tables, "Accounts made once, when the cluster is first formed."),
    key("auth.bootstrap_users[].username", Kind::Text, "1 to 256 bytes, no colon, no control characters."),
    key("auth.bootstrap_users[].password", Kind::Secret, "The password, or else:"),
    key("auth.bootstrap_users[].password_file", Kind::Path, "A file that holds the password."),
    key("auth.bootstrap_users[].role", ROLE, "What the account may do on the management API; `client` is for devices and back ends."),
    key("auth.bootstrap_policies", Kind::Tables, "Policies made once, when the cluster is first formed; the first match wins. Without any, `default_policy` lets every account connect, publish and subscribe, `$events/#` and `$SYS/#` excepted."),
    key("auth.bootstrap_policies[].name", Kind::Text, "Unique; same characters as node.name."),
    key("auth.bootstrap_policies[].effect", EFFECT, "What it does with what it matches."),
    key("auth.bootstrap_policies[].actions", Kind::ChoiceList(&["connect", "pub", "sub"]), "What it is about; at least one."),
    key("auth.bootstrap_policies[].resources", Kind::TextList, "Topic patterns with `*`, for `pub` and `sub`."),
    key("auth.bootstrap_policies[].client_id", Kind::Text, "Pattern of client ids with `*`; absent: any."),
    key("auth.bootstrap_policies[].username", Kind::Text, "Pattern of user names with `*`; absent: any."),
    key("auth.bootstrap_policies[].ip", Kind::Text, "Address or CIDR block of the client; absent: any."),
    key("auth.bootstrap_policies[].qos", Kind::IntegerList(2), "Levels of QoS it is about."),
    key("auth.bootstrap_policies[].retain", Kind::Integer(3), "1: retained messages only, 2: others only, 3: both."),

    key("auth.jwt.algorithm", Kind::Choice(&["hmac", "public_key"]), "How tokens are signed: `hmac` with a secret (HS256, HS384, HS512), `public_key` with a key of RSA (RS256 to PS512), P-256 or P-384 (ES256, ES384) or Ed25519 (EdDSA)."),
    key("auth.jwt.secret", Kind::Secret, "The secret of `hmac`, at least 32 bytes."),
    key("auth.jwt.secret_file", Kind::Path, "A file that holds the secret instead."),
    key("auth.jwt.secret_base64", Kind::Boolean, "Whether the secret is written in Base64."),
    key("auth.jwt.public_key_file", Kind::Path, "PEM file with the public key of `public_key`."),
    key("auth.jwt.from", TOKEN_FROM, "Which field of CONNECT holds the token."),
    key("auth.jwt.claims", Kind::TextList, "What tokens must say, each as `name=value`; a value may have `${ClientId}` and `${Username}` in it."),
    key("auth.jwt.username_claim", Kind::Text, "The claim that is the account's name. Tokens without it are refused, unless a claim that must be `${Username}` proves the user name. Empty: CONNECT's user name is taken as it is, unproved."),
    key("auth.jwt.acl_claim", Kind::Text, "The claim with rules of the connection's own, asked before the policies; empty for none."),
    key("auth.jwt.leeway_s", Kind::Integer(300), "How far the clocks of issuer and node may differ, 0 to 300."),
    key("auth.jwks.url", Kind::Text, "Where the key set (RFC 7517) is fetched; the last good one stays in force when a fetch fails."),
    key("auth.jwks.inline", Kind::Text, "The key set itself, instead of a URL."),
    key("auth.jwks.refresh_s", Kind::Integer(1_000), "How often it is fetched, 60 to 1000; a token of an unknown key has it fetched before, at most once in 10 s."),
    key("auth.jwks.ca_file", Kind::Path, "PEM file with the authorities that may have signed the server's certificate; the public ones when not set."),
    key("auth.jwks.from", TOKEN_FROM, "As in auth.jwt."),
    key("auth.jwks.claims", Kind::TextList, "As in auth.jwt."),
    key("auth.jwks.username_claim", Kind::Text, "As in auth.jwt; not empty where the token is the user name."),
    key("auth.jwks.acl_claim", Kind::Text, "As in auth.jwt."),
    key("auth.jwks.leeway_s", Kind::Integer(300), "As in auth.jwt."),

    key("auth.http.method", Kind::Choice(&["post", "get"]), "How the service is asked; with `get` the fields of the body are in the query."),
    key("auth.http.url", Kind::Text, "Where it is asked; `${ClientId}`, `${Username}`, `${Password}`, `${PeerHost}`, `${Certificate.CommonName}` and `${Certificate.SerialNumber}` may stand behind the host."),
    key("auth.http.ca_file", Kind::Path, "As in auth.jwks."),
    key("auth.http.headers", Kind::TextList, "Headers, each as `name=value`, with the same placeholders."),
    key("auth.http.body_format", Kind::Choice(&["json", "form"]), "How the body is written."),
    key("auth.http.body", Kind::TextList, "Fields of the body, each as `name=value`, with the same placeholders; one that a client has nothing for is left out."),
    key("auth.http.connect_timeout_s", Kind::Integer(30), "Longest time to connect, 1 to 30."),
    key("auth.http.read_timeout_s", Kind::Integer(30), "Longest time for the answer, 1 to 30."),
    key("auth.http.requests_max", Kind::Integer(1_000), "Requests under way at a time, 1 to 1000; more wait their turn."),
    key("auth.http.when_down", Kind::Choice(&["refuse", "ignore"]), "What holds while the service breaks (5xx), is silent, out of reach or talks nonsense: clients are told to come back, or the next authenticator is asked."),

    key("auth.x509.username_from", Kind::Choice(&["common_name", "distinguished_name", "alternative_name"]), "Which part of a client's certificate is the account's name."),
    key("auth.x509.devices", Kind::Choice(&["any", "registered", "just_in_time", "just_in_time_active"]), "Which certificates count: any that an authority of the listener signed; or those that are registered and active (management API); or these, while others of a registered authority are registered at their first connect, and wait to be activated or are active at once."),

    key("telemetry.log_format", Kind::Choice(&["text", "json"]), "How a log line looks."),
    key("telemetry.log_level", Kind::Text, "A level, or directives such as `info,rollcall_raft=debug`."),
    key("telemetry.otlp_endpoint", Kind::Text, "Where traces go (OTLP); empty is nowhere."),
    key("telemetry.sys_interval_s", U32, "How often the values under `$SYS/broker/` are sent to those who subscribe to them; 0 = only at subscribe time."),
];

/// The key with this path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether keys begin with this path and a dot.
pub(super) fn is_table(path: &str) -> bool {
    KEYS.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// The known path nearest to one that is not known: the same name in another section, or a similar name in the same
/// section, or whatever is least far.
pub(super) fn nearest_path(unknown: &str) -> Option<&'static str> {
    let paths = || KEYS.iter().map(|key| key.path);
    let (section, name) = unknown.rsplit_once('.').unwrap_or(("", unknown));
    let name_of = |path: &'static str| path.rsplit_once('.').map_or(path, |(_, name)| name);
    if let Some(elsewhere) = paths().find(|path| name_of(path) == name) {
        return Some(elsewhere);
    }
    let beside = || paths().filter(|path| path.rsplit_once('.').is_some_and(|(parent, _)| parent == section));
    if let Some(similar) = nearest(name, beside().map(name_of)) {
        return beside().find(|path| name_of(path) == similar);
    }
    nearest(unknown, paths())
}

/// Whether a value is of the key's kind; the sentence names the place as the user wrote it.
pub(super) fn check(key: &Key, place: &str, value: &Value) -> Result<(), String> {
    match (key.kind, value) {
        (Kind::Text | Kind::Secret | Kind::Path, Value::String(_)) | (Kind::Boolean, Value::Boolean(_)) => Ok(()),
        (Kind::Choice(words), Value::String(word)) => one_of(words, place, word),
        (Kind::ChoiceList(words), Value::Array(items)) => {
            items.iter().enumerate().try_for_each(|(index, item)| match item {
                Value::String(word) => one_of(words, &format!("{place}[{index}]"), word),
                _ => Err(wrong_kind(key, place)),
            })
        }
        (Kind::Integer(max), Value::Integer(number)) => in_range(place, *number, max),
        (Kind::IntegerList(max), Value::Array(items)) => items.iter().try_for_each(|item| match item {
            Value::Integer(number) => in_range(place, *number, max),
            _ => Err(wrong_kind(key, place)),
        }),
        (Kind::TextList, Value::Array(items)) if items.iter().all(Value::is_str) => Ok(()),
        (Kind::Listener, Value::String(text)) if text == OFF => Ok(()),
        (Kind::Listener | Kind::Address, Value::String(text)) if text.parse::<SocketAddr>().is_ok() => Ok(()),
        _ => Err(wrong_kind(key, place)),
    }
}

fn one_of(words: &[&'static str], place: &str, word: &str) -> Result<(), String> {
    if words.contains(&word) {
        return Ok(());
    }
    let known = words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" or ");
    Err(format!("{place} must be {known}, not {word:?}{}", suggestion(word, words.iter().copied())))
}

fn in_range(place: &str, number: i64, max: u64) -> Result<(), String> {
    match u64::try_from(number) {
        Ok(number) if number <= max => Ok(()),
        _ => Err(format!("{place} must be a whole number from 0 to {max}, not {number}")),
    }
}

fn wrong_kind(key: &Key, place: &str) -> String {
    let expected = match key.kind {
        Kind::Text | Kind::Secret => "a text in quotes",
        Kind::Path => "a path in quotes",
        Kind::Choice(_) => "a word in quotes",
        Kind::ChoiceList(_) => "a list of words in quotes",
        Kind::Integer(_) => "a whole number",
        Kind::IntegerList(_) => "a list of whole numbers",
        Kind::Boolean => "true or false",
        Kind::Address => "an IP address with a port, such as \"127.0.0.1:7400\" or \"[::1]:7400\"",
        Kind::Listener => "an IP address with a port, such as \"127.0.0.1:1883\" or \"[::1]:1883\", or \"off\"",
        Kind::TextList => "a list of texts in quotes",
        Kind::Tables => "a list of tables",
    };
    format!("{place} must be {expected}")
}
