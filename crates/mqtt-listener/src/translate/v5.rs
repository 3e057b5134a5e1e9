//! Packets of MQTT 5, from and to what ntex-mqtt decodes and encodes.

use super::qos;
use ntex::util::{ByteString, Bytes};
use ntex_mqtt::v5::codec::{
    Connect as WireConnect, ConnectAck, ConnectAckReason, Decoded, Disconnect, DisconnectReasonCode, Encoded, LastWill,
    Packet as WirePacket, Publish as WirePublish, PublishAck, PublishAck2, PublishAck2Reason, PublishAckReason,
    PublishProperties, RetainHandling as WireRetainHandling, Subscribe as WireSubscribe, SubscribeAck,
    SubscribeAckReason, UnsubscribeAck, UnsubscribeAckReason,
};
use rollcall_session::{
    ConnAck, Connect, Delivery, Outgoing, Packet, Password, Publish, ReasonCode, RequestedSubscription, RetainHandling,
    Subscribe, SubscribeAnswer,
};
use rollcall_types::{Message, MessageProperties, Protocol, Will};
use std::num::{NonZeroU16, NonZeroU32};

/// Largest body of a packet: four bytes of length (MQTT 5.0, 2.1.4).
pub(crate) const BODY_BYTES_MAX: usize = 268_435_455;

/// A decoded packet; `None` for pieces of a payload, which a complete frame never gives.
pub(crate) fn packet(decoded: Decoded) -> Option<Packet> {
    Some(match decoded {
        Decoded::Publish(publish, payload, _) => Packet::Publish(self::publish(publish, &payload)),
        Decoded::PayloadChunk(..) => return None,
        Decoded::Packet(packet, _) => match packet {
            WirePacket::Connect(connect) => Packet::Connect(Box::new(self::connect(*connect))),
            WirePacket::PublishAck(ack) => Packet::PubAck(ack.packet_id),
            WirePacket::PublishReceived(ack) => Packet::PubRec(ack.packet_id),
            WirePacket::PublishRelease(ack) => Packet::PubRel(ack.packet_id),
            WirePacket::PublishComplete(ack) => Packet::PubComp(ack.packet_id),
            WirePacket::Subscribe(subscribe) => Packet::Subscribe(self::subscribe(subscribe)),
            WirePacket::Unsubscribe(unsubscribe) => Packet::Unsubscribe {
                packet_id: unsubscribe.packet_id,
                filters: unsubscribe.topic_filters.into_iter().map(|filter| filter.to_string()).collect(),
            },
            WirePacket::PingRequest => Packet::PingReq,
            WirePacket::Disconnect(disconnect) => Packet::Disconnect {
                reason: disconnect.reason_code.into(),
                session_expiry_s: disconnect.session_expiry_interval_secs,
            },
            WirePacket::Auth(_) => Packet::Auth,
            WirePacket::ConnectAck(_)
            | WirePacket::SubscribeAck(_)
            | WirePacket::UnsubscribeAck(_)
            | WirePacket::PingResponse => Packet::ServerOnly,
        },
    })
}

fn connect(connect: WireConnect) -> Connect {
    Connect {
        protocol: Protocol::V5,
        client_id: connect.client_id.to_string(),
        clean_start: connect.clean_start,
        keep_alive_s: connect.keep_alive,
        username: connect.username.map(|name| name.to_string()),
        password: connect.password.map(|password| Password(password.to_vec())),
        will: connect.last_will.map(will),
        session_expiry_s: connect.session_expiry_interval_secs,
        authentication_method: connect.auth_method.map(|method| method.to_string()),
    }
}

fn will(will: LastWill) -> Will {
    Will {
        message: Message {
            topic: will.topic.to_string(),
            payload: will.message.to_vec(),
            qos: qos(will.qos),
            retain: will.retain,
            properties: MessageProperties {
                utf8_payload: will.is_utf8_payload.unwrap_or(false),
                expiry_s: will.message_expiry_interval.map(NonZeroU32::get),
                content_type: will.content_type.map(|text| text.to_string()),
                response_topic: will.response_topic.map(|topic| topic.to_string()),
                correlation_data: will.correlation_data.map(|data| data.to_vec()),
                user: pairs(will.user_properties),
            },
        },
        delay_s: will.will_delay_interval_sec.unwrap_or(0),
    }
}

fn publish(publish: WirePublish, payload: &Bytes) -> Publish {
    let properties = publish.properties;
    Publish {
        message: Message {
            topic: publish.topic.to_string(),
            payload: payload.to_vec(),
            qos: qos(publish.qos),
            retain: publish.retain,
            properties: MessageProperties {
                utf8_payload: properties.is_utf8_payload,
                expiry_s: properties.message_expiry_interval.map(NonZeroU32::get),
                content_type: properties.content_type.map(|text| text.to_string()),
                response_topic: properties.response_topic.map(|topic| topic.to_string()),
                correlation_data: properties.correlation_data.map(|data| data.to_vec()),
                user: pairs(properties.user_properties),
            },
        },
        packet_id: publish.packet_id,
        dup: publish.dup,
        topic_alias: properties.topic_alias.map(NonZeroU16::get),
        has_subscription_id: !properties.subscription_ids.is_empty(),
    }
}

fn subscribe(subscribe: WireSubscribe) -> Subscribe {
    Subscribe {
        packet_id: subscribe.packet_id,
        subscription_id: subscribe.id,
        filters: subscribe
            .topic_filters
            .into_iter()
            .map(|(filter, options)| RequestedSubscription {
                filter: filter.to_string(),
                qos: qos(options.qos),
                no_local: options.no_local,
                retain_as_published: options.retain_as_published,
                retain_handling: match options.retain_handling {
                    WireRetainHandling::AtSubscribe => RetainHandling::AtSubscribe,
                    WireRetainHandling::AtSubscribeNew => RetainHandling::AtNewSubscribe,
                    WireRetainHandling::NoAtSubscribe => RetainHandling::Never,
                },
            })
            .collect(),
    }
}

fn pairs(properties: Vec<(ByteString, ByteString)>) -> Vec<(String, String)> {
    properties.into_iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// A packet to encode; `None` for a message that MQTT cannot carry.
pub(crate) fn encodable(outgoing: Outgoing) -> Option<Encoded> {
    let packet = match outgoing {
        Outgoing::Publish(delivery) => return deliver(delivery),
        Outgoing::ConnAck(connack) => WirePacket::ConnectAck(Box::new(self::connack(*connack))),
        Outgoing::PubAck(packet_id, code) => WirePacket::PublishAck(ack(packet_id, code)),
        Outgoing::PubRec(packet_id, code) => WirePacket::PublishReceived(ack(packet_id, code)),
        Outgoing::PubRel(packet_id, code) => WirePacket::PublishRelease(ack_2(packet_id, code)),
        Outgoing::PubComp(packet_id, code) => WirePacket::PublishComplete(ack_2(packet_id, code)),
        Outgoing::SubAck(packet_id, answers) => WirePacket::SubscribeAck(SubscribeAck {
            packet_id,
            properties: Vec::new(),
            reason_string: None,
            status: answers.into_iter().map(suback).collect(),
        }),
        Outgoing::UnsubAck(packet_id, existed) => WirePacket::UnsubscribeAck(UnsubscribeAck {
            packet_id,
            properties: Vec::new(),
            reason_string: None,
            status: existed
                .into_iter()
                .map(|existed| match existed {
                    true => UnsubscribeAckReason::Success,
                    false => UnsubscribeAckReason::NoSubscriptionExisted,
                })
                .collect(),
        }),
        Outgoing::PingResp => WirePacket::PingResponse,
        Outgoing::Disconnect { code, server_reference } => {
            let code = DisconnectReasonCode::try_from(code.byte()).unwrap_or(DisconnectReasonCode::UnspecifiedError);
            let server_reference = server_reference.map(|reference| ByteString::from(reference.as_ref()));
            WirePacket::Disconnect(Disconnect { server_reference, ..Disconnect::new(code) })
        }
    };
    Some(Encoded::Packet(packet))
}

/// What the broker does not have yet is said: no shared subscriptions, no topic aliases.
fn connack(connack: ConnAck) -> ConnectAck {
    let reason_code = ConnectAckReason::try_from(connack.code.byte()).unwrap_or(ConnectAckReason::UnspecifiedError);
    if connack.code != ReasonCode::Success {
        return ConnectAck { reason_code, ..ConnectAck::default() };
    }
    ConnectAck {
        session_present: connack.session_present,
        reason_code,
        session_expiry_interval_secs: connack.session_expiry_s,
        receive_max: NonZeroU16::new(connack.receive_maximum).unwrap_or(NonZeroU16::MAX),
        max_packet_size: Some(connack.packet_bytes_max).filter(|most| *most > 0),
        assigned_client_id: connack.assigned_client_id.map(ByteString::from),
        topic_alias_max: 0,
        retain_available: true,
        wildcard_subscription_available: true,
        subscription_identifiers_available: true,
        shared_subscription_available: false,
        server_keepalive_sec: connack.server_keep_alive_s,
        ..ConnectAck::default()
    }
}

fn ack(packet_id: NonZeroU16, code: ReasonCode) -> PublishAck {
    let reason_code = PublishAckReason::try_from(code.byte()).unwrap_or(PublishAckReason::UnspecifiedError);
    PublishAck { packet_id, reason_code, properties: Vec::new(), reason_string: None }
}

fn ack_2(packet_id: NonZeroU16, code: ReasonCode) -> PublishAck2 {
    let reason_code = PublishAck2Reason::try_from(code.byte()).unwrap_or(PublishAck2Reason::PacketIdNotFound);
    PublishAck2 { packet_id, reason_code, properties: Vec::new(), reason_string: None }
}

fn suback(answer: SubscribeAnswer) -> SubscribeAckReason {
    match answer {
        SubscribeAnswer::Granted => SubscribeAckReason::GrantedQos0,
        SubscribeAnswer::Refused(code) => {
            SubscribeAckReason::try_from(code.byte()).unwrap_or(SubscribeAckReason::UnspecifiedError)
        }
    }
}

/// Lengths are checked here, since the encoder may panic or stop half-way on what does not fit.
fn deliver(delivery: Delivery) -> Option<Encoded> {
    let message = &delivery.message;
    if !fits(message) {
        return None;
    }
    let properties = &message.properties;
    let publish = WirePublish {
        dup: false,
        retain: delivery.retain,
        qos: ntex_mqtt::QoS::AtMostOnce,
        packet_id: None,
        topic: ByteString::from(message.topic.as_str()),
        payload_size: u32::try_from(message.payload.len()).ok()?,
        properties: PublishProperties {
            topic_alias: None,
            correlation_data: properties.correlation_data.as_deref().map(Bytes::copy_from_slice),
            message_expiry_interval: properties.expiry_s.and_then(NonZeroU32::new),
            content_type: properties.content_type.as_deref().map(ByteString::from),
            user_properties: properties
                .user
                .iter()
                .map(|(key, value)| (ByteString::from(key.as_str()), ByteString::from(value.as_str())))
                .collect(),
            is_utf8_payload: properties.utf8_payload,
            response_topic: properties.response_topic.as_deref().map(ByteString::from),
            subscription_ids: delivery.subscription_ids,
        },
    };
    Some(Encoded::Publish(publish, Some(Bytes::copy_from_slice(&message.payload))))
}

fn fits(message: &Message) -> bool {
    /// Identifiers and lengths of all properties but the user's, and of the subscription identifiers.
    const OVERHEAD: usize = 4096;
    let short = |len: usize| u16::try_from(len).is_ok();
    let properties = &message.properties;
    let texts = [&properties.content_type, &properties.response_topic].map(|text| text.as_ref().map_or(0, String::len));
    let correlation = properties.correlation_data.as_ref().map_or(0, Vec::len);
    let user_fits = properties.user.iter().all(|(key, value)| short(key.len()) && short(value.len()));
    let user: usize = properties.user.iter().map(|(key, value)| key.len() + value.len() + 5).sum();
    let all = message.topic.len() + message.payload.len() + texts[0] + texts[1] + correlation + user + OVERHEAD;
    short(message.topic.len())
        && texts.iter().all(|len| short(*len))
        && short(correlation)
        && user_fits
        && all <= BODY_BYTES_MAX
}
