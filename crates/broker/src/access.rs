//! Users, policies or block rules have changed: what of it concerns the connections and sessions of this node.
//!
//! A connection that may no longer be is closed; a subscription that may no longer be is taken away, and its session is
//! told by nothing but its silence, since no version of MQTT has a packet for it. What is in a session's queue already was
//! allowed when it came. What does not belong here: who may what (`admission`).

use crate::{Broker, Connection, client_session::SessionIdentity};
use rollcall_contracts::{Account, Asked, ConnectPermission};
use rollcall_routing::split_shared;
use rollcall_session::Order;
use rollcall_types::{ClientId, QoS};
use std::{net::IpAddr, sync::Arc};

/// Connections that are looked at before other tasks have a turn.
const RECHECKED_AT_ONCE: usize = 64;

impl Broker {
    /// Looks at everybody who is connected here or has a session here. Call it after each change, one call at a time.
    pub async fn access_changed(&self) {
        for (done, connection) in self.registry.connections().into_iter().enumerate() {
            self.recheck(&connection);
            if done % RECHECKED_AT_ONCE == RECHECKED_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
        }
        for (done, session) in self.subscriptions.sessions_away().into_iter().enumerate() {
            if let Some(SessionIdentity { account, source }) = session.identity() {
                if !self.admission.is_known(&account) {
                    self.end_session(&session);
                    continue;
                }
                for one in self.subscriptions.of(&session) {
                    if !self.may_read(&account, &session.client_id, &one.filter, one.qos, source) {
                        self.subscriptions.remove_away(&session, &one.filter);
                    }
                }
            }
            if done % RECHECKED_AT_ONCE == RECHECKED_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
        }
        self.count_subscriptions();
    }

    /// Whether this connection may go on, and which of its subscriptions.
    pub(crate) fn recheck(&self, connection: &Arc<Connection>) {
        let (account, client_id) = (&connection.account, &connection.client_id);
        let may_connect = || {
            let permission = self.admission.may_connect(account, Some(client_id.as_str()), connection.source);
            permission == ConnectPermission::Allowed
        };
        if !self.admission.is_known(account) || !may_connect() {
            connection.order(Order::NotAuthorized);
            return;
        }
        for one in self.subscriptions.of(&connection.session) {
            if !self.may_read(account, client_id, &one.filter, one.qos, connection.source) {
                self.take_subscription(connection, &one.filter);
            }
        }
    }

    /// The right to read is asked for what is matched: a group's name gives and takes no permission.
    pub(crate) fn may_read(
        &self,
        account: &Account,
        client_id: &ClientId,
        filter: &str,
        qos: QoS,
        source: IpAddr,
    ) -> bool {
        let filter = split_shared(filter).map_or(filter, |(_, filter)| filter);
        self.admission.may(account, &Asked { qos, ..Asked::subscribe(client_id.as_str(), filter, source) })
    }
}
