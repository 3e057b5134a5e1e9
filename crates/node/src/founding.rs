//! Making the groups of a new cluster, and its first command.

use crate::{
    access_control::manage,
    config::Config,
    errors::StartError,
    settings::{self, FirstAccounts},
};
use rollcall_cluster::{ClusterChange, ClusterOutcome, Condition, Founding, ManagedChange, PasswordHash, planner};
use rollcall_contracts::AskedChange;
use rollcall_raft::{Replication, Topology};
use rollcall_types::{GroupId, NodeId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// How long other founders are left the first word on a group before this node makes it, too.
const INITIALIZE_AFTER: Duration = Duration::from_millis(1500);
/// Longest wait for one proposal of the founding before it is made again.
const FORM_WITHIN: Duration = Duration::from_secs(2);
/// Longest wait until the keys of one of the first users are stored.
const KEYS_WITHIN: Duration = Duration::from_secs(3);
/// Longest wait between two looks at whether the cluster is founded.
const FOUNDED_EVERY: Duration = Duration::from_millis(50);

/// Makes the groups, where nobody has yet, and proposes the founding until the cluster is formed. A node that joined
/// makes nothing: it waits until it knows the cluster.
pub(crate) async fn found(
    config: &Config,
    me: NodeId,
    founding: &Founding,
    replication: &Arc<Replication>,
) -> Result<(), StartError> {
    let topology = &topology(founding);
    let founder = is_founder(founding, me);
    let groups = replication.groups();
    let initialize = async |mine_only: bool| {
        for handle in groups.handles() {
            let replicas = replicas_of(topology, handle.id());
            let first = match handle.id().as_partition() {
                None => topology.cluster_voters.first().copied(),
                Some(p) => topology.placement.get(&p).and_then(|r| r.first().copied()),
            };
            if replicas.contains(&me)
                && (!mine_only || first == Some(me))
                && let Err(error) = handle.initialize(&replicas).await
            {
                tracing::warn!(group = %handle.id(), %error, "the group is not made yet");
            }
        }
    };
    // Its preferred leader makes a group first; the others only if that takes too long.
    if founder {
        initialize(true).await;
    }
    let late = tokio::time::Instant::now() + INITIALIZE_AFTER;
    let mut accounts = None;
    while !is_founded(me, founder, topology, replication).await {
        if founder && tokio::time::Instant::now() >= late {
            initialize(false).await;
        }
        let unformed = groups.cluster().replica().read().state.facts().is_none();
        if unformed && groups.cluster().handle().is_leader() {
            // Hashes are dear, so only whoever proposes them computes them.
            if accounts.is_none() {
                accounts = Some(settings::first_accounts(config).await?);
            }
            let FirstAccounts { users, policies, .. } = accounts.clone().unwrap_or_default();
            let change = ClusterChange::Form(Box::new(Founding { users, policies, ..founding.clone() }));
            match replication.cluster().change(&change, FORM_WITHIN).await {
                Ok(ClusterOutcome::Formed | ClusterOutcome::AlreadyFormed { .. }) => {}
                Ok(other) => return Err(StartError::Formation(format!("the cluster was not formed: {other:?}"))),
                Err(error) => tracing::info!(%error, "the founding is not committed yet"),
            }
        }
        let mut watch = groups.cluster().replica().watch();
        let _ = tokio::time::timeout(FOUNDED_EVERY, watch.changed()).await;
    }
    first_keys(config, accounts.unwrap_or_default(), replication).await;
    Ok(())
}

/// The keys of the first users follow the founding, which has no place for them. Another founder's founding may have been
/// the one that counted: then these are keys of no user's password, and refused.
async fn first_keys(config: &Config, accounts: FirstAccounts, replication: &Arc<Replication>) {
    for (username, keys) in accounts.scram_keys {
        let Some(user) = accounts.users.iter().find(|user| user.username == username) else { continue };
        let password_hash = PasswordHash(user.password_hash.clone());
        let asked = AskedChange {
            by: "founding".to_owned(),
            source: String::new(),
            only_if: Condition::Always,
            change: ManagedChange::SetScramKeys { username, password_hash, keys },
        };
        if manage(replication, &config.node.name, asked, KEYS_WITHIN).await.is_err() {
            tracing::warn!("a first user has no keys for SCRAM-SHA-256: set its password again");
        }
    }
}

/// Whether the cluster is formed and every group that this node votes in has been made.
async fn is_founded(me: NodeId, founder: bool, topology: &Topology, replication: &Replication) -> bool {
    if replication.groups().cluster().replica().read().state.facts().is_none() {
        return false;
    }
    for handle in replication.groups().handles() {
        if founder && replicas_of(topology, handle.id()).contains(&me) && !handle.is_initialized().await {
            return false;
        }
    }
    true
}

fn replicas_of(topology: &Topology, group: GroupId) -> BTreeSet<NodeId> {
    match group.as_partition() {
        None => topology.cluster_voters.clone(),
        Some(partition) => topology.placement.get(&partition).into_iter().flatten().copied().collect(),
    }
}

/// Whether the node was there when the cluster was founded, or joined later: then it is not among the members that
/// its beginning names.
pub(crate) fn is_founder(founding: &Founding, me: NodeId) -> bool {
    founding.members.iter().any(|member| member.id == me)
}

/// What is known of the replicas before the cluster state says it.
pub(crate) fn topology(founding: &Founding) -> Topology {
    let ids: Vec<NodeId> = founding.members.iter().map(|m| m.id).collect();
    Topology {
        partitions: founding.partitions,
        cluster_voters: planner::cluster_group_voters(&ids, &[]),
        placement: founding.placement.clone(),
        former: BTreeMap::new(),
        names: founding.members.iter().map(|m| (m.id, m.name.clone())).collect(),
    }
}
