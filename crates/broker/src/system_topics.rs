//! `$SYS/broker/…`: what this node tells about itself, under the field's usual names, few and cheap.
//!
//! Nothing is stored: the values are made when somebody subscribes, as if they were retained, and anew each time
//! [`Broker::publish_system_topics`] is called, for those that subscribe to them here.

use crate::{Broker, Connection, pressure::Slow};
use rollcall_contracts::Part;
use rollcall_routing::filter_matches;
use rollcall_session::Delivery;
use rollcall_types::{Message, MessageProperties, QoS};
use std::{
    num::NonZeroU32,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

/// What all of them begin with.
const ROOT: &str = "$SYS/broker/";

/// What is remembered for them.
pub(crate) struct SystemTopics {
    started: Instant,
}

impl Default for SystemTopics {
    fn default() -> Self {
        SystemTopics { started: Instant::now() }
    }
}

impl Broker {
    /// The present values, to the subscribers on this node. To be called every now and then.
    pub fn publish_system_topics(&self) {
        for (name, value) in self.system_values() {
            self.deliver(&Arc::new(message(name, value)), None, &Part::whole(), &mut Slow::default());
        }
    }

    /// What a new subscription matches of the present values.
    pub(crate) fn send_system_topics(
        &self,
        connection: &Arc<Connection>,
        filter: &str,
        subscription_id: Option<NonZeroU32>,
    ) {
        if !filter.starts_with("$SYS/") {
            return;
        }
        for (name, value) in self.system_values() {
            let message = message(name, value);
            if filter_matches(filter, &message.topic) {
                let now = self.lease.now();
                let delivery = Delivery {
                    retain: true,
                    subscription_ids: subscription_id.into_iter().collect(),
                    ..Delivery::new(Arc::new(message), QoS::AtMostOnce, now)
                };
                self.queue(&connection.session, delivery, now, &mut Slow::default());
            }
        }
    }

    fn system_values(&self) -> [(&'static str, String); 8] {
        let totals = &self.metrics.totals;
        let online = self.sessions_online().to_string();
        [
            ("version", format!("rollcall {}", env!("CARGO_PKG_VERSION"))),
            ("uptime", format!("{} seconds", self.system_topics.started.elapsed().as_secs())),
            ("clients/connected", online.clone()),
            ("clients/total", online),
            ("subscriptions/count", self.subscriptions.count().to_string()),
            ("messages/received", totals.received.load(Ordering::Relaxed).to_string()),
            ("messages/sent", totals.sent.load(Ordering::Relaxed).to_string()),
            ("publish/messages/dropped", totals.dropped.load(Ordering::Relaxed).to_string()),
        ]
    }
}

fn message(name: &str, value: String) -> Message {
    Message {
        topic: format!("{ROOT}{name}"),
        payload: value.into_bytes(),
        qos: QoS::AtMostOnce,
        retain: true,
        properties: MessageProperties::default(),
    }
}
