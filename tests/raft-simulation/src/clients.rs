//! Clients on the simulated nodes: single operations that are recorded, and a load of them that goes on and on.

use crate::{
    chance::Chance,
    history::{History, Known, Outcome},
};
use rollcall_contracts::{ClaimError, ClaimGranted, PresenceStore as _, StatusAnswer, StatusError};
use rollcall_presence::ClaimDetails;
use rollcall_raft::Replication;
use rollcall_types::{ClientId, DisconnectReason, Epoch, Protocol};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

/// Client ids that the load uses: few, so that clients meet.
const KEYS: u64 = 6;
/// Longest wait for a release to be applied.
const RELEASED_WITHIN: Duration = Duration::from_secs(3);
/// How often a client of a load that pauses looks whether it goes on.
const PAUSE: Duration = Duration::from_millis(20);

/// Operations on one node, recorded.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) replication: Arc<Replication>,
    pub(crate) history: History,
}

impl Client {
    fn begin(&self, key: &str) -> usize {
        let groups = self.replication.groups();
        self.history.begin(groups.me(), key, groups.partition_of(&id(key)))
    }

    // Each operation begins with the call, not when its node first runs it: a node may stand still just then.

    pub(crate) fn claim(&self, key: &str) -> impl Future<Output = Result<ClaimGranted, ClaimError>> + Send + use<> {
        let (number, client, details) = (self.begin(key), self.clone(), details(key));
        async move {
            let result = client.replication.presence().claim(details).await;
            let outcome = match &result {
                Ok(granted) => Outcome::Claimed(granted.epoch),
                // It may have been applied, or may be yet.
                Err(ClaimError::Unavailable) => Outcome::Unknown,
                Err(error) => Outcome::Refused(error.to_string()),
            };
            client.history.end(number, outcome);
            result
        }
    }

    /// `true` once the release was applied.
    pub(crate) fn release(&self, key: &str, epoch: Epoch) -> impl Future<Output = bool> + Send + use<> {
        let (number, client, id) = (self.begin(key), self.clone(), id(key));
        async move {
            let presence = client.replication.presence();
            presence.release(id, epoch, DisconnectReason::Normal);
            let released = presence.released(RELEASED_WITHIN).await;
            client.history.end(number, if released { Outcome::Released(epoch) } else { Outcome::Unknown });
            released
        }
    }

    pub(crate) fn status(&self, key: &str) -> impl Future<Output = Result<StatusAnswer, StatusError>> + Send + use<> {
        let (number, client, id) = (self.begin(key), self.clone(), id(key));
        async move {
            let result = client.replication.presence().status(id).await;
            let outcome = match &result {
                Ok(answer) => Outcome::Answered(Known::from(answer)),
                Err(error) => Outcome::Refused(error.to_string()),
            };
            client.history.end(number, outcome);
            result
        }
    }

    /// Claims, holds, asks and releases for as long as the node lives and the load is on.
    pub(crate) async fn load(self, on: Arc<AtomicBool>, mut chance: Chance) {
        loop {
            sleep(Duration::from_millis(chance.between(5, 60))).await;
            if !on.load(Ordering::SeqCst) {
                sleep(PAUSE).await;
                continue;
            }
            let key = format!("device-{}", chance.below(KEYS));
            if chance.percent(70) {
                let _ = self.status(&key).await;
                continue;
            }
            let Ok(granted) = self.claim(&key).await else { continue };
            let _ = self.status(&key).await;
            sleep(Duration::from_millis(chance.between(0, 60))).await;
            self.release(&key, granted.epoch).await;
        }
    }
}

fn id(key: &str) -> ClientId {
    ClientId::new(key).unwrap()
}

fn details(key: &str) -> ClaimDetails {
    ClaimDetails {
        client_id: id(key),
        username: "user".to_owned(),
        protocol: Protocol::V5,
        clean_start: true,
        keep_alive_s: 60,
        session_expiry_s: 0,
        peer: "10.0.0.1:5000".to_owned(),
        bind_account: true,
        will: None,
    }
}
