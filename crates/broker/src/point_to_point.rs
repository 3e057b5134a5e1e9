//! `{first}/p2p/{client id}`: a message for one client, wherever it is, with no subscription. Its owner is looked up in
//! the presence store, and the message goes straight to that node.

use crate::{Broker, metrics::DropReason, pressure::Slow};
use rollcall_contracts::{CallError, OwnerLinks};
use rollcall_session::{Delivery, PublishVerdict};
use rollcall_types::{ClientId, Epoch, Message};
use std::sync::Arc;

/// The level that marks such a topic.
const MARK: &str = "p2p";

/// The client that a topic names, if it is one for a single client. The client id is everything behind the mark, slashes
/// included.
pub(crate) fn target(topic: &str) -> Option<&str> {
    let (first, rest) = topic.split_once('/')?;
    let (mark, client) = rest.split_once('/')?;
    (mark == MARK && !first.is_empty() && !first.starts_with('$') && !client.is_empty()).then_some(client)
}

impl Broker {
    /// The way to the owners on other nodes exists from now on.
    pub fn set_owner_links(&self, owners: Arc<dyn OwnerLinks>) {
        let _ = self.owners.set(owners);
    }

    /// Sends the message to the client's connection. A client that is not online, or goes at this moment, gets nothing.
    /// One on this node that is pressed is noted.
    pub(crate) async fn send_to_client(&self, client: &str, message: &Arc<Message>, slow: &mut Slow) -> PublishVerdict {
        let Ok(client_id) = ClientId::new(client) else { return self.no_receiver() };
        let Ok(status) = self.store.status(client_id.clone()).await else { return self.unreachable(false) };
        let (true, Some(epoch)) = (status.online, status.epoch) else { return self.no_receiver() };
        if self.queue_for_client(&client_id, epoch, message, slow) {
            return PublishVerdict::Accepted { matched: true };
        }
        let (Some(node), Some(owners)) = (status.node, self.owners.get()) else { return self.no_receiver() };
        match owners.deliver_to_owner(&node, &client_id, epoch, message.clone()).await {
            Ok(true) => PublishVerdict::Accepted { matched: true },
            Ok(false) => self.no_receiver(),
            Err(error) => {
                tracing::debug!(node = %node.0, %error, "a message for one client did not reach its node");
                self.unreachable(matches!(error, CallError::Unknown(_)))
            }
        }
    }

    /// Gives the message to the connection of that epoch, if it is here. True when it took it.
    pub fn deliver_to_client(&self, client_id: &ClientId, epoch: Epoch, message: &Arc<Message>) -> bool {
        self.queue_for_client(client_id, epoch, message, &mut Slow::default())
    }

    fn queue_for_client(&self, client_id: &ClientId, epoch: Epoch, message: &Arc<Message>, slow: &mut Slow) -> bool {
        let connection = self.registry.connection_of(client_id).filter(|connection| connection.epoch == epoch);
        connection.is_some_and(|connection| {
            let now = self.lease.now();
            self.queue(&connection.session, Delivery::new(message.clone(), message.qos, now), now, slow)
        })
    }

    fn no_receiver(&self) -> PublishVerdict {
        self.metrics.dropped(DropReason::NoReceiver);
        PublishVerdict::NoReceiver
    }

    fn unreachable(&self, may_have_happened: bool) -> PublishVerdict {
        self.metrics.dropped(DropReason::NoReceiver);
        PublishVerdict::Unavailable { may_have_happened }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_topics_of_the_form_first_p2p_client_name_a_client() {
        assert_eq!(target("a/p2p/client"), Some("client"));
        assert_eq!(target("a/p2p/c/with/slashes"), Some("c/with/slashes"));
        for other in ["a/p2p", "a/p2p/", "/p2p/c", "p2p/c", "a/b/p2p/c", "a/P2P/c", "$x/p2p/c", "a"] {
            assert_eq!(target(other), None, "{other}");
        }
    }
}
