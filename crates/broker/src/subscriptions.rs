//! The subscriptions of this node's sessions, and who of them wants a message. What a client is answered is in
//! `subscribe.rs`.

use crate::{
    Connection,
    client_session::ClientSession,
    handover_wire::MovedSubscription,
    shared::{Groups, Joined},
};
use parking_lot::RwLock;
use rollcall_contracts::{Announced, EVENTS_ROOT, Part, RouteBoard, client_of_event};
use rollcall_routing::{Added, Affinity, Strategy, SubscriptionTable, split_shared};
use rollcall_session::RequestedSubscription;
use rollcall_types::{Message, QoS};
use std::{
    cell::LazyCell,
    cmp::Ordering,
    fmt,
    num::NonZeroU32,
    sync::{Arc, OnceLock},
};

/// Who wants what on this node.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    inner: RwLock<Inner>,
    routes: Routes,
}

/// Who tells the other nodes, once there is somebody. Told under the lock of what changes, so that the order is one.
#[derive(Default)]
struct Routes(OnceLock<Arc<dyn RouteBoard>>);

#[derive(Debug, Default)]
struct Inner {
    table: SubscriptionTable<Subscriber, Options>,
    /// Groups of shared subscriptions, each once with its filter.
    shared: SubscriptionTable<u64, ()>,
    groups: Groups,
}

/// One session as the table names it: by its number.
#[derive(Clone, Debug)]
struct Subscriber(Arc<ClientSession>);

/// What a subscription carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    qos: QoS,
    no_local: bool,
    retain_as_published: bool,
    subscription_id: Option<NonZeroU32>,
}

/// Subscriptions at most.
#[derive(Clone, Copy)]
pub(crate) struct Most {
    /// 0: no limit.
    pub(crate) of_client: usize,
    pub(crate) in_all: usize,
}

/// Why a subscription was not made.
pub(crate) enum NotAdded {
    /// The connection has lost its session.
    NotHeld,
    /// This limit is reached.
    TooMany(&'static str),
}

/// What a subscription was granted with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Granted {
    pub(crate) qos: QoS,
    pub(crate) subscription_id: Option<NonZeroU32>,
}

/// One session that wants a message, all its matching subscriptions taken together; a shared one by itself.
pub(crate) struct Wanted {
    pub(crate) session: Arc<ClientSession>,
    pub(crate) qos: QoS,
    pub(crate) retain_as_published: bool,
    pub(crate) subscription_ids: Vec<NonZeroU32>,
    /// The shared one, by its whole filter.
    pub(crate) group: Option<Arc<str>>,
}

impl Subscriptions {
    pub(crate) fn new(strategy: Strategy) -> Self {
        let groups = Groups::new(strategy);
        Subscriptions { inner: RwLock::new(Inner { groups, ..Inner::default() }), ..Subscriptions::default() }
    }

    pub(crate) fn set_routes(&self, routes: Arc<dyn RouteBoard>) {
        let _ = self.routes.0.set(routes);
    }

    /// Waits until the other nodes know all there is; `None` when there is none.
    pub(crate) fn announce(&self) -> Option<Announced> {
        self.routes.0.get()?.announce()
    }

    /// Sessions without a connection that are subscribed to something.
    pub(crate) fn sessions_away(&self) -> Vec<Arc<ClientSession>> {
        let inner = self.inner.read();
        let own = inner.table.sessions().map(|subscriber| subscriber.0.clone());
        let mut away: Vec<Arc<ClientSession>> = own.collect();
        away.extend(inner.groups.all().map(|(_, member)| member.clone()));
        drop(inner);
        away.retain(|session| !session.is_held());
        away.sort_unstable_by_key(|session| session.number);
        away.dedup_by_key(|session| session.number);
        away
    }

    /// Takes a subscription from a session without a connection; false when it has one, or no such subscription.
    pub(crate) fn remove_away(&self, session: &Arc<ClientSession>, filter: &str) -> bool {
        let mut inner = self.inner.write();
        let removed = !session.is_held() && inner.remove(session, filter);
        if removed {
            self.routes.tell(&inner.groups, filter, false);
        }
        removed
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        let inner = self.inner.read();
        inner.table.len() + inner.groups.len()
    }

    /// True when the subscription is new to its session.
    pub(crate) fn add(
        &self,
        connection: &Connection,
        requested: &RequestedSubscription,
        subscription_id: Option<NonZeroU32>,
        most: Most,
    ) -> Result<bool, NotAdded> {
        let options = Options {
            qos: requested.qos,
            no_local: requested.no_local,
            retain_as_published: requested.retain_as_published,
            subscription_id,
        };
        let session = &connection.session;
        let filter = requested.filter.as_str();
        let subscriber = Subscriber(session.clone());
        let mut inner = self.inner.write();
        // Under this lock, so that a session that ends leaves nothing behind.
        if !session.is_held_by(connection.number) {
            return Err(NotAdded::NotHeld);
        }
        let shared = inner.groups.filters_of(session.number);
        let count = inner.table.count_of(&subscriber) + shared.len();
        let has = inner.table.has(&subscriber, filter) || shared.iter().any(|present| **present == *filter);
        if most.of_client > 0 && count >= most.of_client && !has {
            return Err(NotAdded::TooMany("client_filters"));
        }
        if inner.table.len() + inner.groups.len() >= most.in_all && !has {
            return Err(NotAdded::TooMany("subscriptions"));
        }
        let is_new = inner.add(session, filter, options);
        if is_new {
            self.routes.tell(&inner.groups, filter, true);
        }
        Ok(is_new)
    }

    /// What the subscription was granted with; `None` when there was none.
    pub(crate) fn remove(&self, connection: &Connection, filter: &str) -> Option<Granted> {
        let mut inner = self.inner.write();
        // A connection that lost its session to a later one changes nothing of it.
        let held = connection.session.is_held_by(connection.number);
        let granted = inner.granted(&connection.session, filter).filter(|_| held)?;
        inner.remove(&connection.session, filter);
        self.routes.tell(&inner.groups, filter, false);
        Some(granted)
    }

    /// The subscriptions of a session, for another node.
    pub(crate) fn of(&self, session: &Arc<ClientSession>) -> Vec<MovedSubscription> {
        let inner = self.inner.read();
        let subscriber = Subscriber(session.clone());
        let own = inner.table.filters_of(&subscriber).filter_map(|filter| {
            let options = *inner.table.options_of(&subscriber, &filter)?;
            Some((filter, options))
        });
        let shared = inner.groups.options_of(session.number).map(|(filter, options)| (filter.to_owned(), *options));
        own.chain(shared).map(|(filter, options)| options.moved(filter)).collect()
    }

    /// Subscribes a session to what it had on another node.
    pub(crate) fn add_moved(&self, session: &Arc<ClientSession>, moved: Vec<MovedSubscription>) {
        let mut inner = self.inner.write();
        for one in moved {
            let options = Options {
                qos: one.qos,
                no_local: one.no_local,
                retain_as_published: one.retain_as_published,
                subscription_id: one.subscription_id,
            };
            if inner.add(session, &one.filter, options) {
                self.routes.tell(&inner.groups, &one.filter, true);
            }
        }
    }

    /// The session has a connection now, or has none any more: where it is a member matters to others.
    pub(crate) fn came_or_went(&self, session: &ClientSession) {
        if self.inner.read().groups.filters_of(session.number).is_empty() {
            return;
        }
        // Not side by side with another change of the same groups.
        let inner = self.inner.write();
        for group in inner.groups.filters_of(session.number) {
            self.routes.tell(&inner.groups, group, true);
        }
    }

    /// Takes all subscriptions of a session away, and says how many there were.
    pub(crate) fn remove_all(&self, session: &Arc<ClientSession>) -> usize {
        let subscriber = Subscriber(session.clone());
        // Most connections of a fleet subscribe to nothing: look before taking the lock that stops all deliveries.
        let has_any = {
            let inner = self.inner.read();
            inner.table.count_of(&subscriber) > 0 || !inner.groups.filters_of(session.number).is_empty()
        };
        if !has_any {
            return 0;
        }
        let mut inner = self.inner.write();
        let plain: Vec<String> = inner.table.filters_of(&subscriber).collect();
        for filter in &plain {
            self.routes.tell(&inner.groups, filter, false);
        }
        inner.table.remove_all(&subscriber);
        let shared = inner.groups.filters_of(session.number).to_vec();
        for filter in &shared {
            if inner.remove(session, filter) {
                self.routes.tell(&inner.groups, filter, false);
            }
        }
        plain.len() + shared.len()
    }

    /// The sessions that want a part of a message, each once, in order of their numbers; then one of each shared
    /// subscription. And whether any subscription matched, that of a publisher who wants nothing of its own among them.
    /// Of an event, the member is that of the client which it is about.
    pub(crate) fn wanted(&self, message: &Message, from: Option<&ClientSession>, part: &Part) -> (Vec<Wanted>, bool) {
        let topic = message.topic.as_str();
        let about = LazyCell::new(|| affinity_of(message));
        let inner = self.inner.read();
        let mut matched = false;
        let mut matches: Vec<(&Arc<ClientSession>, &Options)> = Vec::new();
        if part.plain {
            inner.table.for_each_match(topic, |subscriber, options| {
                matched = true;
                let own = options.no_local && from.is_some_and(|from| from.number == subscriber.0.number);
                if !own {
                    matches.push((&subscriber.0, options));
                }
            });
        }
        matches.sort_by_key(|(session, _)| session.number);
        let mut wanted: Vec<Wanted> = Vec::with_capacity(matches.len());
        for (session, options) in matches {
            match wanted.last_mut() {
                Some(last) if last.session.number == session.number => {
                    last.qos = last.qos.max(options.qos); // MQTT-3.3.4-2
                    last.retain_as_published |= options.retain_as_published;
                    last.subscription_ids.extend(options.subscription_id);
                }
                _ => wanted.push(Wanted::by(session, options, None)),
            }
        }
        if part.groups.is_empty() && part.except.is_none() {
            return (wanted, matched);
        }
        inner.shared.for_each_match(topic, |group, ()| {
            if let Some(name) = inner.groups.name(*group).filter(|name| part.serves(name))
                && let Some((session, options)) = inner.groups.choose_for(*group, *about, part.client_hash)
            {
                matched = true;
                wanted.push(Wanted::by(session, options, Some(name.clone())));
            }
        });
        (wanted, matched)
    }

    /// Whether any subscription matches.
    pub(crate) fn has_match(&self, topic: &str) -> bool {
        let inner = self.inner.read();
        let mut found = false;
        inner.table.for_each_match(topic, |_, _| found = true);
        inner.shared.for_each_match(topic, |_, ()| found = true);
        found
    }

    /// What the other nodes are told of, page by page.
    pub(crate) fn told(&self, prefix: &str, after: &str, most: usize) -> Vec<(String, u32)> {
        self.routes.0.get().map(|routes| routes.told(prefix, after, most)).unwrap_or_default()
    }

    /// The members of one shared subscription, so many at most.
    pub(crate) fn members_of(&self, whole: &str, most: usize) -> Vec<Arc<ClientSession>> {
        self.inner.read().groups.sessions_of(whole).take(most).cloned().collect()
    }

    /// All members of shared subscriptions.
    pub(crate) fn members(&self) -> Vec<(Arc<str>, Arc<ClientSession>)> {
        self.inner.read().groups.all().map(|(group, member)| (group.clone(), member.clone())).collect()
    }

    /// A member of a shared subscription for a message that so many others could not take.
    pub(crate) fn member(&self, group: &Arc<str>, client_hash: u64, tried: usize) -> Option<Wanted> {
        let inner = self.inner.read();
        let (session, options) = inner.groups.choose(inner.groups.number(group)?, client_hash, tried)?;
        Some(Wanted::by(session, options, Some(group.clone())))
    }
}

/// Of an event, the client that it is about.
fn affinity_of(message: &Message) -> Option<Affinity> {
    let is_event = message.topic.starts_with(EVENTS_ROOT);
    let about = is_event.then(|| client_of_event(&message.payload)).flatten();
    about.map(|client_id| Affinity::of(client_id.as_str()))
}

impl Options {
    fn moved(self, filter: String) -> MovedSubscription {
        let Options { qos, no_local, retain_as_published, subscription_id } = self;
        MovedSubscription { filter, qos, no_local, retain_as_published, subscription_id }
    }
}

impl Routes {
    /// A subscription came or went. Of a shared one the members are told as they are now.
    fn tell(&self, groups: &Groups, filter: &str, added: bool) {
        let Some(routes) = self.0.get() else { return };
        if split_shared(filter).is_some() {
            let (count, away) = groups.members(filter);
            routes.members(filter, u32::try_from(count).unwrap_or(u32::MAX), away);
        } else if added {
            routes.route_added(filter);
        } else {
            routes.route_removed(filter);
        }
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Routes")
    }
}

impl Inner {
    /// True when the subscription is new.
    fn add(&mut self, session: &Arc<ClientSession>, filter: &str, options: Options) -> bool {
        let Some((_, bare)) = split_shared(filter) else {
            return self.table.add(Subscriber(session.clone()), filter, options) == Added::New;
        };
        let Joined { group, is_first, is_new } = self.groups.join(session, filter, options);
        if is_first {
            self.shared.add(group, bare, ());
        }
        is_new
    }

    fn granted(&self, session: &Arc<ClientSession>, filter: &str) -> Option<Granted> {
        let options = if split_shared(filter).is_some() {
            self.groups.options_of(session.number).find(|(whole, _)| *whole == filter).map(|(_, options)| *options)
        } else {
            self.table.options_of(&Subscriber(session.clone()), filter).copied()
        };
        options.map(|options| Granted { qos: options.qos, subscription_id: options.subscription_id })
    }

    fn remove(&mut self, session: &Arc<ClientSession>, filter: &str) -> bool {
        let Some((_, bare)) = split_shared(filter) else {
            return self.table.remove(&Subscriber(session.clone()), filter);
        };
        match self.groups.leave(session.number, filter) {
            None => false,
            Some(None) => true,
            Some(Some(emptied)) => {
                self.shared.remove(&emptied, bare);
                true
            }
        }
    }
}

impl Wanted {
    fn by(session: &Arc<ClientSession>, options: &Options, group: Option<Arc<str>>) -> Self {
        Wanted {
            session: session.clone(),
            qos: options.qos,
            retain_as_published: options.retain_as_published,
            subscription_ids: options.subscription_id.into_iter().collect(),
            group,
        }
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
