//! Which retained messages a filter matches in one partition, at a read point: from the replica here, or in one hop from
//! a node that has one.

use crate::{
    config::{READ_TRY, RETAINED_LOOKS_PER_PAGE, RETAINED_PAGE_BYTES, RETAINED_PER_PAGE, RETRY_PAUSE},
    groups::Groups,
    payload,
    reader::Reader,
};
use bytes::Bytes;
use rollcall_proto::Kind;
use rollcall_retained::{Page, PageLimits, RetainedCursor};
use rollcall_types::{GroupId, PartitionId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::time::Instant;

const PAGE: PageLimits =
    PageLimits { messages: RETAINED_PER_PAGE, bytes: RETAINED_PAGE_BYTES, looks: RETAINED_LOOKS_PER_PAGE };

/// What a node without a replica asks.
#[derive(Serialize, Deserialize)]
struct Question {
    filter: String,
    from: Option<RetainedCursor>,
}

/// Reads retained messages.
pub(crate) struct RetainedReads {
    pub(crate) groups: Arc<Groups>,
    pub(crate) reader: Arc<Reader>,
}

impl RetainedReads {
    /// One page, within the status deadline; `None` when it cannot be known now.
    pub(crate) async fn page(
        &self,
        partition: PartitionId,
        filter: &str,
        from: Option<RetainedCursor>,
    ) -> Option<Page> {
        let until = Instant::now() + self.groups.config().status_deadline;
        if self.groups.answering_replica_of(partition).is_some() {
            return self.page_here(partition, filter, from.as_ref()).await;
        }
        let group = GroupId::partition(partition);
        let question = Question { filter: filter.to_owned(), from };
        let request = Bytes::from(payload::encode(&question).ok()?);
        while Instant::now() < until {
            if let Some(to) = self.groups.whom_to_ask(group) {
                let within = READ_TRY.max(until.saturating_duration_since(Instant::now()));
                let call = self.groups.mesh().call(to, Kind::RetainedRead as u32, group.0, 0, request.clone(), within);
                if let Ok(reply) = call.await
                    && let Ok(page) = payload::decode(&reply)
                {
                    return Some(page);
                }
                self.groups.note_leader(group, None);
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        None
    }

    /// From the replica here, once it stands at a read point taken after this call.
    async fn page_here(&self, partition: PartitionId, filter: &str, from: Option<&RetainedCursor>) -> Option<Page> {
        if !self.reader.caught_up(partition).await {
            return None;
        }
        let hosted = self.groups.answering_replica_of(partition)?;
        let replica = hosted.replica();
        let now = replica.now();
        let page = replica.read().state.retained.matching(filter, from, now, PAGE);
        Some(page)
    }

    /// Answers a peer from here or not at all, so that no question circles.
    pub(crate) async fn answer_peer(&self, partition: PartitionId, request: &[u8]) -> Result<Bytes, String> {
        let question: Question = payload::decode(request).map_err(|e| e.to_string())?;
        rollcall_types::check_topic_filter(&question.filter).map_err(|e| e.to_string())?;
        let page = self.page_here(partition, &question.filter, question.from.as_ref()).await;
        let page = page.ok_or("no read point in time, or no replica here")?;
        payload::encode(&page).map(Bytes::from).map_err(|e| e.to_string())
    }
}
