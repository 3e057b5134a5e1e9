//! Packets of MQTT 5, from and to what ntex-mqtt decodes and encodes.

use super::qos;
use ntex::util::{ByteString, Bytes};
use ntex_mqtt::v5::codec::{
    Auth as WireAuth, AuthReasonCode, Connect as WireConnect, ConnectAck, ConnectAckReason, Decoded, Disconnect,
    DisconnectReasonCode, Encoded, LastWill, Packet as WirePacket, Publish as WirePublish, PublishAck, PublishAck2,
    PublishAck2Reason, PublishAckReason, RetainHandling as WireRetainHandling, Subscribe as WireSubscribe,
    SubscribeAck, SubscribeAckReason, UnsubscribeAck, UnsubscribeAckReason,
};
use rollcall_session::{
    Auth, AuthPurpose, ConnAck, Connect, Outgoing, Packet, Password, Publish, ReasonCode, RequestedSubscription,
    RetainHandling, Subscribe, SubscribeAnswer, UnsubscribeAnswer,
};
use rollcall_types::{Message, MessageProperties, Protocol, QoS, Will};
use std::{
    num::{NonZeroU16, NonZeroU32},
    sync::Arc,
};

/// A decoded packet; `None` for pieces of a payload, which a complete frame never gives.
pub(crate) fn packet(decoded: Decoded) -> Option<Packet> {
    Some(match decoded {
        Decoded::Publish(publish, payload, _) => Packet::Publish(self::publish(publish, &payload)),
        Decoded::PayloadChunk(..) => return None,
        Decoded::Packet(packet, _) => match packet {
            WirePacket::Connect(connect) => Packet::Connect(Box::new(self::connect(*connect))),
            WirePacket::PublishAck(ack) => Packet::PubAck(ack.packet_id),
            WirePacket::PublishReceived(ack) => {
                Packet::PubRec { packet_id: ack.packet_id, refused: u8::from(ack.reason_code) >= 0x80 }
            }
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
            WirePacket::Auth(auth) => Packet::Auth(Box::new(self::auth(auth))),
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
        receive_maximum: connect.receive_max.map_or(u16::MAX, NonZeroU16::get),
        topic_alias_maximum: connect.topic_alias_max,
        authentication_method: connect.auth_method.map(|method| method.to_string()),
        authentication_data: connect.auth_data.map_or_else(Vec::new, |data| data.to_vec()),
    }
}

fn auth(auth: WireAuth) -> Auth {
    Auth {
        purpose: match auth.reason_code {
            AuthReasonCode::Success => AuthPurpose::Success,
            AuthReasonCode::ContinueAuth => AuthPurpose::Continue,
            AuthReasonCode::ReAuth => AuthPurpose::Again,
        },
        method: auth.auth_method.map_or_else(String::new, |method| method.to_string()),
        data: auth.auth_data.map_or_else(Vec::new, |data| data.to_vec()),
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
        message: Arc::new(Message {
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
        }),
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

/// A packet to encode, other than PUBLISH; `why` is its reason string, if it is to have one.
pub(crate) fn encodable(outgoing: &Outgoing, why: Option<&'static str>) -> Option<Encoded> {
    let reason_string = why.map(ByteString::from_static);
    let packet = match outgoing {
        Outgoing::Publish(_) => return None, // written by `publish.rs`
        Outgoing::ConnAck(connack) => {
            WirePacket::ConnectAck(Box::new(ConnectAck { reason_string, ..self::connack(connack) }))
        }
        Outgoing::PubAck(packet_id, code) => WirePacket::PublishAck(ack(*packet_id, *code, reason_string)),
        Outgoing::PubRec(packet_id, code) => WirePacket::PublishReceived(ack(*packet_id, *code, reason_string)),
        Outgoing::PubRel(packet_id, code) => WirePacket::PublishRelease(ack_2(*packet_id, *code)),
        Outgoing::PubComp(packet_id, code) => WirePacket::PublishComplete(ack_2(*packet_id, *code)),
        Outgoing::SubAck(packet_id, answers) => WirePacket::SubscribeAck(SubscribeAck {
            packet_id: *packet_id,
            properties: Vec::new(),
            reason_string,
            status: answers.iter().map(|answer| suback(*answer)).collect(),
        }),
        Outgoing::UnsubAck(packet_id, answers) => WirePacket::UnsubscribeAck(UnsubscribeAck {
            packet_id: *packet_id,
            properties: Vec::new(),
            reason_string: None,
            status: answers
                .iter()
                .map(|answer| match answer {
                    UnsubscribeAnswer::Removed => UnsubscribeAckReason::Success,
                    UnsubscribeAnswer::NoneThere => UnsubscribeAckReason::NoSubscriptionExisted,
                    UnsubscribeAnswer::OverRate => UnsubscribeAckReason::ImplementationSpecificError,
                })
                .collect(),
        }),
        Outgoing::PingResp => WirePacket::PingResponse,
        Outgoing::Auth(auth) => WirePacket::Auth(WireAuth {
            reason_code: match auth.purpose {
                AuthPurpose::Success => AuthReasonCode::Success,
                AuthPurpose::Continue => AuthReasonCode::ContinueAuth,
                AuthPurpose::Again => AuthReasonCode::ReAuth,
            },
            auth_method: Some(ByteString::from(auth.method.as_str())),
            auth_data: binary(&auth.data),
            ..WireAuth::default()
        }),
        Outgoing::Disconnect { code, server_reference, .. } => {
            let code = DisconnectReasonCode::try_from(code.byte()).unwrap_or(DisconnectReasonCode::UnspecifiedError);
            let server_reference = server_reference.as_ref().map(|reference| ByteString::from(reference.as_ref()));
            WirePacket::Disconnect(Disconnect { server_reference, reason_string, ..Disconnect::new(code) })
        }
    };
    Some(Encoded::Packet(packet))
}

fn connack(connack: &ConnAck) -> ConnectAck {
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
        assigned_client_id: connack.assigned_client_id.as_deref().map(ByteString::from),
        topic_alias_max: connack.topic_alias_maximum,
        retain_available: true,
        wildcard_subscription_available: true,
        subscription_identifiers_available: true,
        shared_subscription_available: true,
        server_keepalive_sec: connack.server_keep_alive_s,
        auth_method: connack.authentication.as_ref().map(|(method, _)| ByteString::from(method.as_str())),
        auth_data: connack.authentication.as_ref().and_then(|(_, data)| binary(data)),
        ..ConnectAck::default()
    }
}

/// Data that are not there are not sent.
fn binary(data: &[u8]) -> Option<Bytes> {
    (!data.is_empty()).then(|| Bytes::copy_from_slice(data))
}

fn ack(packet_id: NonZeroU16, code: ReasonCode, reason_string: Option<ByteString>) -> PublishAck {
    let reason_code = PublishAckReason::try_from(code.byte()).unwrap_or(PublishAckReason::UnspecifiedError);
    PublishAck { packet_id, reason_code, properties: Vec::new(), reason_string }
}

fn ack_2(packet_id: NonZeroU16, code: ReasonCode) -> PublishAck2 {
    let reason_code = PublishAck2Reason::try_from(code.byte()).unwrap_or(PublishAck2Reason::PacketIdNotFound);
    PublishAck2 { packet_id, reason_code, properties: Vec::new(), reason_string: None }
}

fn suback(answer: SubscribeAnswer) -> SubscribeAckReason {
    match answer {
        SubscribeAnswer::Granted { qos, .. } => match qos {
            QoS::AtMostOnce => SubscribeAckReason::GrantedQos0,
            QoS::AtLeastOnce => SubscribeAckReason::GrantedQos1,
            QoS::ExactlyOnce => SubscribeAckReason::GrantedQos2,
        },
        SubscribeAnswer::Refused(code) => {
            SubscribeAckReason::try_from(code.byte()).unwrap_or(SubscribeAckReason::UnspecifiedError)
        }
    }
}
