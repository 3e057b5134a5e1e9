//! Another keep-alive for a live connection, wherever it is: its owner is looked up in the presence store, and changes
//! what it holds the connection to and what is on record, in one order.

use crate::Broker;
use rollcall_contracts::{ClaimError, KeepAliveError};
use rollcall_types::{ClientId, Epoch};

/// Owners asked for one change: a client that connects anew meanwhile is looked up again.
const OWNERS_ASKED_MAX: usize = 3;

impl Broker {
    /// Changes the keep-alive of the connection that holds the client id, on this node or another one.
    pub(crate) async fn change_keep_alive_anywhere(
        &self,
        client_id: &ClientId,
        keep_alive_s: u16,
    ) -> Result<(), KeepAliveError> {
        for _ in 0..OWNERS_ASKED_MAX {
            let status = self.store.status(client_id.clone()).await?;
            let (true, Some(epoch)) = (status.online, status.epoch) else { return Err(KeepAliveError::NotConnected) };
            let mut changed = self.change_keep_alive_here(client_id, epoch, keep_alive_s).await;
            if changed == Err(KeepAliveError::NotConnected)
                && let (Some(node), Some(owners)) = (&status.node, self.owners.get())
            {
                changed = owners.change_keep_alive(node, client_id, epoch, keep_alive_s).await;
            }
            if changed != Err(KeepAliveError::NotConnected) {
                return changed;
            }
        }
        // Its claim holds, and no socket stands behind it yet, or any more.
        Err(KeepAliveError::Unavailable { may_have_happened: false })
    }

    /// Changes the keep-alive of the connection of that epoch, if it is here. What it is held to is changed once the
    /// record is queued, and not after it is committed: a record that becomes known late then differs from nothing.
    ///
    /// # Errors
    /// See [`KeepAliveError`]; not connected means that no connection of that epoch is here.
    pub async fn change_keep_alive_here(
        &self,
        client_id: &ClientId,
        epoch: Epoch,
        keep_alive_s: u16,
    ) -> Result<(), KeepAliveError> {
        let connection = self.registry.connection_of(client_id).filter(|connection| connection.epoch == epoch);
        let connection = connection.filter(|connection| connection.may_send()).ok_or(KeepAliveError::NotConnected)?;
        let recorded = {
            let mut in_force = connection.keep_alive_s.lock();
            if *in_force == 0 {
                return Err(KeepAliveError::Off);
            }
            // Under the lock, so that of two changes the same one is the last in force and on record.
            let recorded = self.store.record_keep_alive(client_id, epoch, keep_alive_s);
            let recorded = recorded.map_err(|_| KeepAliveError::Unavailable { may_have_happened: false })?;
            *in_force = keep_alive_s;
            connection.standing_order.change_keep_alive(keep_alive_s);
            recorded
        };
        match recorded.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(KeepAliveError::NotConnected),
            // The incarnation is over, and the connection with it.
            Err(ClaimError::NotServing) => Err(KeepAliveError::Unavailable { may_have_happened: false }),
            Err(_) => Err(KeepAliveError::Unavailable { may_have_happened: true }),
        }
    }
}
