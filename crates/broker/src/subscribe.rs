//! Subscribing and unsubscribing: what a client asks for is judged, kept, told, and answered. What is kept, and who wants a
//! message, is in `subscriptions.rs`.

use crate::{
    Broker, Connection, Subscribed,
    publish::NO_GRANT_RETRY_S,
    subscriptions::{Granted, Most, NotAdded},
};
use rollcall_contracts::{QueryRefusal, Rated, SubscriptionChange};
use rollcall_session::{ReasonCode, RequestedSubscription, SubscribeAnswer, UnsubscribeAnswer};
use std::{num::NonZeroU32, sync::Arc};

/// Too many UNSUBSCRIBE packets in this second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OverRate {
    /// Seconds to wait, at least 1.
    pub retry_after_s: u32,
}

impl Broker {
    /// Subscribes, and waits until the other nodes know. Each filter gets an answer in its place; those with a code are
    /// refused already.
    pub fn subscribe(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        subscription_id: Option<NonZeroU32>,
        filters: &[(RequestedSubscription, Option<ReasonCode>)],
    ) -> Subscribed {
        let access_version = self.admission.access_version();
        let over_rate = self.admission.admit(Rated::Subscribes).is_err().then_some(ReasonCode::QuotaExceeded);
        let most = Most { of_client: self.config.client_filters, in_all: self.limits.subscriptions() };
        let answer = |(requested, refused): &(RequestedSubscription, Option<ReasonCode>)| {
            let refused = refused.or(over_rate).or_else(|| self.refuse_subscription(connection, requested));
            if let Some(code) = refused {
                return SubscribeAnswer::Refused(code);
            }
            match self.subscriptions.add(connection, requested, subscription_id, most) {
                Ok(is_new) => {
                    let granted = Granted { qos: requested.qos, subscription_id };
                    let filter = requested.filter.as_str();
                    self.subscription_changed(connection, SubscriptionChange::Subscribed, filter, granted);
                    SubscribeAnswer::Granted { qos: requested.qos, is_new }
                }
                Err(NotAdded::NotHeld) => SubscribeAnswer::Refused(ReasonCode::UnspecifiedError),
                Err(NotAdded::TooMany(limit)) => {
                    self.metrics.limited(limit);
                    SubscribeAnswer::Refused(ReasonCode::QuotaExceeded)
                }
            }
        };
        let answers: Vec<_> = filters.iter().map(answer).collect();
        // Whoever looked through the subscriptions meanwhile may not have seen these.
        if self.admission.access_version() != access_version {
            self.recheck(connection);
        }
        self.count_subscriptions();
        self.announced(connection, filters, answers)
    }

    /// Unsubscribes.
    ///
    /// # Errors
    /// When there are too many in this second. Nothing has changed.
    pub fn unsubscribe(
        &self,
        connection: &Arc<Connection>,
        filters: &[String],
    ) -> Result<Vec<UnsubscribeAnswer>, OverRate> {
        self.admission.admit(Rated::Unsubscribes).map_err(|refusal| match refusal {
            QueryRefusal::OverQuota { retry_after_s } => OverRate { retry_after_s: retry_after_s.max(1) },
            QueryRefusal::NoGrant => OverRate { retry_after_s: NO_GRANT_RETRY_S },
        })?;
        let remove = |filter: &String| match self.take_subscription(connection, filter) {
            true => UnsubscribeAnswer::Removed,
            false => UnsubscribeAnswer::NoneThere,
        };
        let answers = filters.iter().map(remove).collect();
        self.count_subscriptions();
        Ok(answers)
    }

    /// Takes one subscription away and tells so; false when there was none.
    pub(crate) fn take_subscription(&self, connection: &Connection, filter: &str) -> bool {
        let removed = self.subscriptions.remove(connection, filter);
        if let Some(granted) = removed {
            self.subscription_changed(connection, SubscriptionChange::Unsubscribed, filter, granted);
        }
        removed.is_some()
    }

    fn refuse_subscription(&self, connection: &Connection, requested: &RequestedSubscription) -> Option<ReasonCode> {
        if self.config.refused_filter == Some(requested.filter.as_str()) {
            return Some(ReasonCode::UnspecifiedError);
        }
        let client_id = &connection.client_id;
        let allowed =
            self.may_read(&connection.account, client_id, &requested.filter, requested.qos, connection.source);
        (!allowed).then_some(ReasonCode::NotAuthorized)
    }

    pub(crate) fn count_subscriptions(&self) {
        #[allow(clippy::cast_precision_loss)] // far below 2^52
        self.metrics.subscriptions.set(self.subscriptions.count() as f64);
    }
}
