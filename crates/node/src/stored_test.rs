//! What nodes of format version 1 send each other beside their groups is read as ever: the answer to a node that joins,
//! and the messages of clients.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::{
    bytes_test::{hex, stored},
    joining::Beginning,
};
use rollcall_cluster::{DirectoryId, Founding, FoundingMember, NodeAddresses};
use rollcall_raft::payload;
use rollcall_types::{Message, MessageProperties, NodeId, NodeName, PartitionId, QoS};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt::Debug};

/// Holds values against a file: what is stored there decodes to them, and they are still encoded so.
fn hold<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, values: &[(&str, T)]) {
    let written: Vec<_> = values.iter().map(|(what, value)| (*what, payload::encode(value).unwrap())).collect();
    for (((what, value), (_, present)), bytes) in values.iter().zip(&written).zip(stored(name, &written)) {
        assert_eq!(&payload::decode::<T>(&bytes).unwrap(), value, "{name}: {what} is read as something else");
        assert_eq!(hex(present), hex(&bytes), "{name}: {what} is written in another way");
        let newer = [&[2], &bytes[1..]].concat();
        let refusal = payload::decode::<T>(&newer).unwrap_err().to_string();
        assert!(refusal.contains("format version 2 is newer"), "{refusal}");
    }
}

#[test]
fn a_newcomers_beginning_of_format_1_is_read_and_written_as_ever() {
    let addresses = NodeAddresses {
        mesh: "n1.example:7883".to_owned(),
        mqtt: Some("n1.example:1883".to_owned()),
        http: None,
        admin: None,
        zone: Some("a".to_owned()),
    };
    let member =
        FoundingMember { id: NodeId(1), name: NodeName("n1".to_owned()), directory: DirectoryId([1; 16]), addresses };
    let founding = Founding {
        cluster_id: "0123456789abcdef0123456789abcdef".to_owned(),
        name: "main".to_owned(),
        partitions: 1,
        replicas: 3,
        lease_ms: 4000,
        members: vec![member],
        placement: BTreeMap::from([(PartitionId(0), vec![NodeId(1)])]),
        users: Vec::new(),
        policies: Vec::new(),
        offline_record_keep_s: 604_800,
    };
    hold("beginning", &[("what a new member begins with", Beginning { node: NodeId(300), founding })]);
}

#[test]
fn messages_of_format_1_are_read_and_written_as_ever() {
    let full = MessageProperties {
        utf8_payload: true,
        expiry_s: Some(3600),
        content_type: Some("text/plain".to_owned()),
        response_topic: Some("answers".to_owned()),
        correlation_data: Some(vec![0, 255]),
        user: vec![("k".to_owned(), "v".to_owned()), ("k".to_owned(), String::new())],
    };
    let message = |qos, properties: &MessageProperties| Message {
        topic: "a/ü".to_owned(),
        payload: vec![1, 2, 3],
        qos,
        retain: qos == QoS::AtLeastOnce,
        properties: properties.clone(),
    };
    let bare = MessageProperties::default();
    hold(
        "message",
        &[
            ("QoS 0, without properties", message(QoS::AtMostOnce, &bare)),
            ("QoS 1, retained, with every property", message(QoS::AtLeastOnce, &full)),
            ("QoS 2, with every property", message(QoS::ExactlyOnce, &full)),
        ],
    );
}
