//! The way of a client's publish through the broker, as far as it concerns the connection: what comes first, what is tried
//! again, and what the machine is told. What is tried again may also be an UNSUBSCRIBE.

use crate::{connection::Engine, first::First};
use rollcall_broker::{OverRate, Published};
use rollcall_session::{Event, PublishVerdict, Receipt, UnsubscribeAnswer};
use rollcall_types::Message;
use std::{num::NonZeroU16, pin::Pin, sync::Arc, time::Duration};
use tokio::time::{Sleep, sleep};

/// Seconds until an MQTT 3 client's message is tried again that could not be committed: it cannot be told so.
const UNAVAILABLE_RETRY_S: u32 = 1;

/// An MQTT 3 client over quota: what it sent waits, and nothing is read from it meanwhile.
pub(crate) struct Slowed {
    what: Waiting,
    pub(crate) until: Pin<Box<Sleep>>,
}

/// What waits.
enum Waiting {
    Publish(Arc<Message>, Receipt),
    Unsubscribe(NonZeroU16, Vec<String>),
}

impl Slowed {
    fn new(what: Waiting, seconds: u32) -> Box<Self> {
        Box::new(Slowed { what, until: Box::pin(sleep(Duration::from_secs(u64::from(seconds)))) })
    }
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
            Published::Now(PublishVerdict::Unavailable { .. }) => Some(UNAVAILABLE_RETRY_S),
            _ => None,
        };
        if let Some(retry_after_s) = retry_after_s
            && let Some(receipt) = receipt
            && self.session.is_slowed_by_not_reading()
        {
            self.slowed = Some(Slowed::new(Waiting::Publish(message.clone(), receipt), retry_after_s));
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
        match self.slowed.take()?.what {
            Waiting::Publish(message, receipt) => self.publish(&message, Some(receipt)),
            Waiting::Unsubscribe(packet_id, filters) => self.unsubscribe(packet_id, filters),
        }
    }

    /// An UNSUBSCRIBE is carried out, refused, or waits.
    pub(crate) fn unsubscribe(&mut self, packet_id: NonZeroU16, filters: Vec<String>) -> Option<Event> {
        let answers = match self.broker.unsubscribe(self.outbound.connection()?, &filters) {
            Ok(answers) => answers,
            Err(OverRate { retry_after_s }) if self.session.is_slowed_by_not_reading() => {
                self.slowed = Some(Slowed::new(Waiting::Unsubscribe(packet_id, filters), retry_after_s));
                return None;
            }
            Err(OverRate { .. }) => vec![UnsubscribeAnswer::OverRate; filters.len()],
        };
        Some(Event::Unsubscribed { packet_id, answers })
    }
}
