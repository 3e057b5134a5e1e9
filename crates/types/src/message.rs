//! An application message as it travels between sessions and nodes, and the will a claim carries.

use serde::{Deserialize, Serialize};

/// Quality of service (MQTT 5.0, 4.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub enum QoS {
    /// At most once.
    #[default]
    AtMostOnce,
    /// At least once.
    AtLeastOnce,
    /// Exactly once.
    ExactlyOnce,
}

/// The MQTT 5 properties that an application message keeps from publisher to subscriber (MQTT 5.0, 3.3.2.3).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct MessageProperties {
    /// Payload Format Indicator: true when the payload is UTF-8.
    pub utf8_payload: bool,
    /// Message Expiry Interval in seconds.
    pub expiry_s: Option<u32>,
    /// Content Type.
    pub content_type: Option<String>,
    /// Response Topic.
    pub response_topic: Option<String>,
    /// Correlation Data.
    pub correlation_data: Option<Vec<u8>>,
    /// User Properties, in order.
    pub user: Vec<(String, String)>,
}

/// One application message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Message {
    /// Topic name; validated by whoever made the message.
    pub topic: String,
    /// Payload bytes.
    pub payload: Vec<u8>,
    /// QoS of the publish.
    pub qos: QoS,
    /// RETAIN flag of the publish.
    pub retain: bool,
    /// MQTT 5 properties.
    pub properties: MessageProperties,
}

/// A will and when it is due after the connection's end (MQTT 5.0, 3.1.3.2.2).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Will {
    /// What to publish.
    pub message: Message,
    /// Will Delay Interval in seconds; 0 for MQTT 3.
    pub delay_s: u32,
}
