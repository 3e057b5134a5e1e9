//! A client event as the outside reads it: what one entry of a partition's feed is in JSON, wherever it is told.
//!
//! What does not belong here: who reads events, over which protocol, and from where on.

use rollcall_presence::{ConnectionFacts, FeedEntry, Transition};
use rollcall_types::{DisconnectReason, NodeName, PartitionId};
use serde::Serialize;

/// What an event tells.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum EventKind {
    /// A connection of a client began.
    Connected,
    /// A connection of a client ended.
    Disconnected,
}

/// One event. As JSON it is an object of the fields of either kind, in a fixed order; what is not known is `null`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientEvent<'a> {
    partition: PartitionId,
    entry: &'a FeedEntry,
    /// Why it ended; `None` for a beginning.
    ended: Option<DisconnectReason>,
    node: Option<&'a str>,
}

impl EventKind {
    /// The value of the field `event`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Connected => "client.connected",
            EventKind::Disconnected => "client.disconnected",
        }
    }

    /// The topic on which MQTT clients receive it.
    #[must_use]
    pub fn topic(self) -> &'static str {
        match self {
            EventKind::Connected => "$events/client_connected",
            EventKind::Disconnected => "$events/client_disconnected",
        }
    }
}

impl<'a> ClientEvent<'a> {
    /// The event that this entry of the partition's feed tells; `None` for a will, which is none. The name of the
    /// owner's node comes from whoever knows the members; a node that has left has none any more.
    #[must_use]
    pub fn of(partition: PartitionId, entry: &'a FeedEntry, node: Option<&'a NodeName>) -> Option<ClientEvent<'a>> {
        let ended = match entry.transition {
            Transition::Connected => None,
            Transition::Disconnected(reason) => Some(reason),
            Transition::WillDue(_) => return None,
        };
        Some(ClientEvent { partition, entry, ended, node: node.map(|name| name.0.as_str()) })
    }

    /// What it tells.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        if self.ended.is_none() { EventKind::Connected } else { EventKind::Disconnected }
    }

    /// Whether the client is online once the log entry of the event is applied: also after the end of a connection that
    /// a newer one displaced, which begins with the next entry of the same place in the log (B-046).
    fn leaves_online(&self) -> bool {
        matches!(self.ended, None | Some(DisconnectReason::Takeovered | DisconnectReason::Discarded))
    }

    /// The event as a JSON object.
    #[must_use]
    pub fn to_json(&self) -> String {
        let (entry, facts) = (self.entry, self.entry.facts.as_ref());
        let fields = Fields {
            event: self.kind().name(),
            clientid: entry.client_id.as_str(),
            username: facts.map(ConnectionFacts::username).filter(|username| !username.is_empty()),
            reason: self.ended.map(DisconnectReason::name),
            node: self.node,
            peername: facts.map(ConnectionFacts::peer),
            proto_ver: facts.map(|facts| facts.protocol().level()),
            clean_start: facts.map(ConnectionFacts::clean_start),
            keepalive: facts.map(ConnectionFacts::keep_alive_s),
            expiry_interval: facts.map(ConnectionFacts::session_expiry_s),
            connected_at: connected_at(entry, facts),
            disconnected_at: self.ended.map(|_| entry.at.0),
            timestamp: entry.at.0,
            epoch: entry.epoch.0,
            prev_epoch: facts.and_then(ConnectionFacts::prev_epoch).map(|epoch| epoch.0),
            partition: self.partition.0,
            index: entry.position.index.0,
            ordinal: entry.position.ordinal,
            online: self.leaves_online(),
            synthetic: self.ended == Some(DisconnectReason::NodeLost),
        };
        // Texts, numbers and flags: nothing that cannot be told in JSON.
        serde_json::to_string(&fields).unwrap_or_default()
    }
}

/// When the connection began: what its claim says, and for the claim's own entry its time.
fn connected_at(entry: &FeedEntry, facts: Option<&ConnectionFacts>) -> Option<u64> {
    let own = (entry.transition == Transition::Connected).then_some(entry.at.0);
    facts.map(|facts| facts.connected_at().0).or(own)
}

/// The fields by their names outside: first those of the reference, then ours.
#[derive(Serialize)]
struct Fields<'a> {
    event: &'static str,
    clientid: &'a str,
    /// `null` for an anonymous client.
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    node: Option<&'a str>,
    peername: Option<&'a str>,
    proto_ver: Option<u8>,
    clean_start: Option<bool>,
    keepalive: Option<u16>,
    expiry_interval: Option<u32>,
    connected_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnected_at: Option<u64>,
    timestamp: u64,
    epoch: u64,
    /// `null` where no earlier connection was on record.
    prev_epoch: Option<u64>,
    partition: u16,
    index: u64,
    ordinal: u32,
    /// Whether the client is online after the log entry that the event belongs to.
    online: bool,
    /// A survivor speaks for a dead node.
    synthetic: bool,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use rollcall_presence::UnpackedFacts;
    use rollcall_types::{
        ClientId, ClusterTime, Epoch, FeedPosition, Incarnation, LogIndex, Message, MessageProperties, NodeId, Owner,
        Protocol, QoS, Will,
    };

    fn entry(transition: Transition) -> FeedEntry {
        let facts = UnpackedFacts {
            connected_at: ClusterTime(1_717_651_184_811),
            prev_epoch: Some(Epoch(41)),
            username: "sample_user".into(),
            peer: "10.0.0.1:5768".into(),
            session_expiry_s: 300,
            keep_alive_s: 60,
            protocol: Protocol::V311,
            clean_start: true,
        };
        let ended = matches!(transition, Transition::Disconnected(_));
        FeedEntry {
            position: FeedPosition { index: LogIndex(70_000), ordinal: 2 },
            at: ClusterTime(1_717_651_184_811 + if ended { 9000 } else { 0 }),
            client_id: ClientId::new("car/\"ü\" #1").unwrap(),
            epoch: Epoch(42),
            owner: Owner { node: NodeId(1), incarnation: Incarnation(2) },
            transition,
            facts: Some(facts.into()),
        }
    }

    fn json(entry: &FeedEntry, node: Option<&str>) -> String {
        let node = node.map(|name| NodeName(name.to_owned()));
        ClientEvent::of(PartitionId(3), entry, node.as_ref()).unwrap().to_json()
    }

    #[test]
    fn a_connect_is_told_with_every_field() {
        let entry = entry(Transition::Connected);
        let expected = concat!(
            r#"{"event":"client.connected","clientid":"car/\"ü\" #1","username":"sample_user","node":"n1","#,
            r#""peername":"10.0.0.1:5768","proto_ver":4,"clean_start":true,"keepalive":60,"expiry_interval":300,"#,
            r#""connected_at":1717651184811,"timestamp":1717651184811,"epoch":42,"prev_epoch":41,"partition":3,"#,
            r#""index":70000,"ordinal":2,"online":true,"synthetic":false}"#,
        );
        assert_eq!(json(&entry, Some("n1")), expected);
        let event = ClientEvent::of(PartitionId(3), &entry, None).unwrap();
        assert_eq!(event.kind().topic(), "$events/client_connected");
    }

    #[test]
    fn a_disconnect_is_told_with_every_field() {
        let entry = entry(Transition::Disconnected(DisconnectReason::KeepaliveTimeout));
        let expected = concat!(
            r#"{"event":"client.disconnected","clientid":"car/\"ü\" #1","username":"sample_user","#,
            r#""reason":"keepalive_timeout","node":"n1","peername":"10.0.0.1:5768","proto_ver":4,"clean_start":true,"#,
            r#""keepalive":60,"expiry_interval":300,"connected_at":1717651184811,"disconnected_at":1717651193811,"#,
            r#""timestamp":1717651193811,"epoch":42,"prev_epoch":41,"partition":3,"index":70000,"ordinal":2,"#,
            r#""online":false,"synthetic":false}"#,
        );
        assert_eq!(json(&entry, Some("n1")), expected);
        let event = ClientEvent::of(PartitionId(3), &entry, None).unwrap();
        assert_eq!(event.kind().topic(), "$events/client_disconnected");
    }

    #[test]
    fn what_nobody_knows_is_null_and_a_survivor_speaks_for_a_dead_node() {
        let mut lost = entry(Transition::Disconnected(DisconnectReason::NodeLost));
        lost.facts = None;
        let expected = concat!(
            r#"{"event":"client.disconnected","clientid":"car/\"ü\" #1","username":null,"reason":"node_lost","#,
            r#""node":null,"peername":null,"proto_ver":null,"clean_start":null,"keepalive":null,"#,
            r#""expiry_interval":null,"connected_at":null,"disconnected_at":1717651193811,"#,
            r#""timestamp":1717651193811,"epoch":42,"prev_epoch":null,"partition":3,"index":70000,"ordinal":2,"#,
            r#""online":false,"synthetic":true}"#,
        );
        assert_eq!(json(&lost, None), expected);
        let mut first = entry(Transition::Connected);
        first.facts = None;
        assert!(json(&first, None).contains(r#""connected_at":1717651184811"#));
        let named = UnpackedFacts::from(entry(Transition::Connected).facts.unwrap());
        first.facts = Some(UnpackedFacts { username: "".into(), ..named }.into());
        assert!(json(&first, None).contains(r#""username":null"#));
    }

    #[test]
    fn every_reason_is_told_by_its_name() {
        use DisconnectReason as R;
        let named = [
            (R::Normal, "normal"),
            (R::NormalWithWill, "normal"),
            (R::Takeovered, "takeovered"),
            (R::Kicked, "kicked"),
            (R::Discarded, "discarded"),
            (R::KeepaliveTimeout, "keepalive_timeout"),
            (R::ConnectionLost, "connection_lost"),
            (R::ProtocolError, "protocol_error"),
            (R::NotAuthorized, "not_authorized"),
            (R::AuthenticationExpired, "authentication_expired"),
            (R::QuotaExceeded, "quota_exceeded"),
            (R::ServerShutdown, "server_shutdown"),
            (R::NodeLost, "node_lost"),
        ];
        for (reason, name) in named {
            let told = json(&entry(Transition::Disconnected(reason)), Some("n1"));
            assert!(told.contains(&format!(r#""reason":"{name}""#)), "{told}");
            assert_eq!(told.contains(r#""synthetic":true"#), reason == R::NodeLost, "{told}");
            let displaced = [R::Takeovered, R::Discarded].contains(&reason);
            assert_eq!(told.contains(r#""online":true"#), displaced, "{told}");
        }
    }

    #[test]
    fn a_will_is_no_event() {
        let message = Message {
            topic: "gone".to_owned(),
            payload: Vec::new(),
            qos: QoS::AtMostOnce,
            retain: false,
            properties: MessageProperties::default(),
        };
        let entry = entry(Transition::WillDue(Box::new(Will { message, delay_s: 0 })));
        assert!(ClientEvent::of(PartitionId(3), &entry, None).is_none());
    }
}
