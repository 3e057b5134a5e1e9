//! How many bytes operations take in the log, near enough to bound batches and entries by.

use rollcall_presence::{ClaimDetails, Operation};
use rollcall_retained::RetainedOperation;
use rollcall_types::{Message, Will};

/// What an operation takes beside its texts and payloads: numbers, lengths, tags.
const FIXED_BYTES: usize = 64;

/// An upper bound, within a few bytes a field, of the operation's encoded size.
pub(crate) fn operation_bytes(operation: &Operation) -> usize {
    match operation {
        Operation::Claim(details) => claim_bytes(details),
        Operation::Release { client_id, .. }
        | Operation::Kick { client_id, .. }
        | Operation::ChangeKeepAlive { client_id, .. } => FIXED_BYTES + client_id.as_str().len(),
    }
}

/// As [`operation_bytes`], of a claim.
pub(crate) fn claim_bytes(details: &ClaimDetails) -> usize {
    let texts = details.client_id.as_str().len() + details.username.len() + details.peer.len();
    FIXED_BYTES + texts + details.will.as_ref().map_or(0, will_bytes)
}

/// As [`operation_bytes`], of a change of a retained message.
pub(crate) fn retained_bytes(operation: &RetainedOperation) -> usize {
    match operation {
        RetainedOperation::Keep(message) => message_bytes(message),
        RetainedOperation::Clear { topic } => FIXED_BYTES + topic.len(),
    }
}

fn will_bytes(will: &Will) -> usize {
    message_bytes(&will.message)
}

fn message_bytes(message: &Message) -> usize {
    let Message { topic, payload, properties, .. } = message;
    let texts = [&properties.content_type, &properties.response_topic];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    let data = properties.correlation_data.as_ref().map_or(0, Vec::len);
    let user: usize = properties.user.iter().map(|(name, value)| FIXED_BYTES + name.len() + value.len()).sum();
    FIXED_BYTES + topic.len() + payload.len() + texts + data + user
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::payload;
    use rollcall_types::{ClientId, DisconnectReason, Epoch, MessageProperties, Protocol, QoS};

    #[test]
    fn the_weight_is_never_less_than_the_encoded_size() {
        let will = Will {
            delay_s: u32::MAX,
            message: Message {
                topic: "t".repeat(300),
                payload: vec![1; 70_000],
                qos: QoS::ExactlyOnce,
                retain: true,
                properties: MessageProperties {
                    utf8_payload: true,
                    expiry_s: Some(u32::MAX),
                    content_type: Some("c".repeat(200)),
                    response_topic: Some("r".repeat(200)),
                    correlation_data: Some(vec![2; 500]),
                    user: (0..500).map(|n| (format!("name-{n}"), "v".repeat(n))).collect(),
                },
            },
        };
        let claim = ClaimDetails {
            client_id: ClientId::new(&"i".repeat(65_535)).unwrap(),
            username: "u".repeat(100),
            protocol: Protocol::V5,
            clean_start: true,
            keep_alive_s: u16::MAX,
            session_expiry_s: u32::MAX,
            peer: "[2001:db8::1]:65535".to_owned(),
            bind_account: true,
            will: Some(will),
        };
        let client_id = claim.client_id.clone();
        let bare = ClaimDetails { will: None, client_id: ClientId::new("a").unwrap(), ..claim.clone() };
        let release = Operation::Release { client_id, epoch: Epoch(u64::MAX), reason: DisconnectReason::NodeLost };
        for operation in [Operation::Claim(Box::new(claim)), Operation::Claim(Box::new(bare)), release] {
            let encoded = payload::encode(&operation).unwrap().len();
            assert!(operation_bytes(&operation) >= encoded, "{} < {encoded}", operation_bytes(&operation));
        }
    }
}
