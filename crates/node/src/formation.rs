//! How a node without data learns who it is: by founding a cluster with its seeds, from seeds that have founded one with
//! it, or by joining a cluster that runs.

use crate::{errors::StartError, joining::Beginning};
use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::join_all;
use rollcall_cluster::{Formation, Founding, FoundingPlan, Hello, SeedAnswer, formation};
use rollcall_mesh::{HelloSource, Mesh};
use rollcall_raft::payload;
use rollcall_storage::{ClusterId, DataDirectory};
use rollcall_types::NodeId;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Pause between two rounds of asking the seeds.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// One seed's answer is waited for this long.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// Longest wait for one member's answer to the question for membership.
const JOIN_WITHIN: Duration = Duration::from_secs(4);
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

/// Asks the seeds until the cluster is known and this node a member, then writes its beginning into the data directory.
pub(crate) async fn form(
    seeds: &[String],
    offline_record_keep_s: u32,
    mesh: &Mesh,
    directory: &DataDirectory,
    mine: &Hello,
    stop: &CancellationToken,
) -> Result<(NodeId, Founding), StartError> {
    let mut rounds = 0u32;
    loop {
        let answers = ask(seeds, mesh).await;
        let reason = match formation::decide(mine, &answers) {
            Formation::Found(plan) => return adopt(plan, offline_record_keep_s, directory, mine),
            Formation::JoinExisting { cluster_id, node } => {
                // A founder that is late makes what the others made; everybody else is added.
                let plan = node.and_then(|_| founded_with(mine, &answers, &cluster_id));
                if let Some(plan) = plan {
                    return adopt(plan, offline_record_keep_s, directory, mine);
                }
                match join(&answers, mesh, mine).await {
                    Ok(beginning) if beginning.founding.cluster_id == cluster_id => {
                        keep(directory, beginning.node, &beginning.founding)?;
                        return Ok((beginning.node, beginning.founding));
                    }
                    Ok(_) => "the seeds belong to different clusters".to_owned(),
                    Err(reason) => reason,
                }
            }
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

/// Asks the members among the seeds, one after the other, to be added. A sentence when none did.
async fn join(answers: &[SeedAnswer], mesh: &Mesh, mine: &Hello) -> Result<Beginning, String> {
    let request = Bytes::from(payload::encode(mine).map_err(|e| e.to_string())?);
    let mut reason = "no seed that answers is a member".to_owned();
    let members = answers.iter().filter(|answer| answer.hello.as_ref().is_some_and(|hello| hello.formed.is_some()));
    for member in members {
        match mesh.join(&member.seed, request.clone(), JOIN_WITHIN).await {
            Ok(bytes) => return payload::decode(&bytes).map_err(|e| e.to_string()),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(reason)
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
) -> Result<(NodeId, Founding), StartError> {
    let me = plan.id_of(mine.directory).ok_or_else(|| StartError::Internal("not among the founders".to_owned()))?;
    // Accounts stay out of the directory's header: they come with the first command of the cluster group.
    let founding = Founding::new(plan, Vec::new(), Vec::new(), offline_record_keep_s);
    keep(directory, me, &founding)?;
    Ok((me, founding))
}

/// Writes the identity into the data directory: from now on it is this node of this cluster.
fn keep(directory: &DataDirectory, me: NodeId, founding: &Founding) -> Result<(), StartError> {
    let cluster = cluster_number(&founding.cluster_id)?;
    let bytes = payload::encode(founding).map_err(|e| StartError::Internal(e.to_string()))?;
    Ok(directory.adopt(cluster, me, bytes)?)
}

/// The cluster id as the data directory keeps it.
pub(crate) fn cluster_number(cluster_id: &str) -> Result<ClusterId, StartError> {
    u128::from_str_radix(cluster_id, 16)
        .map(ClusterId)
        .map_err(|_| StartError::Internal(format!("{cluster_id:?} is no cluster id")))
}
