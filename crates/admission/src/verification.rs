//! Verifies a password against a user's stored hash: off the async threads, few at once, and with the same work for
//! users that do not exist.

use crate::password;
use rollcall_contracts::AuthError;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Attempts that wait for their turn; a further one is told that it cannot be checked now.
pub(crate) const WAITERS_MAX: u64 = 8192;
/// Longest wait for a turn.
const TURN_WAIT_MAX: Duration = Duration::from_secs(10);

/// See the module.
pub(crate) struct Verification {
    turns: Arc<Semaphore>,
    waiting: AtomicU64,
    hashes: Arc<AtomicU64>,
    nobody: Arc<str>,
}

/// The right to compute one hash.
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Verification {
    pub(crate) fn new() -> Self {
        // Each takes one core and 19 MiB for tens of milliseconds.
        let at_once = thread::available_parallelism().map_or(1, usize::from);
        Verification {
            turns: Arc::new(Semaphore::new(at_once)),
            waiting: AtomicU64::new(0),
            hashes: Arc::default(),
            nobody: password::hash_of_nobody().into(),
        }
    }

    /// Hashes computed so far.
    pub(crate) fn hashes(&self) -> u64 {
        self.hashes.load(Ordering::Relaxed)
    }

    /// Waits for a turn, within bounds.
    pub(crate) async fn turn(&self) -> Result<Turn, AuthError> {
        let _waiting = Waiting::enter(&self.waiting).ok_or(AuthError::Unavailable)?;
        match timeout(TURN_WAIT_MAX, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Turn { _permit: permit }),
            _ => Err(AuthError::Unavailable),
        }
    }

    /// Is this the password of that hash? `None` is a user that does not exist: the same work, and never right. The
    /// turn is given back, to be kept until what was found is remembered; when the caller gives up waiting, it ends
    /// with the work.
    pub(crate) async fn is_right(
        &self,
        turn: Turn,
        password: &[u8],
        stored: Option<&Arc<str>>,
    ) -> Result<(bool, Turn), AuthError> {
        let exists = stored.is_some();
        let stored = Arc::clone(stored.unwrap_or(&self.nobody));
        let password = password.to_vec();
        let hashes = Arc::clone(&self.hashes);
        let work = tokio::task::spawn_blocking(move || {
            let right = password::is_right(&password, &stored);
            hashes.fetch_add(1, Ordering::Relaxed);
            (right, turn)
        });
        let (right, turn) = work.await.map_err(|_| AuthError::Unavailable)?;
        Ok((right && exists, turn))
    }
}

/// Counts one waiter for as long as it lives.
struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicU64) -> Option<Waiting<'a>> {
        if waiting.fetch_add(1, Ordering::Relaxed) >= WAITERS_MAX {
            waiting.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Waiting(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
