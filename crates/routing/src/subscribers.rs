//! The subscribers of one filter, in order of session. Most filters have one: that costs no allocation.

use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub(crate) enum Subscribers<S, O> {
    #[default]
    None,
    One(S, O),
    #[allow(clippy::box_collection)] // small where there is one
    Many(Box<BTreeMap<S, O>>),
}

impl<S: Ord, O> Subscribers<S, O> {
    /// True when the session was there; its options are replaced (MQTT-3.8.4-3).
    pub(crate) fn add(&mut self, session: S, options: O) -> bool {
        match std::mem::take(self) {
            Subscribers::None => {
                *self = Subscribers::One(session, options);
                false
            }
            Subscribers::One(present, _) if present == session => {
                *self = Subscribers::One(session, options);
                true
            }
            Subscribers::One(present, its_options) => {
                *self = Subscribers::Many(Box::new(BTreeMap::from([(present, its_options), (session, options)])));
                false
            }
            Subscribers::Many(mut many) => {
                let replaced = many.insert(session, options).is_some();
                *self = Subscribers::Many(many);
                replaced
            }
        }
    }

    pub(crate) fn remove(&mut self, session: &S) {
        match self {
            Subscribers::None => {}
            Subscribers::One(present, _) => {
                if present == session {
                    *self = Subscribers::None;
                }
            }
            Subscribers::Many(many) => {
                many.remove(session);
                if many.len() == 1
                    && let Some((session, options)) = many.pop_first()
                {
                    *self = Subscribers::One(session, options);
                }
            }
        }
    }

    pub(crate) fn has(&self, session: &S) -> bool {
        match self {
            Subscribers::None => false,
            Subscribers::One(present, _) => present == session,
            Subscribers::Many(many) => many.contains_key(session),
        }
    }

    pub(crate) fn get(&self, session: &S) -> Option<&O> {
        match self {
            Subscribers::One(present, options) if present == session => Some(options),
            Subscribers::None | Subscribers::One(..) => None,
            Subscribers::Many(many) => many.get(session),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Subscribers::None)
    }

    pub(crate) fn visit<'a>(&'a self, visit: &mut impl FnMut(&'a S, &'a O)) {
        match self {
            Subscribers::None => {}
            Subscribers::One(session, options) => visit(session, options),
            Subscribers::Many(many) => many.iter().for_each(|(session, options)| visit(session, options)),
        }
    }
}
