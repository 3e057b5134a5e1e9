//! Credentials that expire while their connection is open: it ends then with `authentication_expired`.
//!
//! One clock for all of them, and nothing kept of connections whose credentials do not expire. The time a credential says
//! is of the wall clock; it is turned into one of the boot clock once, so that a clock set back prolongs nothing.

use crate::{Broker, Connection};
use parking_lot::Mutex;
use rollcall_contracts::Account;
use rollcall_session::Order;
use rollcall_types::BootTime;
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    future::pending,
    sync::{Arc, Weak},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{sync::Notify, time::sleep};

/// Longest sleep at a time: the boot clock runs on while a machine is suspended, a timer may not.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Default)]
pub(crate) struct Expiries {
    watched: Mutex<Watched>,
    /// The first is an earlier one than before.
    sooner: Notify,
}

#[derive(Default)]
struct Watched {
    /// By time and number of the connection.
    due: BTreeMap<(BootTime, u64), Weak<Connection>>,
    at: HashMap<u64, BootTime>,
}

impl fmt::Debug for Expiries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Expiries")
    }
}

impl Expiries {
    /// The connection's credentials are this account's from now on.
    pub(crate) fn watch(&self, connection: &Arc<Connection>, account: &Account) {
        let Some(expires_at_ms) = account.expires_at_ms else { return self.forget(connection) };
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let left_ms = expires_at_ms.saturating_sub(u64::try_from(unix.as_millis()).unwrap_or(u64::MAX));
        let at = connection.now().plus_ms(left_ms);
        connection.expires();
        let mut watched = self.watched.lock();
        watched.forget(connection.number);
        let is_first = watched.due.first_key_value().is_none_or(|((first, _), _)| at < *first);
        watched.at.insert(connection.number, at);
        watched.due.insert((at, connection.number), Arc::downgrade(connection));
        drop(watched);
        if is_first {
            self.sooner.notify_one();
        }
    }

    /// The connection is over, or its credentials do not expire any more.
    pub(crate) fn forget(&self, connection: &Connection) {
        if connection.may_expire() {
            self.watched.lock().forget(connection.number);
        }
    }

    /// Takes out whose time has come, and says how long the next one has left.
    fn due(&self, now: BootTime) -> (Vec<Arc<Connection>>, Option<Duration>) {
        let mut watched = self.watched.lock();
        let mut due = Vec::new();
        loop {
            let Some(first) = watched.due.first_entry() else { return (due, None) };
            let (at, number) = *first.key();
            if at > now {
                return (due, Some(Duration::from_millis(at.since(now))));
            }
            due.extend(first.remove().upgrade());
            watched.at.remove(&number);
        }
    }
}

impl Watched {
    fn forget(&mut self, number: u64) {
        if let Some(at) = self.at.remove(&number) {
            self.due.remove(&(at, number));
        }
    }
}

impl Broker {
    /// Ends connections whose credentials expire, for as long as it is polled. One caller at a time.
    pub async fn end_expired(self: Arc<Self>) {
        loop {
            let (due, left) = self.expiries.due(self.lease.now());
            for connection in due {
                tracing::debug!(client_id = %connection.client_id, "the credentials have expired");
                connection.order(Order::AuthenticationExpired);
            }
            let next = async {
                match left {
                    Some(left) => sleep(left.min(SLEEP_MAX)).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = next => {}
                () = self.expiries.sooner.notified() => {}
            }
        }
    }
}
