//! What the management API reads and changes of users, policies, block rules and tokens, over the cluster group.

use async_trait::async_trait;
use rand::Rng as _;
use rollcall_admission::{HashError, derive_scram_keys, hash_password, issue_token};
use rollcall_cluster::{Actor, ClusterChange, ClusterOutcome, ClusterState, Managed};
use rollcall_contracts::{AccessControl, AskedChange, ChangeUnavailable, HashedPassword, IssuedToken};
use rollcall_raft::Replication;
use rollcall_types::ClusterTime;
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::time::timeout;

/// Longest wait for the cluster group to decide.
const CHANGE_WITHIN: Duration = Duration::from_secs(3);
/// Longest wait until this node knows of a change that was made; it is made either way.
const KNOWN_WITHIN: Duration = Duration::from_secs(2);

/// [`AccessControl`] over the replica of the cluster group, once there is one.
pub(crate) struct ReplicatedAccess {
    node: String,
    /// Passwords get keys for SCRAM-SHA-256.
    with_scram: bool,
    replication: OnceLock<Arc<Replication>>,
}

impl ReplicatedAccess {
    /// Of the node of this name.
    pub(crate) fn new(node: String, with_scram: bool) -> Self {
        ReplicatedAccess { node, with_scram, replication: OnceLock::new() }
    }

    /// The groups run from now on.
    pub(crate) fn set(&self, replication: Arc<Replication>) {
        let _ = self.replication.set(replication);
    }
}

/// Has a change made in somebody's name, and waits until this node knows of it.
pub(crate) async fn manage(
    replication: &Arc<Replication>,
    node: &str,
    asked: AskedChange,
    within: Duration,
) -> Result<ClusterOutcome, ChangeUnavailable> {
    let request = rand::rng().random();
    let by = Actor { name: asked.by, source: asked.source, node: node.to_owned() };
    let managed = Managed { by, request, only_if: asked.only_if, change: asked.change };
    let change = ClusterChange::Manage(Box::new(managed));
    let outcome = replication.cluster().change(&change, within).await.map_err(|_| ChangeUnavailable)?;
    if outcome == ClusterOutcome::Done {
        let replica = replication.groups().cluster().replica();
        let mut watch = replica.watch();
        let is_known = || replica.read().state.access().audit().iter().rev().any(|record| record.request == request);
        let known = async { while !is_known() && watch.changed().await.is_ok() {} };
        let _known = timeout(KNOWN_WITHIN, known).await;
    }
    Ok(outcome)
}

/// What is stored of a password. Takes tens of milliseconds: not for an async thread.
pub(crate) fn hashed(password: &str, with_scram: bool) -> Result<HashedPassword, HashError> {
    let hash = hash_password(password.as_bytes())?;
    Ok(HashedPassword { hash, scram_keys: with_scram.then(|| derive_scram_keys(password)) })
}

#[async_trait]
impl AccessControl for ReplicatedAccess {
    fn look(&self, look: &mut dyn FnMut(&ClusterState)) -> bool {
        let Some(replication) = self.replication.get() else { return false };
        let applied = replication.groups().cluster().replica().read();
        let is_formed = applied.state.facts().is_some();
        if is_formed {
            look(&applied.state);
        }
        is_formed
    }

    fn now(&self) -> ClusterTime {
        self.replication.get().map(|replication| replication.groups().cluster().replica().now()).unwrap_or_default()
    }

    async fn change(&self, asked: AskedChange) -> Result<ClusterOutcome, ChangeUnavailable> {
        let replication = self.replication.get().ok_or(ChangeUnavailable)?;
        manage(replication, &self.node, asked, CHANGE_WITHIN).await
    }

    async fn hash_password(&self, password: String) -> Result<HashedPassword, ChangeUnavailable> {
        let with_scram = self.with_scram;
        let hashed = tokio::task::spawn_blocking(move || hashed(&password, with_scram)).await;
        hashed.ok().and_then(Result::ok).ok_or(ChangeUnavailable)
    }

    fn issue_token(&self) -> IssuedToken {
        issue_token()
    }
}
