//! Why a node does not start.

/// What ends a start; each sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error("{0}")]
    Config(#[from] crate::config::ConfigError),
    /// The data directory cannot be used.
    #[error("{0}")]
    Directory(#[from] rollcall_storage::DirectoryError),
    /// The store cannot be used.
    #[error("{0}")]
    Store(#[from] rollcall_storage::StoreError),
    /// A listener or the links between nodes cannot start.
    #[error("{0}")]
    Mesh(#[from] rollcall_mesh::MeshError),
    /// A group does not start.
    #[error("{0}")]
    Group(#[from] rollcall_raft::GroupError),
    /// The HTTP listeners do not start.
    #[error("{0}")]
    Gateway(#[from] rollcall_http_gateway::GatewayError),
    /// The certificates of the listeners cannot be used.
    #[error("listeners.tls: {0}")]
    Certificates(#[from] rollcall_tls::LoadError),
    /// The seeds disagree with this node.
    #[error("{0}")]
    Formation(String),
    /// Accounts of the configuration cannot be used.
    #[error("{0}")]
    Accounts(String),
    /// A listener's address is not one.
    #[error("{key}: {value:?} is no address to listen on; write host:port, e.g. 127.0.0.1:1883")]
    Address {
        /// Which key.
        key: &'static str,
        /// What it says.
        value: String,
    },
    /// The cluster counts this node no more.
    #[error(
        "this node has left the cluster, or was replaced by another of its name: remove its data_dir if it is to join \
         again"
    )]
    Departed,
    /// The node was told to stop while it started.
    #[error("stopped while starting")]
    Stopped,
    /// A fault of the program.
    #[error("{0}")]
    Internal(String),
}
