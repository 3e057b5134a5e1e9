//! Topic aliases of one connection, both ways (MQTT 5.0, 3.3.2.3.4). They end with it.

use crate::{Fault, OutgoingAlias};
use rollcall_types::Message;
use std::{collections::BTreeMap, num::NonZeroU16, sync::Arc};

/// Most aliases used towards one client, whatever it allows: the memory they may take.
const OUTGOING_MAX: u16 = 16;

/// What the client's aliases stand for.
#[derive(Clone, Debug, Default)]
pub(crate) struct IncomingAliases(BTreeMap<u16, Arc<str>>);

impl IncomingAliases {
    /// Puts the topic in, if only the alias was sent, and remembers it otherwise. `most` is the maximum told to the
    /// client, and bounds what is remembered.
    pub(crate) fn resolve(&mut self, alias: Option<u16>, message: &mut Message, most: u16) -> Result<(), Fault> {
        let Some(alias) = alias else {
            // MQTT 5.0, 3.3.2.1: a topic of no length needs an alias.
            return if message.topic.is_empty() { Err(Fault::ProtocolError) } else { Ok(()) };
        };
        if alias == 0 || alias > most {
            return Err(Fault::TopicAliasInvalid); // MQTT-3.3.2-8, MQTT-3.3.2-9
        }
        if message.topic.is_empty() {
            let topic = self.0.get(&alias).ok_or(Fault::ProtocolError)?; // MQTT 5.0, 3.3.2.3.4
            message.topic.push_str(topic);
        } else if self.0.get(&alias).is_none_or(|known| **known != *message.topic) {
            self.0.insert(alias, Arc::from(message.topic.as_str()));
        }
        Ok(())
    }
}

/// The aliases used towards the client: the first topics get one, and keep it.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutgoingAliases {
    most: u16,
    known: Vec<Box<str>>,
}

impl OutgoingAliases {
    pub(crate) fn new(most: u16) -> Self {
        OutgoingAliases { most: most.min(OUTGOING_MAX), known: Vec::new() }
    }

    pub(crate) fn of(&mut self, topic: &str) -> Option<OutgoingAlias> {
        if self.most == 0 {
            return None;
        }
        let (place, is_new) = match self.known.iter().position(|known| **known == *topic) {
            Some(place) => (place, false),
            None if self.known.len() < usize::from(self.most) => {
                self.known.push(topic.into());
                (self.known.len() - 1, true)
            }
            None => return None,
        };
        let alias = NonZeroU16::MIN.saturating_add(u16::try_from(place).ok()?);
        Some(OutgoingAlias { alias, is_new })
    }

    /// The packet that would have told the alias was not sent. It is the last one given.
    pub(crate) fn not_told(&mut self, alias: OutgoingAlias) {
        if alias.is_new && usize::from(alias.alias.get()) == self.known.len() {
            self.known.pop();
        }
    }
}
