//! `[cluster]`: what all nodes of one cluster agree on, and how they prove to each other that they belong to it.

use super::Secret;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `[cluster]`: the cluster this node belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// The same on all nodes; a node of another cluster is refused.
    pub name: String,
    /// Mesh addresses (`host:port`) asked at the first start; host names are resolved again at every dial.
    pub seeds: Vec<String>,
    /// How many nodes form the cluster when it is first made.
    pub expect_nodes: u32,
    /// How many partitions the client-id space has; fixed when the cluster is first made.
    pub partitions: u16,
    /// How many nodes hold a copy of each partition, once there are that many.
    pub replicas: u32,
    /// How long a node may serve clients after its last acknowledged heartbeat, in milliseconds.
    pub lease_ms: u64,
    /// How long a status query may take before it ends in 503, in milliseconds.
    pub status_deadline_ms: u64,
    /// How long the record of an offline client without a session is kept, in seconds.
    pub offline_record_keep_s: u64,
    /// Proved by challenge between nodes, never sent. It authenticates and does not encrypt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// A file that holds the secret instead; its content is in `secret` once the configuration is loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// Mutual TLS between nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<MeshTls>,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        ClusterConfig {
            name: "rollcall".to_owned(),
            seeds: Vec::new(),
            expect_nodes: 1,
            partitions: 6,
            replicas: 3,
            lease_ms: 5_000,
            status_deadline_ms: 1_000,
            offline_record_keep_s: 604_800,
            secret: None,
            secret_file: None,
            tls: None,
        }
    }
}

/// `[cluster.tls]`: PEM files for mutual TLS between nodes. All three are needed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MeshTls {
    /// Certificates of the authorities that sign the nodes' certificates.
    pub ca_file: PathBuf,
    /// This node's certificate chain.
    pub cert_file: PathBuf,
    /// This node's private key.
    pub key_file: PathBuf,
}
