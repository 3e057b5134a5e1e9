//! The end of a connection: farewell, close, release, and what is still owed to the client's session.

use crate::{
    connection::Engine,
    first::First,
    metrics::{Unanswered, unanswered},
    verdicts::Verdicts,
};
use rollcall_broker::{Broker, Connection, Published};
use rollcall_session::{Ending, Farewell};
use rollcall_types::DisconnectReason;
use std::time::Duration;

/// How long a farewell may take to be flushed before the socket is dropped.
const CLOSE_LIMIT: Duration = Duration::from_millis(1500);

impl Engine {
    /// Farewell, close, then release; never the reverse. Verdicts of QoS 2 publishes that come after that are for the
    /// client's next connection.
    pub(crate) async fn finish(mut self, ending: Ending) {
        let was_open = !self.outbound.io.is_closed();
        let farewell_waits = self.outbound.farewell(&ending, self.broker.elsewhere());
        self.outbound.gate.close();
        if farewell_waits || ending.reason == DisconnectReason::ServerShutdown {
            self.outbound.gate.linger();
            self.outbound.io.close();
        } else {
            self.outbound.io.terminate();
        }
        if !self.closed.wait(CLOSE_LIMIT).await {
            self.outbound.io.terminate();
            if !self.closed.wait(CLOSE_LIMIT).await {
                tracing::error!("a socket did not close");
            }
        }
        match self.held.take() {
            Some(held) => {
                let (connection, verdicts) = (held.connection().clone(), std::mem::take(&mut self.verdicts));
                let first = self.first.take();
                held.release(ending.reason);
                let broker = self.broker.clone();
                // The socket is counted out before anything is waited for.
                drop(self);
                settle(&broker, &connection, verdicts).await;
                if let Some(First::Publish { receipt: Some(receipt), steps, .. }) = first.map(|first| *first) {
                    broker.settle_late(&connection, receipt, Published::First(steps).verdict().await);
                }
            }
            None => unanswered(cause(&ending, was_open)),
        }
    }
}

async fn settle(broker: &Broker, connection: &Connection, verdicts: Verdicts) {
    for (receipt, published) in verdicts.into_exactly_once() {
        broker.settle_late(connection, receipt, published.verdict().await);
    }
}

fn cause(ending: &Ending, was_open: bool) -> Unanswered {
    match (ending.reason, ending.farewell) {
        (DisconnectReason::NodeLost | DisconnectReason::ServerShutdown, _) => Unanswered::Closing,
        (DisconnectReason::ProtocolError, _) => Unanswered::Invalid,
        (DisconnectReason::ConnectionLost, Farewell::Silent) if was_open => Unanswered::ConnectTimeout,
        (DisconnectReason::ConnectionLost, Farewell::Silent) => Unanswered::PeerGone,
        _ => Unanswered::Refused,
    }
}
