//! This node's part of the instance's messages: what its lease brings, and what it is asked for.
//!
//! What does not belong here: who gets how much (`quota`), heartbeats (`controller`), the limiter (`admission`).

use parking_lot::Mutex;
use rollcall_admission::{Admission, Share};
use rollcall_contracts::{QuotaBoard, QuotaGranted, QuotaPart, QuotaSeat, QuotaUse, QuotaView};
use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

/// Demand is counted over this time at least: in less, a few requests would look like many.
const COUNTED_FOR: Duration = Duration::from_millis(400);
const GRANT: &str = "rollcall_quota_grant_per_second";
const DEMAND: &str = "rollcall_quota_demand_per_second";

/// See the module.
pub(crate) struct NodeQuota {
    admission: Arc<Admission>,
    /// The instance's limit as this node is configured; 0: none.
    limit: u32,
    burst_percent: u32,
    state: Mutex<State>,
}

struct State {
    in_force: Share,
    /// An even part, for a leader that shares nothing out.
    even: Share,
    /// The even part is in force.
    is_even: bool,
    parts: Vec<QuotaPart>,
    asked: u64,
    since: Instant,
    demand: u32,
}

impl NodeQuota {
    /// Nothing is admitted before the first grant, where there is a limit.
    pub(crate) fn new(limit: u32, burst_percent: u32, even: Share, admission: Arc<Admission>) -> Self {
        use metrics::{Unit, describe_gauge};
        describe_gauge!(
            GRANT,
            Unit::Count,
            "messages and queries a second that this node may admit; 0 without a limit"
        );
        describe_gauge!(DEMAND, Unit::Count, "messages and queries a second that it was asked for, admitted or not");
        let in_force = if limit > 0 { Share::NoGrant } else { Share::Unlimited };
        admission.set_message_share(in_force);
        let asked = admission.messages_asked();
        let state =
            State { in_force, even, is_even: false, parts: Vec::new(), asked, since: Instant::now(), demand: 0 };
        NodeQuota { admission, limit, burst_percent, state: Mutex::new(state) }
    }

    /// The even part is another from now on.
    pub(crate) fn set_even(&self, even: Share) {
        let mut state = self.state.lock();
        state.even = even;
        if state.is_even {
            self.put(&mut state, even);
        }
    }

    /// True when it changes something.
    fn put(&self, state: &mut State, share: Share) -> bool {
        if state.in_force == share {
            return false;
        }
        state.in_force = share;
        self.admission.set_message_share(share);
        metrics::gauge!(GRANT).set(f64::from(rate_of(share)));
        true
    }
}

impl QuotaSeat for NodeQuota {
    fn said(&self) -> Option<QuotaUse> {
        if self.limit == 0 {
            return None;
        }
        let mut state = self.state.lock();
        let counted_for = state.since.elapsed();
        if counted_for >= COUNTED_FOR {
            let asked = self.admission.messages_asked();
            let a_second = u128::from(asked - state.asked) * 1_000 / counted_for.as_millis().max(1);
            state.demand = u32::try_from(a_second).unwrap_or(u32::MAX);
            (state.asked, state.since) = (asked, Instant::now());
            metrics::gauge!(DEMAND).set(f64::from(state.demand));
        }
        Some(QuotaUse { in_use: rate_of(state.in_force), demand: state.demand })
    }

    fn granted(&self, grant: Option<QuotaGranted>) -> bool {
        if self.limit == 0 {
            return false;
        }
        let mut state = self.state.lock();
        state.is_even = grant.is_none();
        let share = match grant.as_ref().map(|grant| NonZeroU32::new(grant.per_second)) {
            Some(Some(per_second)) => Share::PerSecond(per_second),
            Some(None) => Share::NoGrant,
            None => state.even,
        };
        state.parts = grant.map(|grant| grant.parts).unwrap_or_default();
        // Nothing as yet is asked about again soon.
        self.put(&mut state, share) || share == Share::NoGrant
    }

    fn waits(&self) -> bool {
        self.limit > 0 && rate_of(self.state.lock().in_force) == 0
    }

    fn over(&self) {
        if self.limit > 0 {
            let mut state = self.state.lock();
            state.is_even = false;
            self.put(&mut state, Share::NoGrant);
        }
    }
}

impl QuotaBoard for NodeQuota {
    fn view(&self) -> QuotaView {
        QuotaView { limit: self.limit, burst_percent: self.burst_percent, parts: self.state.lock().parts.clone() }
    }
}

fn rate_of(share: Share) -> u32 {
    match share {
        Share::PerSecond(per_second) => per_second.get(),
        Share::NoGrant | Share::Unlimited => 0,
    }
}
