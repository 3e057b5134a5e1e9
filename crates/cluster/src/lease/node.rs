//! The node's side: until when it may serve.

use super::LeaseTerms;
use rollcall_types::{BootTime, Incarnation};

/// The lease of this node's present incarnation. Times are of this node's boot clock, which also counts while the
/// machine is suspended.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NodeLease {
    terms: LeaseTerms,
    serving: Option<Serving>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Serving {
    incarnation: Incarnation,
    /// `None` until the first acknowledgement.
    valid_until: Option<BootTime>,
    expired: bool,
}

impl NodeLease {
    /// A node without an incarnation.
    #[must_use]
    pub fn new(terms: LeaseTerms) -> Self {
        NodeLease { terms, serving: None }
    }

    /// The cluster group has handed out this incarnation. It may not serve before its first heartbeat is acknowledged.
    /// Of an incarnation that is not newer than the present one nothing changes.
    pub fn started(&mut self, incarnation: Incarnation) {
        if self.serving.is_none_or(|serving| incarnation > serving.incarnation) {
            self.serving = Some(Serving { incarnation, valid_until: None, expired: false });
        }
    }

    /// The leader acknowledged the heartbeat that was sent at `sent_at`; the acknowledgement is handled `now`. Returns
    /// whether the incarnation may serve now. An incarnation whose lease ran out never revives, even if nobody noticed
    /// before this call.
    pub fn acknowledged(&mut self, incarnation: Incarnation, sent_at: BootTime, now: BootTime) -> bool {
        self.observe(now);
        if let Some(serving) = &mut self.serving
            && serving.incarnation == incarnation
            && !serving.expired
        {
            let until = sent_at.plus_ms(self.terms.lease_ms());
            serving.valid_until = Some(serving.valid_until.map_or(until, |known| known.max(until)));
        }
        self.observe(now);
        self.may_serve(incarnation, now)
    }

    /// Notices whether the lease has run out, and if so for good. `true` when it has; before the first acknowledgement
    /// there is none to run out.
    pub fn observe(&mut self, now: BootTime) -> bool {
        let Some(serving) = &mut self.serving else { return false };
        if serving.valid_until.is_some_and(|until| now >= until) {
            serving.expired = true;
        }
        serving.expired
    }

    /// The incarnation is over for another reason than time: the cluster has retired it, or the node stops.
    pub fn give_up(&mut self) {
        if let Some(serving) = &mut self.serving {
            serving.expired = true;
        }
    }

    /// Whether this incarnation may serve now.
    #[must_use]
    pub fn may_serve(&self, incarnation: Incarnation, now: BootTime) -> bool {
        self.serving.is_some_and(|serving| serving.incarnation == incarnation)
            && self.valid_until().is_some_and(|until| now < until)
    }

    /// The end of the lease: sending of the last acknowledged heartbeat plus the lease. `None` before the first
    /// acknowledgement and once the lease ran out.
    #[must_use]
    pub fn valid_until(&self) -> Option<BootTime> {
        self.serving.filter(|serving| !serving.expired).and_then(|serving| serving.valid_until)
    }

    /// The present incarnation, whether or not it may serve.
    #[must_use]
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.serving.map(|serving| serving.incarnation)
    }
}
