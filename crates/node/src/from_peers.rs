//! What the streams of the other nodes bring: messages for this node's subscribers, and their routes.

use crate::{parts, peer_publisher::Routes};
use bytes::Bytes;
use prost::Message as _;
use rollcall_contracts::{DeliveryTarget, Part, PartTaken};
use rollcall_mesh::{StreamTarget, Taken};
use rollcall_proto::{PartialMessage, StreamItem, stream_item::Item};
use rollcall_raft::payload;
use rollcall_types::{Message, NodeId};
use std::sync::Arc;

/// Hands what comes to this node's subscribers, and to its view of the peers' routes.
pub(crate) struct FromPeers {
    pub(crate) broker: Arc<dyn DeliveryTarget>,
    pub(crate) routes: Arc<Routes>,
}

impl FromPeers {
    fn deliver(&self, from: NodeId, message: &[u8], part: &Part) -> Taken {
        let message: Message = match payload::decode(message) {
            Ok(message) => message,
            Err(error) => return unreadable(from, &error),
        };
        metrics::counter!("rollcall_peer_messages_received_total").increment(1);
        let PartTaken { unserved, wait } = self.broker.deliver_part(Arc::new(message), part);
        // A group that goes on to another node takes its time anyway.
        match wait {
            _ if !unserved.is_empty() => Taken::Answered(parts::not_served(part, &unserved)),
            Some(wait) => Taken::Slowly(wait),
            None => Taken::Yes,
        }
    }

    fn partial(&self, from: NodeId, partial: PartialMessage) -> Taken {
        let texts = |texts: Vec<String>| texts.into_iter().map(Arc::from).collect();
        let part = Part {
            plain: partial.plain,
            groups: texts(partial.groups),
            except: partial.other_groups.then(|| texts(partial.except)),
            client_hash: partial.client_hash,
        };
        self.deliver(from, &partial.message, &part)
    }
}

impl StreamTarget for FromPeers {
    fn take(&self, from: NodeId, item: Bytes) -> Taken {
        if item.is_empty() {
            return Taken::Yes;
        }
        match StreamItem::decode(item).map(|item| item.item) {
            Ok(Some(Item::Message(message))) => self.deliver(from, &message, &Part::plain()),
            Ok(Some(Item::Partial(partial))) => self.partial(from, partial),
            Ok(Some(Item::RouteChange(change))) => self.routes.change(from, change),
            Ok(Some(Item::Routes(part))) => self.routes.part(from, part),
            Ok(Some(Item::RoutesDigest(digest))) => self.routes.digest(from, digest),
            Ok(None) => unreadable(from, &"an item of an unknown kind"),
            Err(error) => unreadable(from, &error),
        }
    }
}

/// What cannot be read never can be: to ask again would hold up everything behind it.
fn unreadable(from: NodeId, why: &dyn std::fmt::Display) -> Taken {
    metrics::counter!("rollcall_messages_dropped_total", "reason" => "peer_item_unreadable").increment(1);
    tracing::warn!(peer = %from, %why, "an item of a peer cannot be read");
    Taken::Yes
}
