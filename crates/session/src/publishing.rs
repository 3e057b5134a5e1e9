//! PUBLISH of a client: what it must be, whether it is new, and how it is acknowledged.

use crate::{
    Cause, ClientLimit, Connection, Effect, Fault, Order, Outgoing, Publish, PublishVerdict, ReasonCode, Receipt,
    Session, connect,
    connection::send,
    inbound::{Arrival, Arriving},
};
use rollcall_types::{Protocol, QoS};
use std::sync::Arc;

/// Most packet identifiers MQTT 3 can have under way: all there are.
const INBOUND_MAX_V3: usize = 65_535;

impl Connection {
    pub(crate) fn publish(&mut self, mut publish: Publish, session: Option<&mut Session>) -> Vec<Effect> {
        if let Err(fault) = self.check_publish(&mut publish) {
            return self.fault_at(self.passed(fault, &publish), fault);
        }
        let Publish { message, packet_id, dup, .. } = publish;
        let Some(packet_id) = packet_id else {
            return vec![Effect::Publish { message, receipt: None }];
        };
        let Some(session) = session else { return Vec::new() };
        let most = match self.protocol {
            Some(Protocol::V5) => usize::from(self.limits.receive_maximum),
            _ => INBOUND_MAX_V3,
        };
        let exactly_once = message.qos == QoS::ExactlyOnce;
        let arriving = Arriving { exactly_once, dup, bytes: message.payload.len() };
        match session.arrive(packet_id, &arriving, most) {
            Arrival::New => {
                let receipt = Receipt { packet_id, exactly_once };
                vec![Effect::Publish { message, receipt: Some(receipt) }]
            }
            Arrival::Pending => Vec::new(),
            Arrival::RepeatedTooOften => self.fault(Fault::ProtocolError),
            Arrival::Repeated if exactly_once => send(Outgoing::PubRec(packet_id, ReasonCode::Success)),
            Arrival::Repeated => send(Outgoing::PubAck(packet_id, ReasonCode::PacketIdentifierInUse)),
            Arrival::TooMany => self.fault_at(Some(ClientLimit::ReceiveMaximum), Fault::ReceiveMaximumExceeded),
        }
    }

    /// The limit that a publish is refused for, where it is one.
    fn passed(&self, fault: Fault, publish: &Publish) -> Option<ClientLimit> {
        match fault {
            Fault::TopicNameInvalid => self.limits.passed_by_topic(&publish.message.topic),
            Fault::PacketTooLarge => Some(ClientLimit::PayloadBytes),
            Fault::TopicAliasInvalid if publish.topic_alias != Some(0) => Some(ClientLimit::TopicAliases),
            _ => None,
        }
    }

    fn check_publish(&mut self, publish: &mut Publish) -> Result<(), Fault> {
        let has_qos = publish.message.qos != QoS::AtMostOnce;
        if publish.dup && !has_qos || has_qos != publish.packet_id.is_some() {
            return Err(Fault::Malformed); // MQTT-3.3.1-2, MQTT-2.2.1-2
        }
        if publish.has_subscription_id {
            return Err(Fault::ProtocolError); // MQTT-3.3.4-6
        }
        self.aliases.resolve(
            publish.topic_alias,
            Arc::make_mut(&mut publish.message),
            self.limits.topic_alias_maximum,
        )?;
        let message = &publish.message;
        connect::check_name(&message.topic, &self.limits)?;
        connect::check_properties(&message.properties)?;
        if self.limits.payload_fits(&message.payload) { Ok(()) } else { Err(Fault::PacketTooLarge) }
    }

    pub(crate) fn published(
        &mut self,
        receipt: Receipt,
        verdict: PublishVerdict,
        session: Option<&mut Session>,
    ) -> Vec<Effect> {
        let Some(session) = session else { return Vec::new() };
        let speaks_5 = self.protocol == Some(Protocol::V5);
        let code = match verdict {
            // In a PUBREC brokers in the field do not say so, and clients are tested against that.
            PublishVerdict::Accepted { matched: false } if speaks_5 && !receipt.exactly_once => {
                ReasonCode::NoMatchingSubscribers
            }
            PublishVerdict::Accepted { .. } => ReasonCode::Success,
            PublishVerdict::NotAuthorized if speaks_5 => ReasonCode::NotAuthorized,
            // MQTT 3 cannot say so and must be acknowledged or cut off (3.1.1, MQTT-3.3.5-2).
            PublishVerdict::NotAuthorized => ReasonCode::Success,
            PublishVerdict::OverQuota { .. } => ReasonCode::QuotaExceeded,
            PublishVerdict::NoReceiver | PublishVerdict::RetainedLimit if !speaks_5 => ReasonCode::Success,
            PublishVerdict::NoReceiver => ReasonCode::NoMatchingSubscribers,
            PublishVerdict::RetainedLimit => ReasonCode::QuotaExceeded,
            PublishVerdict::Failed | PublishVerdict::Unavailable { .. } if speaks_5 => ReasonCode::UnspecifiedError,
            // Without an acknowledgement an MQTT 3 client sends again, on its next connection.
            PublishVerdict::Failed | PublishVerdict::Unavailable { .. } => {
                return self.end(Cause::Ordered(Order::NodeLost));
            }
        };
        let accepted = matches!(code, ReasonCode::Success | ReasonCode::NoMatchingSubscribers);
        session.inbound.settle(receipt.packet_id, receipt.exactly_once && accepted);
        if receipt.exactly_once {
            send(Outgoing::PubRec(receipt.packet_id, code))
        } else {
            send(Outgoing::PubAck(receipt.packet_id, code))
        }
    }
}
