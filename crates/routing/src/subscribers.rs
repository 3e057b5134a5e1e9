//! The subscribers of one filter, in order of session.

use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(crate) struct Subscribers<S, O>(BTreeMap<S, O>);

impl<S, O> Default for Subscribers<S, O> {
    fn default() -> Self {
        Subscribers(BTreeMap::new())
    }
}

impl<S: Ord, O> Subscribers<S, O> {
    /// True when the session was there; its options are replaced (MQTT-3.8.4-3).
    pub(crate) fn add(&mut self, session: S, options: O) -> bool {
        self.0.insert(session, options).is_some()
    }

    pub(crate) fn remove(&mut self, session: &S) -> bool {
        self.0.remove(session).is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn visit<'a>(&'a self, visit: &mut impl FnMut(&'a S, &'a O)) {
        for (session, options) in &self.0 {
            visit(session, options);
        }
    }
}
