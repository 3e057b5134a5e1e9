//! How this node learns who it is: from its data directory, or by founding a cluster with its seeds, or from seeds
//! that have founded one with it.

use crate::errors::StartError;
use arc_swap::ArcSwap;
use futures_util::future::join_all;
use rollcall_cluster::{Formation, Founding, FoundingPlan, Hello, SeedAnswer, formation};
use rollcall_mesh::{HelloSource, Mesh};
use rollcall_raft::payload;
use rollcall_storage::{ClusterId, DataDirectory};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Pause between two rounds of asking the seeds.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// One seed's answer is waited for this long.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// The reason for waiting is logged again after this many rounds.
const SAY_WHY_EVERY: u32 = 50;

/// What this node tells whoever asks, before and after it belongs to a cluster.
#[derive(Default)]
pub(crate) struct Greeting {
    bytes: ArcSwap<Vec<u8>>,
}

impl Greeting {
    pub(crate) fn set(&self, hello: &Hello) -> Result<(), StartError> {
        let bytes = payload::encode(hello).map_err(|e| StartError::Internal(e.to_string()))?;
        self.bytes.store(Arc::new(bytes));
        Ok(())
    }
}

impl HelloSource for Greeting {
    fn hello(&self) -> Vec<u8> {
        self.bytes.load().as_ref().clone()
    }
}

/// Asks the seeds until the cluster's founding is known, then writes it into the data directory.
pub(crate) async fn form(
    seeds: &[String],
    offline_record_keep_s: u32,
    mesh: &Mesh,
    directory: &DataDirectory,
    mine: &Hello,
    stop: &CancellationToken,
) -> Result<Founding, StartError> {
    let mut rounds = 0u32;
    loop {
        let answers = ask(seeds, mesh).await;
        let reason = match formation::decide(mine, &answers) {
            Formation::Found(plan) => return adopt(plan, offline_record_keep_s, directory, mine),
            Formation::JoinExisting { cluster_id, node } => match (node, founded_with(mine, &answers, &cluster_id)) {
                (Some(_), Some(plan)) => return adopt(plan, offline_record_keep_s, directory, mine),
                (Some(_), None) => "the cluster is formed; waiting for the answer of every founder".to_owned(),
                (None, _) => "the cluster is formed and this node is none of its founders: joining a running cluster \
                              is not supported by this release"
                    .to_owned(),
            },
            Formation::Wait(reason) => reason,
            Formation::Conflict(sentence) => return Err(StartError::Formation(sentence)),
        };
        if rounds.is_multiple_of(SAY_WHY_EVERY) {
            tracing::info!(%reason, "waiting for the cluster");
        }
        rounds = rounds.wrapping_add(1);
        tokio::select! {
            biased;
            () = stop.cancelled() => return Err(StartError::Stopped),
            () = tokio::time::sleep(ASK_EVERY) => {}
        }
    }
}

async fn ask(seeds: &[String], mesh: &Mesh) -> Vec<SeedAnswer> {
    join_all(seeds.iter().map(|seed| async move {
        let answer = mesh.hello(seed, ANSWER_WITHIN).await;
        let hello = answer.ok().and_then(|bytes| payload::decode::<Hello>(&bytes).ok());
        SeedAnswer { seed: seed.clone(), hello }
    }))
    .await
}

/// The plan that the founders made together, computed again from what they say of themselves: a founder that saw the
/// others before this node did may have gone on already. It counts only if it is the cluster that exists.
fn founded_with(mine: &Hello, answers: &[SeedAnswer], cluster_id: &str) -> Option<FoundingPlan> {
    let before: Vec<SeedAnswer> = answers
        .iter()
        .map(|answer| SeedAnswer {
            seed: answer.seed.clone(),
            hello: answer.hello.clone().map(|hello| Hello { formed: None, ..hello }),
        })
        .collect();
    match formation::decide(mine, &before) {
        Formation::Found(plan) if plan.cluster_id == cluster_id => Some(plan),
        _ => None,
    }
}

fn adopt(
    plan: FoundingPlan,
    offline_record_keep_s: u32,
    directory: &DataDirectory,
    mine: &Hello,
) -> Result<Founding, StartError> {
    let me = plan.id_of(mine.directory).ok_or_else(|| StartError::Internal("not among the founders".to_owned()))?;
    let cluster = cluster_number(&plan.cluster_id)?;
    // Accounts stay out of the directory's header: they come with the first command of the cluster group.
    let founding = Founding::new(plan, Vec::new(), Vec::new(), offline_record_keep_s);
    let bytes = payload::encode(&founding).map_err(|e| StartError::Internal(e.to_string()))?;
    directory.adopt(cluster, me, bytes)?;
    Ok(founding)
}

/// The cluster id as the data directory keeps it.
pub(crate) fn cluster_number(cluster_id: &str) -> Result<ClusterId, StartError> {
    u128::from_str_radix(cluster_id, 16)
        .map(ClusterId)
        .map_err(|_| StartError::Internal(format!("{cluster_id:?} is no cluster id")))
}
