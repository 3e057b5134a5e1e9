//! Forgetting records that nothing needs any more, a page at a time: each step goes on where the last one stopped, and
//! a pass that reached the end starts again from the beginning (B-012).

use crate::{PartitionState, Record};
use rollcall_types::{ClientId, ClusterTime};
use serde::{Deserialize, Serialize};
use std::ops::Bound;

/// How far the present pass is, and whether another one is worth while.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Forgetting {
    /// The last client looked at in this pass.
    pub(crate) cursor: Option<ClientId>,
    /// No record can be forgotten before this and the keeping time after it.
    pub(crate) oldest: Option<ClusterTime>,
    /// The same for the part looked at in this pass, and for what went offline meanwhile.
    oldest_in_pass: Option<ClusterTime>,
}

impl Forgetting {
    /// A record that can be forgotten one day went offline. How long its session keeps it longer, the next pass finds
    /// out.
    pub(crate) fn note_offline(&mut self, at: ClusterTime) {
        self.oldest = earlier(self.oldest, at);
        self.keep(at);
    }

    fn start_pass(&mut self) {
        self.oldest_in_pass = None;
    }

    fn keep(&mut self, at: ClusterTime) {
        self.oldest_in_pass = earlier(self.oldest_in_pass, at);
    }

    fn stop_at(&mut self, cursor: ClientId) {
        self.cursor = Some(cursor);
    }

    fn finish_pass(&mut self) {
        self.cursor = None;
        self.oldest = self.oldest_in_pass.take();
    }
}

fn earlier(known: Option<ClusterTime>, at: ClusterTime) -> Option<ClusterTime> {
    Some(known.map_or(at, |known| known.min(at)))
}

impl PartitionState {
    /// Looks at the next `limit` records and drops those that are over.
    pub(crate) fn forget(&mut self, keep_ms: u64, limit: u32) {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if self.forgetting.cursor.is_none() {
            self.forgetting.start_pass();
        }
        let now = self.timeline.time;
        let start = self.forgetting.cursor.as_ref().map_or(Bound::Unbounded, |c| Bound::Excluded(c.as_str()));
        let page: Vec<(&ClientId, &Box<Record>)> =
            self.records.range::<str, _>((start, Bound::Unbounded)).take(limit).collect();
        let reached_end = page.len() < limit;
        let stopped_at = page.last().map(|(client_id, _)| (*client_id).clone());
        let mut over = Vec::new();
        for (client_id, record) in page {
            if record.is_over(now, keep_ms) {
                over.push(client_id.clone());
            } else if let Some(at) = record.counts_as_offline_since(keep_ms) {
                self.forgetting.keep(at);
            }
        }
        for client_id in over {
            self.records.remove(&client_id);
        }
        match stopped_at {
            _ if reached_end => self.forgetting.finish_pass(),
            Some(client_id) => self.forgetting.stop_at(client_id),
            None => {}
        }
    }
}
