//! Between the codecs' packets and the neutral ones of `session`.

pub(crate) mod publish;
pub(crate) mod reason;
pub(crate) mod v3;
pub(crate) mod v5;

use rollcall_session::{Connect, Packet};
use rollcall_types::{Protocol, QoS};

/// A CONNECT that is out of order; what it says does not matter any more.
pub(crate) fn second_connect(protocol: Protocol) -> Packet {
    Packet::Connect(Box::new(Connect {
        protocol,
        client_id: String::new(),
        clean_start: false,
        keep_alive_s: 0,
        username: None,
        password: None,
        will: None,
        session_expiry_s: 0,
        receive_maximum: u16::MAX,
        topic_alias_maximum: 0,
        authentication_method: None,
        authentication_data: Vec::new(),
    }))
}

fn wire_qos(qos: QoS) -> ntex_mqtt::QoS {
    match qos {
        QoS::AtMostOnce => ntex_mqtt::QoS::AtMostOnce,
        QoS::AtLeastOnce => ntex_mqtt::QoS::AtLeastOnce,
        QoS::ExactlyOnce => ntex_mqtt::QoS::ExactlyOnce,
    }
}

fn qos(qos: ntex_mqtt::QoS) -> QoS {
    match qos {
        ntex_mqtt::QoS::AtMostOnce => QoS::AtMostOnce,
        ntex_mqtt::QoS::AtLeastOnce => QoS::AtLeastOnce,
        ntex_mqtt::QoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}
