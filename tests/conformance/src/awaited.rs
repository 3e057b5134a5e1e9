//! Statements that the broker does not keep yet: sessions stay on their node, and a QoS 0 message is retained a moment
//! after it was handed on. Their tests run like all others; one that holds although it
//! stands here is reported, so that the lists only shrink.

/// Of 3.1.1.
pub const V311: &[&str] = &[
    "MQTT-3.1.2-4",
    "MQTT-3.1.2-5",
    "MQTT-3.1.2-6",
    "MQTT-3.1.2-17",
    "MQTT-3.2.2-2",
    "MQTT-3.3.1-1",
    "MQTT-3.3.1-5",
    "MQTT-3.3.1-6",
    "MQTT-3.3.1-8",
    "MQTT-3.3.1-10",
    "MQTT-3.3.1-11",
    "MQTT-3.3.1-12",
    "MQTT-3.8.4-3",
    "MQTT-4.4.0-1",
    "MQTT-4.5.0-1",
];

/// Of 5.0.
pub const V5: &[&str] = &[
    "MQTT-3.1.2-4",
    "MQTT-3.1.2-5",
    "MQTT-3.1.2-15",
    "MQTT-3.1.2-23",
    "MQTT-3.3.1-1",
    "MQTT-3.3.1-5",
    "MQTT-3.3.1-6",
    "MQTT-3.3.1-7",
    "MQTT-3.3.1-8",
    "MQTT-3.3.1-9",
    "MQTT-3.3.1-10",
    "MQTT-3.3.1-11",
    "MQTT-3.8.4-4",
    "MQTT-4.4.0-1",
    "MQTT-4.5.0-1",
];
