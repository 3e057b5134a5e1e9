//! Fake mechanisms: a presence store whose answers can be held back, a lease to be ended, accounts, other nodes.

use async_trait::async_trait;
use rollcall_contracts::{
    Account, Admission, AuthError, Charge, ClaimError, ClaimGranted, ConnectPermission, LeaseGate, PeerPublisher,
    PresenceStore, QueryRefusal, Role, SourceAddress, StatusAnswer, StatusError,
};
use rollcall_presence::ClaimDetails;
use rollcall_types::{BootTime, ClientId, DisconnectReason, Epoch, Incarnation, Message};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Claims are applied when asked for; their answers may be held back.
pub(crate) struct FakeStore {
    next_epoch: AtomicU64,
    held: watch::Sender<bool>,
    pub(crate) refuse: Mutex<Option<ClaimError>>,
    pub(crate) asked: Mutex<Vec<ClaimDetails>>,
    pub(crate) releases: Mutex<Vec<(ClientId, Epoch, DisconnectReason)>>,
    pub(crate) abandoned: AtomicUsize,
    pub(crate) all_released: AtomicBool,
}

impl Default for FakeStore {
    fn default() -> Self {
        FakeStore {
            next_epoch: AtomicU64::new(1),
            held: watch::Sender::new(false),
            refuse: Mutex::default(),
            asked: Mutex::default(),
            releases: Mutex::default(),
            abandoned: AtomicUsize::new(0),
            all_released: AtomicBool::new(true),
        }
    }
}

impl FakeStore {
    /// Claims asked for from now on wait until [`FakeStore::answer`].
    pub(crate) fn hold(&self) {
        self.held.send_replace(true);
    }

    pub(crate) fn answer(&self) {
        self.held.send_replace(false);
    }

    pub(crate) fn refuse(&self, error: ClaimError) {
        *self.refuse.lock().unwrap() = Some(error);
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    pub(crate) fn released(&self) -> Vec<(Epoch, DisconnectReason)> {
        self.releases.lock().unwrap().iter().map(|(_, epoch, reason)| (*epoch, *reason)).collect()
    }
}

struct Abandoned<'a>(&'a FakeStore, bool);

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.abandoned.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl PresenceStore for FakeStore {
    async fn claim(&self, details: ClaimDetails) -> Result<ClaimGranted, ClaimError> {
        let mut held = self.held.subscribe();
        let epoch = Epoch(self.next_epoch.fetch_add(1, Ordering::SeqCst));
        self.asked.lock().unwrap().push(details);
        let mut abandoned = Abandoned(self, false);
        held.wait_for(|held| !held).await.unwrap();
        abandoned.1 = true;
        match *self.refuse.lock().unwrap() {
            Some(error) => Err(error),
            None => Ok(ClaimGranted { epoch, displaced: None }),
        }
    }

    fn release(&self, client_id: ClientId, epoch: Epoch, reason: DisconnectReason) {
        self.releases.lock().unwrap().push((client_id, epoch, reason));
    }

    async fn kick(&self, _: ClientId) -> Result<bool, ClaimError> {
        Ok(false)
    }

    async fn status(&self, _: ClientId) -> Result<StatusAnswer, StatusError> {
        Err(StatusError::NotReady)
    }

    async fn released(&self, _: Duration) -> bool {
        self.all_released.load(Ordering::SeqCst)
    }
}

/// A lease on a clock that runs, and can be put forward.
pub(crate) struct FakeLease {
    serving: AtomicBool,
    incarnation: AtomicU64,
    started: Instant,
    ahead_ms: AtomicU64,
}

impl Default for FakeLease {
    fn default() -> Self {
        FakeLease {
            serving: AtomicBool::new(true),
            incarnation: AtomicU64::new(1),
            started: Instant::now(),
            ahead_ms: AtomicU64::new(1_000_000),
        }
    }
}

impl FakeLease {
    pub(crate) fn lose(&self) {
        self.serving.store(false, Ordering::SeqCst);
    }

    pub(crate) fn begin_next(&self) {
        self.incarnation.fetch_add(1, Ordering::SeqCst);
        self.serving.store(true, Ordering::SeqCst);
    }

    pub(crate) fn pass(&self, ms: u64) {
        self.ahead_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl LeaseGate for FakeLease {
    fn may_serve(&self, incarnation: Incarnation) -> bool {
        self.serving() == Some(incarnation)
    }

    fn serving(&self) -> Option<Incarnation> {
        let incarnation = Incarnation(self.incarnation.load(Ordering::SeqCst));
        self.serving.load(Ordering::SeqCst).then_some(incarnation)
    }

    fn valid_until(&self) -> Option<BootTime> {
        None
    }

    fn now(&self) -> BootTime {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap();
        BootTime(elapsed + self.ahead_ms.load(Ordering::SeqCst))
    }
}

/// Lets everybody in and everything through, unless told otherwise.
#[derive(Default)]
pub(crate) struct FakeAdmission {
    pub(crate) over_connect_rate: AtomicBool,
    pub(crate) auth_error: Mutex<Option<AuthError>>,
    pub(crate) denied: AtomicBool,
    pub(crate) over_quota: AtomicBool,
    pub(crate) charged: AtomicUsize,
    pub(crate) authenticated: AtomicUsize,
}

#[async_trait]
impl Admission for FakeAdmission {
    fn cached_basic(&self, _: &[u8]) -> Option<Arc<Account>> {
        None
    }

    async fn authenticate_basic(&self, _: Option<&[u8]>, _: SourceAddress) -> Result<Arc<Account>, AuthError> {
        Err(AuthError::Rejected)
    }

    async fn authenticate_mqtt(
        &self,
        username: Option<&str>,
        _: Option<&[u8]>,
        _: SourceAddress,
    ) -> Result<Arc<Account>, AuthError> {
        self.authenticated.fetch_add(1, Ordering::SeqCst);
        match *self.auth_error.lock().unwrap() {
            Some(error) => Err(error),
            None => Ok(Arc::new(Account { username: username.unwrap_or_default().into(), role: Role::Client })),
        }
    }

    fn may_connect(&self, _: &Account, _: Option<&str>, _: SourceAddress) -> ConnectPermission {
        if self.denied.load(Ordering::SeqCst) { ConnectPermission::Denied } else { ConnectPermission::Allowed }
    }

    fn may_publish(&self, _: &Account, _: &str, topic: &str, _: SourceAddress) -> bool {
        !topic.starts_with("forbidden")
    }

    fn may_subscribe(&self, _: &Account, _: &str, filter: &str, _: SourceAddress) -> bool {
        !filter.starts_with("forbidden")
    }

    fn charge(&self, n: u32) -> Result<(), QueryRefusal> {
        if self.over_quota.load(Ordering::SeqCst) {
            return Err(QueryRefusal::OverQuota { retry_after_s: 1 });
        }
        self.charged.fetch_add(usize::try_from(n).unwrap(), Ordering::SeqCst);
        Ok(())
    }

    fn admit_connect(&self) -> Result<(), QueryRefusal> {
        match self.over_connect_rate.load(Ordering::SeqCst) {
            true => Err(QueryRefusal::OverQuota { retry_after_s: 1 }),
            false => Ok(()),
        }
    }

    fn bind_account(&self) -> bool {
        true
    }
}

/// Remembers what the other nodes would get.
#[derive(Default)]
pub(crate) struct FakePeers {
    pub(crate) published: Mutex<Vec<Arc<Message>>>,
}

#[async_trait]
impl PeerPublisher for FakePeers {
    fn publish_to_peers(&self, message: Arc<Message>) {
        self.published.lock().unwrap().push(message);
    }

    async fn publish(&self, message: Arc<Message>) -> Charge {
        self.published.lock().unwrap().push(message);
        Charge::none()
    }
}
