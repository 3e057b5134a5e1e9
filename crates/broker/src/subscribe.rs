//! The subscriptions of this node's sessions.

use crate::{Broker, Connection};
use parking_lot::RwLock;
use rollcall_routing::{Added, SubscriptionTable, split_shared};
use rollcall_session::{ReasonCode, RequestedSubscription, SubscribeAnswer};
use std::{cmp::Ordering, num::NonZeroU32, sync::Arc};

/// Who wants what on this node.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    table: RwLock<SubscriptionTable<Subscriber, Options>>,
}

/// One session as the table names it: by the number of its connection.
#[derive(Clone, Debug)]
struct Subscriber(Arc<Connection>);

/// What a subscription carries.
#[derive(Clone, Copy, Debug)]
struct Options {
    no_local: bool,
    retain_as_published: bool,
    subscription_id: Option<NonZeroU32>,
}

/// One session that wants a message, all its matching subscriptions taken together.
pub(crate) struct Wanted {
    pub(crate) connection: Arc<Connection>,
    pub(crate) retain_as_published: bool,
    pub(crate) subscription_ids: Vec<NonZeroU32>,
}

impl Broker {
    /// Subscribes. Each filter gets an answer in its place; those with a code are refused already. Granted is QoS 0.
    pub fn subscribe(
        &self,
        connection: &Arc<Connection>,
        subscription_id: Option<NonZeroU32>,
        filters: Vec<(RequestedSubscription, Option<ReasonCode>)>,
    ) -> Vec<SubscribeAnswer> {
        let answers = filters
            .into_iter()
            .map(|(requested, refused)| {
                let refused = refused.or_else(|| self.refuse_subscription(connection, &requested));
                match refused {
                    Some(code) => SubscribeAnswer::Refused(code),
                    None => self.subscriptions.add(
                        connection,
                        &requested.filter,
                        Options {
                            no_local: requested.no_local,
                            retain_as_published: requested.retain_as_published,
                            subscription_id,
                        },
                        self.config.client_filters,
                    ),
                }
            })
            .collect();
        self.count_subscriptions();
        answers
    }

    /// Unsubscribes; true where a subscription existed.
    pub fn unsubscribe(&self, connection: &Arc<Connection>, filters: &[String]) -> Vec<bool> {
        let existed = {
            let subscriber = Subscriber(connection.clone());
            let mut table = self.subscriptions.table.write();
            filters.iter().map(|filter| table.remove(&subscriber, filter)).collect()
        };
        self.count_subscriptions();
        existed
    }

    fn refuse_subscription(&self, connection: &Connection, requested: &RequestedSubscription) -> Option<ReasonCode> {
        let filter = requested.filter.as_str();
        if self.config.refused_filter == Some(filter) {
            return Some(ReasonCode::UnspecifiedError);
        }
        if split_shared(filter).is_some() {
            return Some(ReasonCode::SharedSubscriptionsNotSupported);
        }
        let client_id = connection.client_id.as_str();
        let allowed = self.admission.may_subscribe(&connection.account, client_id, filter, connection.source);
        (!allowed).then_some(ReasonCode::NotAuthorized)
    }

    fn count_subscriptions(&self) {
        #[allow(clippy::cast_precision_loss)] // far below 2^52
        self.metrics.subscriptions.set(self.subscriptions.table.read().len() as f64);
    }
}

impl Subscriptions {
    fn add(&self, connection: &Arc<Connection>, filter: &str, options: Options, most: usize) -> SubscribeAnswer {
        let subscriber = Subscriber(connection.clone());
        let mut table = self.table.write();
        if most > 0 && table.count_of(&subscriber) >= most && !table.has(&subscriber, filter) {
            return SubscribeAnswer::Refused(ReasonCode::QuotaExceeded);
        }
        match table.add(subscriber, filter, options) {
            Added::New | Added::Replaced => SubscribeAnswer::Granted,
        }
    }

    pub(crate) fn remove_all(&self, connection: &Arc<Connection>) {
        let subscriber = Subscriber(connection.clone());
        // Most connections of a fleet subscribe to nothing: look before taking the lock that stops all deliveries.
        if self.table.read().count_of(&subscriber) > 0 {
            self.table.write().remove_all(&subscriber);
        }
    }

    /// The sessions that want a message, each once, in order of their connections.
    pub(crate) fn wanted(&self, topic: &str, from: Option<&Connection>) -> Vec<Wanted> {
        let mut matches: Vec<(Arc<Connection>, Options)> = Vec::new();
        self.table.read().for_each_match(topic, |subscriber, options| {
            let own = from.is_some_and(|from| from.number == subscriber.0.number);
            if !(own && options.no_local) {
                matches.push((subscriber.0.clone(), *options));
            }
        });
        matches.sort_by_key(|(connection, _)| connection.number);
        let mut wanted: Vec<Wanted> = Vec::with_capacity(matches.len());
        for (connection, options) in matches {
            match wanted.last_mut() {
                Some(last) if last.connection.number == connection.number => {
                    last.retain_as_published |= options.retain_as_published;
                    last.subscription_ids.extend(options.subscription_id);
                }
                _ => wanted.push(Wanted {
                    connection,
                    retain_as_published: options.retain_as_published,
                    subscription_ids: options.subscription_id.into_iter().collect(),
                }),
            }
        }
        wanted
    }
}

impl PartialEq for Subscriber {
    fn eq(&self, other: &Self) -> bool {
        self.0.number == other.0.number
    }
}

impl Eq for Subscriber {}

impl PartialOrd for Subscriber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Subscriber {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.number.cmp(&other.0.number)
    }
}
