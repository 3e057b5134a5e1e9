//! Users and policies as the cluster state on this node has them, compiled once for each change.

use arc_swap::ArcSwap;
use rollcall_admission::UserSource;
use rollcall_cluster::{ApiToken, CompiledBlocks, CompiledPolicies, Effect, ScramKeys, User};
use rollcall_contracts::certificate_id;
use rollcall_raft::Replication;
use rollcall_types::ClusterTime;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// [`UserSource`] over the replica of the cluster group; not available until there is one that is formed.
pub(crate) struct ReplicatedAccounts {
    replication: OnceLock<Arc<Replication>>,
    default_effect: Effect,
    compiled: ArcSwap<CompiledPolicies>,
    blocks: ArcSwap<CompiledBlocks>,
    /// Revision of the state that `compiled` was made of; 0 before the first.
    revision: AtomicU64,
}

impl ReplicatedAccounts {
    pub(crate) fn new(allow_by_default: bool) -> Self {
        let default_effect = if allow_by_default { Effect::Allow } else { Effect::Deny };
        ReplicatedAccounts {
            replication: OnceLock::new(),
            default_effect,
            compiled: ArcSwap::from_pointee(CompiledPolicies::new(&[], default_effect)),
            blocks: ArcSwap::default(),
            revision: AtomicU64::new(0),
        }
    }

    /// The groups run from now on.
    pub(crate) fn set(&self, replication: Arc<Replication>) {
        let _ = self.replication.set(replication);
        self.refresh();
    }

    /// Looks whether users, policies or block rules changed, and compiles them if so. Called after each change of the
    /// cluster state. True when they did.
    pub(crate) fn refresh(&self) -> bool {
        let Some(replication) = self.replication.get() else { return false };
        let applied = replication.groups().cluster().replica().read();
        // 0 stands for "not formed", so the revision is counted from 1 here.
        let revision = if applied.state.facts().is_some() { applied.state.access_revision() + 1 } else { 0 };
        if revision == self.revision.load(Ordering::SeqCst) {
            return false;
        }
        let compiled = CompiledPolicies::new(applied.state.policies(), self.default_effect);
        for (name, error) in compiled.problems() {
            tracing::error!(policy = %name, %error, "a stored policy cannot be used and denies what it names");
        }
        self.compiled.store(Arc::new(compiled));
        self.blocks.store(Arc::new(CompiledBlocks::new(applied.state.access().block_rules().values())));
        self.revision.store(revision, Ordering::SeqCst);
        true
    }
}

impl UserSource for ReplicatedAccounts {
    fn user(&self, username: &str) -> Option<User> {
        let replication = self.replication.get()?;
        replication.groups().cluster().replica().read().state.user(username).cloned()
    }

    fn version(&self) -> u64 {
        self.revision.load(Ordering::SeqCst)
    }

    fn policies(&self) -> Arc<CompiledPolicies> {
        self.compiled.load_full()
    }

    fn blocks(&self) -> Arc<CompiledBlocks> {
        self.blocks.load_full()
    }

    fn scram_keys(&self, username: &str) -> Option<ScramKeys> {
        let replication = self.replication.get()?;
        replication.groups().cluster().replica().read().state.access().scram_keys(username).cloned()
    }

    fn certificate_counts(&self, fingerprint: &[u8]) -> bool {
        let Some(replication) = self.replication.get() else { return false };
        let id = certificate_id(fingerprint);
        replication.groups().cluster().replica().read().state.access().certificate_counts(&id)
    }

    fn token(&self, id: &str) -> Option<ApiToken> {
        let replication = self.replication.get()?;
        replication.groups().cluster().replica().read().state.access().tokens().get(id).cloned()
    }

    fn now(&self) -> ClusterTime {
        self.replication.get().map(|replication| replication.groups().cluster().replica().now()).unwrap_or_default()
    }

    fn is_available(&self) -> bool {
        self.revision.load(Ordering::SeqCst) != 0
    }
}
