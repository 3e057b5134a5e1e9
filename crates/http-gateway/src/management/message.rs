//! A message as JSON: its payload as text where it is UTF-8, in base64 otherwise.

use super::subscriptions::{level, quality};
use crate::{error_response::Problem, publish_parameters::has_null};
use base64::{Engine, engine::general_purpose::STANDARD};
use rollcall_types::{Message, MessageProperties, check_topic_name};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest text of a property (MQTT 5.0, 1.5.4).
const TEXT_BYTES_MAX: usize = 65_535;

#[derive(Serialize, ToSchema)]
#[schema(as = Message)]
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
#[derive(Serialize, Deserialize, Default, ToSchema)]
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

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserProperty {
    pub(super) name: String,
    pub(super) value: String,
}

/// A message that somebody hands in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GivenMessage)]
pub(super) struct Given {
    topic: String,
    /// Text; this or the other, or neither for none.
    #[serde(default)]
    payload: Option<String>,
    /// Any bytes.
    #[serde(default)]
    payload_base64: Option<String>,
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
    /// As which client it is published; no connection of that client is concerned.
    #[serde(default)]
    pub(super) client_id: Option<String>,
    #[serde(default)]
    properties: Properties,
}

impl Given {
    pub(super) fn into_message(self) -> Result<Message, Problem> {
        let invalid = |sentence| Problem::invalid("invalid_message", sentence);
        let payload = match (self.payload, self.payload_base64) {
            (Some(_), Some(_)) => return Err(invalid("there is payload or payload_base64, not both")),
            (Some(text), None) => text.into_bytes(),
            (None, Some(text)) => STANDARD.decode(text).map_err(|_| invalid("payload_base64 is not base64"))?,
            (None, None) => Vec::new(),
        };
        let qos = quality(self.qos).ok_or(invalid("qos is 0, 1 or 2"))?;
        let properties = self.properties.into_properties()?;
        Ok(Message { topic: self.topic, payload, qos, retain: self.retain, properties })
    }
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
    fn into_properties(self) -> Result<MessageProperties, Problem> {
        let invalid = |sentence| Problem::invalid("invalid_message", sentence);
        let utf8_payload = match self.payload_format_indicator {
            None | Some(0) => false,
            Some(1) => true,
            Some(_) => return Err(invalid("payload_format_indicator is 0 or 1")),
        };
        if self.content_type.as_deref().is_some_and(has_null) {
            return Err(invalid("content_type contains U+0000"));
        }
        if self.response_topic.as_deref().is_some_and(|topic| check_topic_name(topic).is_err()) {
            return Err(invalid("response_topic is a topic without wildcards and U+0000"));
        }
        let data = self.correlation_data_base64.map(|text| STANDARD.decode(text)).transpose();
        let correlation_data = data.map_err(|_| invalid("correlation_data_base64 is not base64"))?;
        if self.user_properties.iter().any(|one| has_null(&one.name) || has_null(&one.value)) {
            return Err(invalid("a user property contains U+0000"));
        }
        let texts = [self.content_type.as_ref(), self.response_topic.as_ref()];
        let user = self.user_properties.iter().flat_map(|one| [&one.name, &one.value]);
        let longest = texts.into_iter().flatten().chain(user).map(String::len).max().unwrap_or_default();
        if longest > TEXT_BYTES_MAX || correlation_data.as_ref().is_some_and(|data| data.len() > TEXT_BYTES_MAX) {
            return Err(invalid("a property has at most 65535 bytes"));
        }
        Ok(MessageProperties {
            utf8_payload,
            expiry_s: self.message_expiry_interval,
            content_type: self.content_type,
            response_topic: self.response_topic,
            correlation_data,
            user: self.user_properties.into_iter().map(|one| (one.name, one.value)).collect(),
        })
    }

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
