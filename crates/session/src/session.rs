//! The state of one client that may outlive its connection: what waits for it, what is under way both ways.
//!
//! A session has at most one link at a time, the connection that serves it. What the link alone knows (the client's
//! Receive Maximum, topic aliases) ends with it. Subscriptions are kept by the broker, which matches them.

use crate::{
    Delivery, Offered, Outgoing, OutgoingPublish, QueueLimits, ReasonCode,
    alias::OutgoingAliases,
    inbound::{Arrival, Arriving, Inbound},
    queue::{Filled, Queue},
    window::{Acknowledged, Stage, Window},
};
use rollcall_types::{BootTime, QoS};
use std::{collections::VecDeque, num::NonZeroU16, sync::Arc};

/// Session expiry of MQTT 5 that means "never" (3.1.2.11.2); the limit of the listener cuts it.
pub const EXPIRY_NEVER_S: u32 = u32::MAX;

/// The state of a session.
#[derive(Clone, Debug, Default)]
pub struct Session {
    pub(crate) expiry_s: u32,
    pub(crate) queue: Queue,
    pub(crate) window: Window,
    pub(crate) inbound: Inbound,
    link: Option<Box<Link>>,
    expired: usize,
    /// The window was full when a message waited, and none was sent since.
    is_stalled: bool,
    stalls: usize,
}

/// What belongs to the present connection alone.
#[derive(Clone, Debug)]
struct Link {
    receive_maximum: usize,
    aliases: OutgoingAliases,
    /// Answers owed by an earlier link: at most one for each packet identifier.
    answers: VecDeque<Outgoing>,
}

/// What a connection brings to its session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkTerms {
    /// Session expiry in force, in seconds.
    pub session_expiry_s: u32,
    /// QoS 1 and 2 messages that may be under way to the client.
    pub receive_maximum: u16,
    /// Topic aliases the client takes.
    pub topic_alias_maximum: u16,
}

impl Session {
    /// A connection serves the session from now on, in place of the one before.
    pub fn attach(&mut self, terms: LinkTerms) {
        if self.link.is_some() {
            self.detach();
        }
        self.expiry_s = terms.session_expiry_s;
        self.window.begin_link();
        self.link = Some(Box::new(Link {
            receive_maximum: usize::from(terms.receive_maximum.max(1)),
            aliases: OutgoingAliases::new(terms.topic_alias_maximum),
            answers: VecDeque::new(),
        }));
    }

    /// The connection is over.
    pub fn detach(&mut self) {
        self.link = None;
        self.queue.forget_qos_0();
        self.inbound.end_link();
    }

    /// A connection serves it.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.link.is_some()
    }

    /// Seconds it is kept after its connection; 0: it ends with it.
    #[must_use]
    pub fn expiry_s(&self) -> u32 {
        self.expiry_s
    }

    pub(crate) fn set_expiry(&mut self, expiry_s: u32) {
        self.expiry_s = expiry_s;
    }

    /// Messages that wait or are under way.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.queue.len() + self.window.len()
    }

    /// What waits to be sent, as [`Queue::filled`] counts it. Nothing counts while the client is away.
    #[must_use]
    pub fn filled(&self, of_all: bool) -> Filled {
        if self.is_attached() { self.queue.filled(of_all) } else { Filled::default() }
    }

    /// Messages wait that were not sent yet.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        self.queue.front().is_some()
    }

    /// The shared subscriptions of the messages that wait or are not acknowledged yet, one for each message.
    pub fn shared(&self) -> impl Iterator<Item = &Arc<str>> {
        let under_way = self.window.iter().filter_map(|one| match &one.stage {
            Stage::Published(delivery) => delivery.group.as_ref(),
            Stage::Released => None,
        });
        under_way.chain(self.queue.iter().filter_map(|delivery| delivery.group.as_ref()))
    }

    /// Takes a message for the client.
    pub fn offer(&mut self, delivery: Delivery, limits: QueueLimits, now: BootTime) -> Offered {
        if self.link.is_none() && delivery.qos == QoS::AtMostOnce {
            return Offered::NotKept;
        }
        if self.queue.len() >= limits.messages {
            self.expired += self.queue.forget_expired(now);
        }
        self.queue.offer(delivery, limits)
    }

    /// The next packet for the client, if its link can take one: first what an earlier link left, then what waits.
    /// Messages are taken strictly in order, so while the client's Receive Maximum is used up those of QoS 0 wait too.
    pub fn next_outgoing(&mut self, now: BootTime) -> Option<Outgoing> {
        let link = self.link.as_deref_mut()?;
        if let Some(answer) = link.answers.pop_front() {
            return Some(answer);
        }
        if let Some(mut again) = self.window.send_again(link.receive_maximum, now) {
            link.name_topic(&mut again);
            return Some(again);
        }
        while let Some(next) = self.queue.front() {
            if next.qos != QoS::AtMostOnce && !self.window.has_room(link.receive_maximum) && !next.has_expired(now) {
                self.stalls += usize::from(!self.is_stalled);
                self.is_stalled = true;
                return None;
            }
            self.is_stalled = false;
            let delivery = self.queue.pop()?;
            if delivery.has_expired(now) {
                self.expired += 1; // MQTT-3.3.2-5
                continue;
            }
            let packet_id = (delivery.qos != QoS::AtMostOnce).then(|| self.window.send_new(delivery.clone()));
            let mut outgoing = Outgoing::Publish(OutgoingPublish::new(delivery, packet_id, false, now));
            link.name_topic(&mut outgoing);
            return Some(outgoing);
        }
        None
    }

    /// A PUBLISH of [`Session::next_outgoing`] is larger than the client takes: it is as if it had been acknowledged
    /// (MQTT-3.1.2-25).
    pub fn not_sent(&mut self, publish: &OutgoingPublish) {
        if let (Some(link), Some(alias)) = (self.link.as_deref_mut(), publish.alias) {
            link.aliases.not_told(alias);
        }
        if let Some(packet_id) = publish.packet_id {
            self.window.give_up(packet_id);
        }
    }

    /// Messages that expired unsent since this was asked last.
    pub fn take_expired(&mut self) -> usize {
        std::mem::take(&mut self.expired)
    }

    /// How often messages began to wait for acknowledgements, since this was asked last.
    pub fn take_stalls(&mut self) -> usize {
        std::mem::take(&mut self.stalls)
    }

    /// The verdict of a QoS 2 publish came after its connection had ended. True when a packet is to be sent now.
    pub fn settle_late(&mut self, packet_id: NonZeroU16, accepted: bool) -> bool {
        let wanted = self.inbound.settle_late(packet_id, accepted);
        match self.link.as_deref_mut() {
            Some(link) if wanted => {
                let code = if accepted { ReasonCode::Success } else { ReasonCode::UnspecifiedError };
                link.answers.push_back(Outgoing::PubRec(packet_id, code));
                true
            }
            _ => false,
        }
    }

    /// The session is over: its messages that came by shared subscriptions and that the client never acknowledged, for
    /// other members of the groups.
    pub fn end(&mut self) -> Vec<Delivery> {
        let mut orphans = Vec::new();
        for one in self.window.iter() {
            if let Stage::Published(delivery) = &one.stage
                && delivery.group.is_some()
            {
                orphans.push(delivery.clone());
            }
        }
        orphans.extend(self.queue.iter().filter(|delivery| delivery.group.is_some()).cloned());
        *self = Session::default();
        orphans
    }

    pub(crate) fn arrive(&mut self, packet_id: NonZeroU16, publish: &Arriving, most: usize) -> Arrival {
        self.inbound.arrive(packet_id, publish, most)
    }

    pub(crate) fn puback(&mut self, packet_id: NonZeroU16) -> Acknowledged {
        self.window.puback(packet_id)
    }

    pub(crate) fn pubrec(&mut self, packet_id: NonZeroU16, refused: bool) -> Acknowledged {
        self.window.pubrec(packet_id, refused)
    }

    pub(crate) fn pubcomp(&mut self, packet_id: NonZeroU16) -> Acknowledged {
        self.window.pubcomp(packet_id)
    }
}

impl Link {
    fn name_topic(&mut self, outgoing: &mut Outgoing) {
        if let Outgoing::Publish(publish) = outgoing {
            publish.alias = self.aliases.of(&publish.delivery.message.topic);
        }
    }
}
