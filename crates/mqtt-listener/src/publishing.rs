//! The way of a client's publish through the broker, as far as it concerns the connection: what comes first, what is tried
//! again, and what the machine is told.

use crate::{connection::Engine, first::First};
use rollcall_broker::Published;
use rollcall_session::{Event, PublishVerdict, Receipt};
use rollcall_types::Message;
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio::time::{Sleep, sleep};

/// Seconds until an MQTT 3 client's message is tried again that could not be committed: it cannot be told so.
const UNAVAILABLE_RETRY_S: u32 = 1;

/// An MQTT 3 client over quota: its message waits, and nothing is read from it meanwhile.
pub(crate) struct Slowed {
    message: Arc<Message>,
    receipt: Receipt,
    pub(crate) until: Pin<Box<Sleep>>,
}

impl Engine {
    pub(crate) fn publish(&mut self, message: &Arc<Message>, receipt: Option<Receipt>) -> Option<Event> {
        let published = self.broker.publish(self.outbound.connection()?, message);
        self.published(message, receipt, published)
    }

    /// What follows from a publish, unless something has to come first, or it is to be tried again.
    pub(crate) fn published(
        &mut self,
        message: &Arc<Message>,
        receipt: Option<Receipt>,
        published: Published,
    ) -> Option<Event> {
        let published = match published {
            Published::First(steps) => {
                self.first = Some(Box::new(First::Publish { message: message.clone(), receipt, steps }));
                return None;
            }
            published => published,
        };
        let retry_after_s = match published {
            Published::Now(PublishVerdict::OverQuota { retry_after_s }) => Some(retry_after_s),
            Published::Now(PublishVerdict::Unavailable) => Some(UNAVAILABLE_RETRY_S),
            _ => None,
        };
        if let Some(retry_after_s) = retry_after_s
            && let Some(receipt) = receipt
            && self.session.is_slowed_by_not_reading()
        {
            let until = Box::pin(sleep(Duration::from_secs(u64::from(retry_after_s))));
            self.slowed = Some(Box::new(Slowed { message: message.clone(), receipt, until }));
            return None;
        }
        if matches!(published, Published::Now(PublishVerdict::OverQuota { .. })) {
            self.broker.dropped_over_quota();
        }
        let receipt = receipt?;
        let verdict = self.verdicts.now_or_later(receipt, published)?;
        Some(Event::Published { receipt, verdict })
    }

    pub(crate) fn retry(&mut self) -> Option<Event> {
        let slowed = self.slowed.take()?;
        self.publish(&slowed.message, Some(slowed.receipt))
    }
}
