//! The events of sessions as the outside reads them: a subscription was added to one, or removed from it, or it ended and
//! took all of them along; and which client an event of any kind is about.
//!
//! What does not belong here: the events of connections (`client_event.rs`), and the way of an event to its readers.

use rollcall_types::{ClientId, Epoch, QoS};
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, num::NonZeroU32};

/// What all topics of events begin with.
pub const EVENTS_ROOT: &str = "$events/";

/// What became of the subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SubscriptionChange {
    /// It was added, or its options were replaced.
    Subscribed,
    /// It was removed by the client. The end of a session is another event, one for all ([`SessionEnded`]).
    Unsubscribed,
}

/// One such event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionEvent<'a> {
    /// What became of it.
    pub change: SubscriptionChange,
    /// Whose session it is.
    pub client_id: &'a ClientId,
    /// The account; empty for an anonymous client.
    pub username: &'a str,
    /// Address of the client.
    pub peer_host: IpAddr,
    /// Name of the client's node.
    pub node: &'a str,
    /// The topic filter, `$share/group/` included.
    pub filter: &'a str,
    /// QoS granted.
    pub qos: QoS,
    /// Subscription identifier, if any.
    pub subscription_id: Option<NonZeroU32>,
    /// Epoch of the connection that asked for it.
    pub epoch: Epoch,
    /// Wall clock of the client's node, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// A session ended that had subscriptions, however it came to end. One that moves to another node does not end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionEnded<'a> {
    /// Whose session it was.
    pub client_id: &'a ClientId,
    /// The account; empty for an anonymous client.
    pub username: &'a str,
    /// Name of the node that held it.
    pub node: &'a str,
    /// How many subscriptions went with it.
    pub subscriptions: usize,
    /// Epoch of the last connection it served.
    pub epoch: Epoch,
    /// Wall clock of the node, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl SessionEnded<'_> {
    /// The topic on which MQTT clients receive it.
    pub const TOPIC: &'static str = "$events/session_ended";

    /// The event as a JSON object.
    #[must_use]
    pub fn to_json(&self) -> String {
        let fields = EndFields {
            event: "session.ended",
            clientid: self.client_id.as_str(),
            username: (!self.username.is_empty()).then_some(self.username),
            node: self.node,
            subscriptions: self.subscriptions,
            timestamp: self.at_ms,
            epoch: self.epoch.0,
        };
        // Texts and numbers: nothing that cannot be told in JSON.
        serde_json::to_string(&fields).unwrap_or_default()
    }
}

impl SubscriptionChange {
    /// The value of the field `event`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SubscriptionChange::Subscribed => "session.subscribed",
            SubscriptionChange::Unsubscribed => "session.unsubscribed",
        }
    }

    /// The topic on which MQTT clients receive it.
    #[must_use]
    pub fn topic(self) -> &'static str {
        match self {
            SubscriptionChange::Subscribed => "$events/session_subscribed",
            SubscriptionChange::Unsubscribed => "$events/session_unsubscribed",
        }
    }
}

impl SessionEvent<'_> {
    /// The event as a JSON object.
    #[must_use]
    pub fn to_json(&self) -> String {
        let properties = || Properties { subscription_identifier: self.subscription_id.map(NonZeroU32::get) };
        let subscribed = self.change == SubscriptionChange::Subscribed;
        let fields = Fields {
            event: self.change.name(),
            clientid: self.client_id.as_str(),
            username: (!self.username.is_empty()).then_some(self.username),
            node: self.node,
            peerhost: self.peer_host,
            topic: self.filter,
            qos: match self.qos {
                QoS::AtMostOnce => 0,
                QoS::AtLeastOnce => 1,
                QoS::ExactlyOnce => 2,
            },
            sub_props: subscribed.then(properties),
            unsub_props: (!subscribed).then(Properties::default),
            timestamp: self.at_ms,
            epoch: self.epoch.0,
        };
        // Texts, numbers and flags: nothing that cannot be told in JSON.
        serde_json::to_string(&fields).unwrap_or_default()
    }
}

/// The client that an event of any kind is about, from its JSON.
#[must_use]
pub fn client_of_event(json: &[u8]) -> Option<ClientId> {
    #[derive(Deserialize)]
    struct About {
        clientid: String,
    }
    serde_json::from_slice::<About>(json).ok().and_then(|about| ClientId::new(&about.clientid).ok())
}

#[derive(Serialize)]
struct Fields<'a> {
    event: &'static str,
    clientid: &'a str,
    /// `null` for an anonymous client.
    username: Option<&'a str>,
    node: &'a str,
    peerhost: IpAddr,
    topic: &'a str,
    qos: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_props: Option<Properties>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsub_props: Option<Properties>,
    timestamp: u64,
    epoch: u64,
}

#[derive(Serialize)]
struct EndFields<'a> {
    event: &'static str,
    clientid: &'a str,
    /// `null` for an anonymous client.
    username: Option<&'a str>,
    node: &'a str,
    subscriptions: usize,
    timestamp: u64,
    epoch: u64,
}

/// Properties of the packet, by their names in MQTT 5.
#[derive(Serialize, Default)]
struct Properties {
    #[serde(rename = "Subscription-Identifier", skip_serializing_if = "Option::is_none")]
    subscription_identifier: Option<u32>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn json(change: SubscriptionChange, username: &str, id: Option<NonZeroU32>) -> String {
        SessionEvent {
            change,
            client_id: &ClientId::new("car").unwrap(),
            username,
            peer_host: "192.0.2.1".parse().unwrap(),
            node: "n1",
            filter: "a/\"ü\"/#",
            qos: QoS::AtLeastOnce,
            subscription_id: id,
            epoch: Epoch(42),
            at_ms: 1_717_651_184_811,
        }
        .to_json()
    }

    #[test]
    fn a_subscription_is_told_with_every_field() {
        let expected = concat!(
            r#"{"event":"session.subscribed","clientid":"car","username":"alice","node":"n1","peerhost":"192.0.2.1","#,
            r#""topic":"a/\"ü\"/#","qos":1,"sub_props":{"Subscription-Identifier":7},"timestamp":1717651184811,"#,
            r#""epoch":42}"#,
        );
        assert_eq!(json(SubscriptionChange::Subscribed, "alice", NonZeroU32::new(7)), expected);
        assert_eq!(SubscriptionChange::Subscribed.topic(), "$events/session_subscribed");
    }

    #[test]
    fn the_end_of_a_subscription_is_told_with_every_field() {
        let expected = concat!(
            r#"{"event":"session.unsubscribed","clientid":"car","username":null,"node":"n1","peerhost":"192.0.2.1","#,
            r#""topic":"a/\"ü\"/#","qos":1,"unsub_props":{},"timestamp":1717651184811,"epoch":42}"#,
        );
        assert_eq!(json(SubscriptionChange::Unsubscribed, "", NonZeroU32::new(7)), expected);
        assert_eq!(SubscriptionChange::Unsubscribed.topic(), "$events/session_unsubscribed");
    }

    #[test]
    fn whom_an_event_is_about_is_known_from_its_json() {
        let told = json(SubscriptionChange::Subscribed, "alice", None);
        assert_eq!(client_of_event(told.as_bytes()).unwrap().as_str(), "car");
        for other in [&b"{}"[..], b"", b"{\"clientid\":7}", b"{\"clientid\":\"\"}"] {
            assert_eq!(client_of_event(other), None);
        }
    }

    #[test]
    fn the_end_of_a_session_is_told_with_every_field() {
        let ended = SessionEnded {
            client_id: &ClientId::new("car").unwrap(),
            username: "",
            node: "n1",
            subscriptions: 3,
            epoch: Epoch(42),
            at_ms: 1_717_651_184_811,
        };
        let expected = concat!(
            r#"{"event":"session.ended","clientid":"car","username":null,"node":"n1","subscriptions":3,"#,
            r#""timestamp":1717651184811,"epoch":42}"#,
        );
        assert_eq!(ended.to_json(), expected);
        assert_eq!(client_of_event(expected.as_bytes()), ClientId::new("car").ok());
    }
}
