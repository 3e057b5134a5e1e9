//! The methods of enhanced authentication (MQTT 5.0, 4.12) that this node offers. A new one is an
//! [`EnhancedAuthenticator`] and an entry here; the packets of its exchange, their order and their time are taken care of
//! by `session`, and whose account it must prove by `broker`. None of them is here: what checks user names and passwords
//! is admission's.

use rollcall_contracts::EnhancedAuthenticator;
use std::sync::Arc;

/// All of them. A client that names another method is told so (0x8C).
pub(crate) fn offered() -> Vec<Arc<dyn EnhancedAuthenticator>> {
    Vec::new()
}
