//! The rules once more, as plainly as they can be written: nothing is forgotten but what must be, everything is found by
//! searching through history. Slow, and independent of the real state's structures.

use rollcall_presence::{
    Batch, ClaimDetails, ConnectionFacts, Displaced, FeedEntry, Housekeeping, Operation, Outcome, PartitionCommand,
    Refusal, Transition, UnpackedFacts,
};
use rollcall_types::{
    ClientId, ClusterTime, DisconnectReason, Epoch, FeedPosition, Incarnation, LogIndex, NodeId, OperationNumber,
    Owner, Will,
};
use std::collections::BTreeMap;

#[derive(Default)]
pub(crate) struct Naive {
    pub(crate) now: u64,
    pub(crate) index: u64,
    /// Every claim ever made, in order, until its client is forgotten.
    pub(crate) claims: Vec<Claim>,
    /// Every transition ever.
    pub(crate) feed: Vec<FeedEntry>,
    pub(crate) last_epoch: u64,
    last_numbers: BTreeMap<Owner, u64>,
    dead: Vec<(NodeId, Incarnation)>,
    forgot_up_to: Option<ClientId>,
}

pub(crate) struct Claim {
    pub(crate) epoch: Epoch,
    pub(crate) owner: Owner,
    pub(crate) details: ClaimDetails,
    pub(crate) end: Option<(u64, DisconnectReason)>,
    pub(crate) will_due: Option<u64>,
    number: u64,
    displaced: Option<Displaced>,
    facts: ConnectionFacts,
}

impl Naive {
    pub(crate) fn apply(&mut self, command: PartitionCommand) -> Vec<Vec<Outcome>> {
        self.index += 1;
        self.now = self.now.max(command.at.0);
        for step in command.housekeeping {
            match step {
                Housekeeping::Fence { node, up_to } => self.fence(node, up_to),
                Housekeeping::FireWills { limit } => (0..limit).for_each(|_| self.fire_next_will()),
                Housekeeping::Forget { keep_ms, limit } => self.forget(keep_ms, limit),
            }
        }
        command.batches.into_iter().map(|batch| self.apply_batch(batch)).collect()
    }

    /// The last claim of a client on record.
    pub(crate) fn last_claim(&self, id: &str) -> Option<&Claim> {
        self.claims.iter().rev().find(|claim| claim.details.client_id.as_str() == id)
    }

    pub(crate) fn online(&self) -> impl Iterator<Item = &Claim> {
        self.claims.iter().filter(|claim| claim.end.is_none())
    }

    pub(crate) fn last_number(&self, owner: Owner) -> u64 {
        if self.is_dead(owner) { 0 } else { self.last_numbers.get(&owner).copied().unwrap_or(0) }
    }

    pub(crate) fn dead_up_to(&self, node: NodeId) -> Option<Incarnation> {
        self.dead.iter().filter(|dead| dead.0 == node).map(|dead| dead.1).max()
    }

    fn is_dead(&self, owner: Owner) -> bool {
        self.dead_up_to(owner.node).is_some_and(|dead| dead >= owner.incarnation)
    }

    fn apply_batch(&mut self, batch: Batch) -> Vec<Outcome> {
        let owner = batch.owner;
        let numbered = (batch.first.0..).zip(batch.operations);
        numbered.map(|(number, operation)| self.operate(owner, number, operation)).collect()
    }

    fn operate(&mut self, owner: Owner, number: u64, operation: Operation) -> Outcome {
        if self.is_dead(owner) {
            return Outcome::Refused(Refusal::Fenced);
        }
        let expected = self.last_number(owner) + 1;
        if number > expected {
            return Outcome::Refused(Refusal::Gap { expected: OperationNumber(expected) });
        }
        if number < expected {
            let details = match operation {
                Operation::Claim(details) => details,
                Operation::ChangeKeepAlive { client_id, epoch, .. } => {
                    let held = self.find_online(&client_id, |claim| claim.owner == owner && claim.epoch == epoch);
                    return if held.is_some() { Outcome::Changed } else { Outcome::NotCurrent };
                }
                Operation::Release { .. } | Operation::Kick { .. } => return Outcome::NotCurrent,
            };
            let mut held = self.online().filter(|claim| claim.details.client_id == details.client_id);
            return match held.find(|claim| claim.owner == owner && claim.number == number) {
                Some(claim) => Outcome::Claimed { epoch: claim.epoch, displaced: claim.displaced },
                None => Outcome::ClaimedAndGone,
            };
        }
        self.last_numbers.insert(owner, number);
        match operation {
            Operation::Claim(details) => self.claim(owner, number, *details),
            Operation::Release { client_id, epoch, reason } => {
                let meant = self.find_online(&client_id, |claim| claim.owner == owner && claim.epoch == epoch);
                self.end_one(meant, reason)
            }
            Operation::Kick { client_id, epoch } => {
                let meant = self.find_online(&client_id, |claim| epoch.is_none() || epoch == Some(claim.epoch));
                self.end_one(meant, DisconnectReason::Kicked)
            }
            Operation::ChangeKeepAlive { client_id, epoch, keep_alive_s } => {
                let held = self.find_online(&client_id, |claim| claim.owner == owner && claim.epoch == epoch);
                let Some(held) = held else { return Outcome::NotCurrent };
                let claim = &mut self.claims[held];
                claim.details.keep_alive_s = keep_alive_s;
                claim.facts = UnpackedFacts { keep_alive_s, ..claim.facts.clone().into() }.into();
                Outcome::Changed
            }
        }
    }

    fn claim(&mut self, owner: Owner, number: u64, details: ClaimDetails) -> Outcome {
        let id = details.client_id.clone();
        let old = self.find_online(&id, |_| true);
        let mut displaced = None;
        if let Some(old) = old {
            if details.bind_account && self.claims[old].details.username != details.username {
                return Outcome::Refused(Refusal::OtherAccount);
            }
            displaced = Some(Displaced { owner: self.claims[old].owner, epoch: self.claims[old].epoch });
            self.end(old, if details.clean_start { DisconnectReason::Discarded } else { DisconnectReason::Takeovered });
        }
        // The will of the connection before, now ended: its session ends, or its time has come, or it is cancelled.
        if let Some(last) = self.claims.iter().rposition(|claim| claim.details.client_id == id)
            && let Some(due) = self.claims[last].will_due
        {
            if details.clean_start || due <= self.now {
                self.fire(last);
            }
            self.claims[last].will_due = None;
        }
        self.last_epoch += 1;
        let epoch = Epoch(self.last_epoch);
        let facts = UnpackedFacts {
            connected_at: ClusterTime(self.now),
            prev_epoch: self.last_claim(id.as_str()).map(|before| before.epoch),
            username: details.username.as_str().into(),
            peer: details.peer.as_str().into(),
            session_expiry_s: details.session_expiry_s,
            keep_alive_s: details.keep_alive_s,
            protocol: details.protocol,
            clean_start: details.clean_start,
        };
        let facts = ConnectionFacts::from(facts);
        self.tell(&id, (epoch, owner), Transition::Connected, Some(&facts));
        self.claims.push(Claim { epoch, owner, details, end: None, will_due: None, number, displaced, facts });
        Outcome::Claimed { epoch, displaced }
    }

    fn find_online(&self, id: &ClientId, meant: impl Fn(&Claim) -> bool) -> Option<usize> {
        self.claims.iter().position(|claim| claim.details.client_id == *id && claim.end.is_none() && meant(claim))
    }

    fn end_one(&mut self, claim: Option<usize>, reason: DisconnectReason) -> Outcome {
        let Some(claim) = claim else { return Outcome::NotCurrent };
        self.end(claim, reason);
        if self.claims[claim].will_due.is_some_and(|due| due <= self.now) {
            self.fire(claim);
        }
        Outcome::Ended { owner: self.claims[claim].owner, epoch: self.claims[claim].epoch }
    }

    /// Ends the claim and notes when its will is due, if it owes one.
    fn end(&mut self, at: usize, reason: DisconnectReason) {
        let now = self.now;
        let claim = &mut self.claims[at];
        claim.end = Some((now, reason));
        if let Some(Will { delay_s, .. }) = claim.details.will
            && reason != DisconnectReason::Normal
        {
            claim.will_due = Some(now + 1000 * u64::from(delay_s).min(u64::from(claim.details.session_expiry_s)));
        }
        let (id, held, facts) = (claim.details.client_id.clone(), (claim.epoch, claim.owner), claim.facts.clone());
        self.tell(&id, held, Transition::Disconnected(reason), Some(&facts));
    }

    fn fire(&mut self, at: usize) {
        let claim = &mut self.claims[at];
        claim.will_due = None;
        let will = Box::new(claim.details.will.clone().unwrap());
        let (id, epoch, owner) = (claim.details.client_id.clone(), claim.epoch, claim.owner);
        self.tell(&id, (epoch, owner), Transition::WillDue(will), None);
    }

    fn fire_next_will(&mut self) {
        let waiting = self.claims.iter().enumerate().filter_map(|(at, claim)| Some((claim.will_due?, claim.epoch, at)));
        if let Some((due, _, at)) = waiting.min()
            && due <= self.now
        {
            self.fire(at);
        }
    }

    fn fence(&mut self, node: NodeId, up_to: Incarnation) {
        self.dead.push((node, up_to));
        let mut lost: Vec<usize> = (0..self.claims.len())
            .filter(|at| self.claims[*at].end.is_none() && self.is_dead(self.claims[*at].owner))
            .collect();
        lost.sort_by_key(|at| self.claims[*at].details.client_id.clone());
        for at in lost {
            self.end(at, DisconnectReason::NodeLost);
        }
    }

    fn forget(&mut self, keep_ms: u64, limit: u32) {
        let mut ids: Vec<ClientId> = self.claims.iter().map(|claim| claim.details.client_id.clone()).collect();
        ids.sort();
        ids.dedup();
        ids.retain(|id| Some(id) > self.forgot_up_to.as_ref());
        let reached_end = ids.len() < usize::try_from(limit).unwrap();
        ids.truncate(usize::try_from(limit).unwrap());
        if reached_end {
            self.forgot_up_to = None;
        } else if let Some(last) = ids.last() {
            self.forgot_up_to = Some(last.clone());
        }
        for id in ids {
            let claim = self.last_claim(id.as_str()).unwrap();
            let expiry_s = claim.details.session_expiry_s;
            let session_over = |at| expiry_s != u32::MAX && self.now - at >= 1000 * u64::from(expiry_s);
            let over = claim.end.is_some_and(|(at, _)| self.now - at > keep_ms && session_over(at));
            if over && claim.will_due.is_none() {
                self.claims.retain(|claim| claim.details.client_id != id);
            }
        }
    }

    fn tell(
        &mut self,
        id: &ClientId,
        (epoch, owner): (Epoch, Owner),
        transition: Transition,
        facts: Option<&ConnectionFacts>,
    ) {
        let index = LogIndex(self.index);
        let told = self.feed.iter().rev().take_while(|entry| entry.position.index == index).count();
        let position = FeedPosition { index, ordinal: u32::try_from(told).unwrap() };
        self.feed.push(FeedEntry {
            position,
            at: ClusterTime(self.now),
            client_id: id.clone(),
            epoch,
            owner,
            transition,
            facts: facts.cloned(),
        });
    }
}
