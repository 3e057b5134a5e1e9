//! Packets of MQTT 3.1 and 3.1.1, from and to what ntex-mqtt decodes and encodes.

use super::{qos, wire_qos};
use ntex::util::Bytes;
use ntex_mqtt::v3::codec::{
    Connect as WireConnect, ConnectAck, ConnectAckReason, Decoded, Encoded, Packet as WirePacket,
    Publish as WirePublish, SubscribeReturnCode,
};
use rollcall_session::{
    Connect, Outgoing, Packet, Password, Publish, RequestedSubscription, RetainHandling, Subscribe, SubscribeAnswer,
};
use rollcall_types::{Message, MessageProperties, Protocol, Will};
use std::sync::Arc;

/// A decoded packet; `None` for pieces of a payload, which a complete frame never gives.
pub(crate) fn packet(decoded: Decoded, protocol: Protocol) -> Option<Packet> {
    Some(match decoded {
        Decoded::Publish(publish, payload, _) => Packet::Publish(self::publish(&publish, &payload)),
        Decoded::PayloadChunk(..) => return None,
        Decoded::Packet(packet, _) => match packet {
            WirePacket::Connect(connect) => Packet::Connect(Box::new(self::connect(*connect, protocol))),
            WirePacket::PublishAck { packet_id } => Packet::PubAck(packet_id),
            WirePacket::PublishReceived { packet_id } => Packet::PubRec { packet_id, refused: false },
            WirePacket::PublishRelease { packet_id } => Packet::PubRel(packet_id),
            WirePacket::PublishComplete { packet_id } => Packet::PubComp(packet_id),
            WirePacket::Subscribe { packet_id, topic_filters } => Packet::Subscribe(Subscribe {
                packet_id,
                subscription_id: None,
                filters: topic_filters
                    .into_iter()
                    .map(|(filter, asked)| RequestedSubscription {
                        filter: filter.to_string(),
                        qos: qos(asked),
                        no_local: false,
                        retain_as_published: false,
                        retain_handling: RetainHandling::AtSubscribe,
                    })
                    .collect(),
            }),
            WirePacket::Unsubscribe { packet_id, topic_filters } => Packet::Unsubscribe {
                packet_id,
                filters: topic_filters.into_iter().map(|filter| filter.to_string()).collect(),
            },
            WirePacket::PingRequest => Packet::PingReq,
            WirePacket::Disconnect => Packet::Disconnect { reason: 0, session_expiry_s: None },
            WirePacket::ConnectAck(_)
            | WirePacket::SubscribeAck { .. }
            | WirePacket::UnsubscribeAck { .. }
            | WirePacket::PingResponse => Packet::ServerOnly,
        },
    })
}

fn connect(connect: WireConnect, protocol: Protocol) -> Connect {
    Connect {
        protocol,
        client_id: connect.client_id.to_string(),
        clean_start: connect.clean_session,
        keep_alive_s: connect.keep_alive,
        username: connect.username.map(|name| name.to_string()),
        password: connect.password.map(|password| Password(password.to_vec())),
        will: connect.last_will.map(|will| Will {
            message: Message {
                topic: will.topic.to_string(),
                payload: will.message.to_vec(),
                qos: qos(will.qos),
                retain: will.retain,
                properties: MessageProperties::default(),
            },
            delay_s: 0,
        }),
        session_expiry_s: 0,
        receive_maximum: u16::MAX,
        topic_alias_maximum: 0,
        authentication_method: None,
        authentication_data: Vec::new(),
    }
}

fn publish(publish: &WirePublish, payload: &Bytes) -> Publish {
    Publish {
        message: Arc::new(Message {
            topic: publish.topic.to_string(),
            payload: payload.to_vec(),
            qos: qos(publish.qos),
            retain: publish.retain,
            properties: MessageProperties::default(),
        }),
        packet_id: publish.packet_id,
        dup: publish.dup,
        topic_alias: None,
        has_subscription_id: false,
    }
}

/// A packet to encode, other than PUBLISH; `None` for what MQTT 3 does not have.
pub(crate) fn encodable(outgoing: &Outgoing, protocol: Protocol) -> Option<Encoded> {
    let packet = match outgoing {
        Outgoing::ConnAck(connack) => {
            let code = connack.code.v3_return_code()?;
            WirePacket::ConnectAck(ConnectAck {
                return_code: ConnectAckReason::try_from(code).ok()?,
                session_present: connack.session_present && protocol == Protocol::V311,
            })
        }
        Outgoing::PubAck(packet_id, _) => WirePacket::PublishAck { packet_id: *packet_id },
        Outgoing::PubRec(packet_id, _) => WirePacket::PublishReceived { packet_id: *packet_id },
        Outgoing::PubRel(packet_id, _) => WirePacket::PublishRelease { packet_id: *packet_id },
        Outgoing::PubComp(packet_id, _) => WirePacket::PublishComplete { packet_id: *packet_id },
        Outgoing::SubAck(packet_id, answers) => WirePacket::SubscribeAck {
            packet_id: *packet_id,
            status: answers.iter().map(|answer| return_code(*answer, protocol)).collect(),
        },
        Outgoing::UnsubAck(packet_id, _) => WirePacket::UnsubscribeAck { packet_id: *packet_id },
        Outgoing::PingResp => WirePacket::PingResponse,
        // PUBLISH is written by `publish.rs`; MQTT 3 has no DISCONNECT to a client.
        Outgoing::Publish(_) | Outgoing::Auth(_) | Outgoing::Disconnect { .. } => return None,
    };
    Some(Encoded::Packet(packet))
}

/// MQTT 3.1 has no failure in SUBACK: it grants QoS 0, and nothing comes.
fn return_code(answer: SubscribeAnswer, protocol: Protocol) -> SubscribeReturnCode {
    match answer {
        SubscribeAnswer::Granted { qos, .. } => SubscribeReturnCode::Success(wire_qos(qos)),
        SubscribeAnswer::Refused(_) if protocol == Protocol::V31 => {
            SubscribeReturnCode::Success(ntex_mqtt::QoS::AtMostOnce)
        }
        SubscribeAnswer::Refused(_) => SubscribeReturnCode::Failure,
    }
}
