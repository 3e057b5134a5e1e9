//! Every ending that owes a will fires it once: at its time, or when its session ends before; and a connection that comes
//! back in time cancels it. Reckoned here a second time, from the claims alone.

use super::Verdict;
use crate::{
    facts::{Change, ClaimKey},
    node::Process,
    world::World,
};
use rollcall_presence::{ClaimDetails, FeedEntry, PartitionState, Transition, invariants};
use rollcall_types::{ClientId, ClusterTime, DisconnectReason, Epoch, NodeId, PartitionId};
use std::collections::{BTreeMap, BTreeSet};

const NAME: &str = "will_fires_once";
/// Housekeeping has this long to fire a will that is due.
pub(crate) const FIRED_WITHIN_MS: u64 = 2000;

/// What is known of one will.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Will {
    /// Its connection lasts; it would wait so many milliseconds.
    Held(u64),
    /// It waits until then.
    Waits(ClusterTime),
    /// It must not fire.
    Cancelled,
    /// It must have fired when the log entry is over.
    Owed,
    /// It fired before its time, which a connection that ends its session must explain.
    FiredEarly,
    /// It fired.
    Fired,
}

/// All wills.
#[derive(Default)]
pub(crate) struct Wills {
    wills: BTreeMap<ClaimKey, Will>,
    /// The last claim of each client.
    last: BTreeMap<ClientId, ClaimKey>,
    delivered: BTreeSet<(NodeId, u64, ClaimKey)>,
}

/// What the rules themselves promise of one state.
pub(crate) fn of_state(state: &PartitionState) -> Verdict {
    invariants::will_fires_once(state).map_err(|violation| (NAME, violation.to_string()))
}

/// What one log entry did to wills.
pub(crate) fn of_change(wills: &mut Wills, change: &Change<'_>) -> Verdict {
    for (event, claim) in change.events_with_claims() {
        let key = (change.partition, event.epoch);
        match (&event.transition, claim) {
            (Transition::Connected, Some(claim)) => wills.claimed(key, claim, change.at),
            (Transition::Connected, None) => return Err((NAME, format!("nobody claimed epoch {}", event.epoch))),
            (Transition::Disconnected(reason), _) => wills.ended(key, *reason, change.at),
            (Transition::WillDue(_), _) => wills.fires(key, event)?,
        }
    }
    let wrong = wills.wills.iter().find(|(_, will)| matches!(will, Will::Owed | Will::FiredEarly));
    wrong.map_or(Ok(()), |((_, epoch), will)| {
        Err((NAME, format!("after entry {} the will of epoch {epoch} is {will:?}", change.index)))
    })
}

impl Wills {
    fn claimed(&mut self, key: ClaimKey, claim: &ClaimDetails, at: ClusterTime) {
        let before = self.last.insert(claim.client_id.clone(), key);
        // This connection ends the session of the one before, or goes on with it. A will that was owed has fired before this
        // event.
        if let Some(will) = before.and_then(|before| self.wills.get_mut(&before)) {
            match *will {
                Will::Waits(due) if claim.clean_start || due <= at => *will = Will::Owed,
                Will::Waits(_) => *will = Will::Cancelled,
                Will::FiredEarly if claim.clean_start => *will = Will::Fired,
                _ => {}
            }
        }
        if let Some(will) = &claim.will {
            let wait_s = will.delay_s.min(claim.session_expiry_s);
            self.wills.insert(key, Will::Held(u64::from(wait_s) * 1000));
        }
    }

    fn ended(&mut self, key: ClaimKey, reason: DisconnectReason, at: ClusterTime) {
        let Some(will) = self.wills.get_mut(&key) else { return };
        let Will::Held(wait_ms) = *will else { return };
        *will = match reason {
            DisconnectReason::Normal => Will::Cancelled,
            DisconnectReason::Takeovered if wait_ms > 0 => Will::Cancelled,
            DisconnectReason::Takeovered | DisconnectReason::Discarded => Will::Owed,
            // Those of a lost node become due one after the other.
            DisconnectReason::NodeLost => Will::Waits(at.plus_ms(wait_ms)),
            _ if wait_ms == 0 => Will::Owed,
            _ => Will::Waits(at.plus_ms(wait_ms)),
        };
    }

    fn fires(&mut self, key: ClaimKey, event: &FeedEntry) -> Verdict {
        let known = self.wills.get(&key).copied();
        let now = match known {
            Some(Will::Owed) => Will::Fired,
            Some(Will::Waits(due)) if due <= event.at => Will::Fired,
            Some(Will::Waits(_)) => Will::FiredEarly,
            _ => {
                return Err((
                    NAME,
                    format!("the will of epoch {} fires at {}, and is {known:?}", key.1, event.position),
                ));
            }
        };
        self.wills.insert(key, now);
        Ok(())
    }

    /// A node delivers a will to its subscribers.
    pub(crate) fn delivered(&mut self, process: &Process, partition: PartitionId, epoch: Epoch) -> Verdict {
        let me = process.me;
        if self.delivered.insert((me, process.life, (partition, epoch))) {
            return Ok(());
        }
        Err((NAME, format!("node {me} delivers the will of epoch {epoch}, partition {partition}, once more")))
    }

    /// How many fired.
    pub(crate) fn fired(&self) -> u64 {
        self.wills.values().filter(|will| **will == Will::Fired).count() as u64
    }
}

/// Nothing is left that was due long ago.
pub(crate) fn at_the_end(world: &World, wills: &Wills) -> Verdict {
    for (key, will) in &wills.wills {
        let Will::Waits(due) = will else { continue };
        let leader = world.partition(key.0).leader();
        let Some(process) = world.machine(leader).running() else { continue };
        let Some(hosted) = process.hosted.get(&key.0) else { continue };
        let now = hosted.replica.now(world);
        if now.since(*due) > FIRED_WITHIN_MS {
            return Err((NAME, format!("the will of epoch {} was due {} ms ago", key.1, now.since(*due))));
        }
    }
    Ok(())
}
