//! What the HTTP data plane asks: messages of publishers that have no connection, by the same way as all others.

use crate::{Broker, Published, metrics::DropReason, publish::WithoutConnection};
use async_trait::async_trait;
use rollcall_contracts::{DataPlane, HttpPublisher, KeepAliveError, PublishError, PublishTaken};
use rollcall_session::PublishVerdict;
use rollcall_types::{ClientId, Message};
use std::sync::Arc;

impl Broker {
    /// The verdict. A message that is under way goes on to the end, as that of a connection does, whether or not anybody
    /// waits for it: it must not be kept and reach nobody because a publisher hung up.
    async fn verdict(&self, published: Published) -> PublishVerdict {
        match published {
            Published::Now(verdict) => verdict,
            published => self.publishes.spawn(published.verdict()).await.unwrap_or(PublishVerdict::Failed),
        }
    }
}

#[async_trait]
impl DataPlane for Broker {
    /// Who hears the answer hears it for QoS 0, too, so a message with RETAIN is committed whatever its QoS.
    async fn publish(self: Arc<Self>, from: HttpPublisher, message: Message) -> Result<PublishTaken, PublishError> {
        let incarnation = self.lease.serving().ok_or(PublishError::NotServing)?;
        self.metrics.received(message.qos);
        if !self.may_publish(&from.account, from.client_id.as_str(), &message, from.source) {
            self.metrics.dropped(DropReason::NotAuthorized);
            return Err(PublishError::NotAuthorized);
        }
        self.admission.charge(1).map_err(|refusal| {
            self.metrics.dropped(DropReason::OverQuota);
            PublishError::Quota(refusal)
        })?;
        let origin = WithoutConnection { incarnation, client_id: from.client_id };
        let published = self.hand_on(&origin, &Arc::new(message), true);
        match self.verdict(published).await {
            PublishVerdict::Accepted { matched } => Ok(PublishTaken { matched }),
            PublishVerdict::NoReceiver => Ok(PublishTaken { matched: false }),
            PublishVerdict::RetainedLimit => Err(PublishError::RetainedLimit),
            PublishVerdict::Unavailable { may_have_happened } => Err(PublishError::Unavailable { may_have_happened }),
            PublishVerdict::Failed => Err(PublishError::Unavailable { may_have_happened: true }),
            // Decided above, before the message went its way.
            PublishVerdict::NotAuthorized => Err(PublishError::NotAuthorized),
            PublishVerdict::OverQuota { .. } => Err(PublishError::Unavailable { may_have_happened: false }),
        }
    }

    async fn change_keep_alive(&self, client_id: &ClientId, keep_alive_s: u16) -> Result<(), KeepAliveError> {
        self.change_keep_alive_anywhere(client_id, keep_alive_s).await
    }
}
