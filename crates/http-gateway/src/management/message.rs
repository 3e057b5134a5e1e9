//! A message as JSON: its payload as text where it is UTF-8, in base64 otherwise.

use super::subscriptions::level;
use base64::{Engine, engine::general_purpose::STANDARD};
use rollcall_types::{Message, MessageProperties};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
pub(super) struct Shown {
    pub(super) topic: String,
    /// Where it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    /// Where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    qos: u8,
    retain: bool,
    properties: Properties,
}

/// Properties of MQTT 5, each left out where it is not there.
#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Properties {
    /// The payload is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payload_format_indicator: Option<u8>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message_expiry_interval: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) correlation_data_base64: Option<String>,
    /// In order; names may come again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) user_properties: Vec<UserProperty>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserProperty {
    pub(super) name: String,
    pub(super) value: String,
}

impl Shown {
    pub(super) fn of(message: Message) -> Self {
        let (payload, payload_base64) = match String::from_utf8(message.payload) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(STANDARD.encode(error.as_bytes()))),
        };
        let (qos, retain) = (level(message.qos), message.retain);
        let properties = Properties::of(message.properties);
        Shown { topic: message.topic, payload, payload_base64, qos, retain, properties }
    }
}

impl Properties {
    fn of(properties: MessageProperties) -> Self {
        Properties {
            payload_format_indicator: properties.utf8_payload.then_some(1),
            message_expiry_interval: properties.expiry_s,
            content_type: properties.content_type,
            response_topic: properties.response_topic,
            correlation_data_base64: properties.correlation_data.map(|data| STANDARD.encode(data)),
            user_properties: properties.user.into_iter().map(|(name, value)| UserProperty { name, value }).collect(),
        }
    }
}
