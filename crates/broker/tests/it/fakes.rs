//! Fake mechanisms: a presence store whose answers can be held back, a lease to be ended, accounts, other nodes.

use async_trait::async_trait;
use rollcall_contracts::{
    Account, Admission, Announced, Asked, AuthError, CallError, Charge, ClaimError, ClaimGranted, ConnectPermission,
    Explanation, KeepAliveError, KeepAliveRecorded, LeaseGate, OwnerLinks, Part, PeerPublisher, PresenceStore,
    Presented, QueryRefusal, Rated, RetainError, RetainedPage, RetainedPlace, RetainedReadError, RetainedStore, Role,
    RouteBoard, SourceAddress, Spread, StatusAnswer, StatusError, Unserved,
};
use rollcall_presence::{ClaimDetails, Displaced};
use rollcall_types::{
    BootTime, ClientId, DisconnectReason, Epoch, Home, Incarnation, LogIndex, Message, NodeId, NodeName, PartitionId,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{oneshot, watch};

/// Claims are applied when asked for; their answers may be held back.
pub(crate) struct FakeStore {
    next_epoch: AtomicU64,
    held: watch::Sender<bool>,
    pub(crate) refuse: Mutex<Option<ClaimError>>,
    pub(crate) asked: Mutex<Vec<ClaimDetails>>,
    pub(crate) releases: Mutex<Vec<(ClientId, Epoch, DisconnectReason)>>,
    pub(crate) abandoned: AtomicUsize,
    pub(crate) all_released: AtomicBool,
    /// Epochs of claims made on other nodes.
    pub(crate) elsewhere: Mutex<BTreeMap<ClientId, Epoch>>,
    /// What each claim displaces.
    pub(crate) displaced: Mutex<Option<Displaced>>,
    /// Keep-alives on record.
    pub(crate) keep_alives: Mutex<Vec<(ClientId, Epoch, u16)>>,
    /// What becomes of the next ones; `None`: they are recorded.
    pub(crate) keep_alive: Mutex<Option<Result<bool, ClaimError>>>,
    /// The answer to every question, where there is one.
    pub(crate) status: Mutex<Option<Result<StatusAnswer, StatusError>>>,
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
            elsewhere: Mutex::default(),
            displaced: Mutex::default(),
            keep_alives: Mutex::default(),
            keep_alive: Mutex::default(),
            status: Mutex::default(),
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

    /// Claims from now on have epochs behind those of another node.
    pub(crate) fn skip_epochs(&self, to: u64) {
        self.next_epoch.store(to, Ordering::SeqCst);
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
            None => Ok(ClaimGranted { epoch, displaced: *self.displaced.lock().unwrap() }),
        }
    }

    fn release(&self, client_id: ClientId, epoch: Epoch, reason: DisconnectReason) {
        self.releases.lock().unwrap().push((client_id, epoch, reason));
    }

    async fn kick(&self, _: ClientId) -> Result<bool, ClaimError> {
        Ok(false)
    }

    fn record_keep_alive(
        &self,
        client_id: &ClientId,
        epoch: Epoch,
        keep_alive_s: u16,
    ) -> Result<KeepAliveRecorded, ClaimError> {
        let answer = self.keep_alive.lock().unwrap().unwrap_or(Ok(true));
        if answer == Err(ClaimError::Busy) {
            return Err(ClaimError::Busy);
        }
        self.keep_alives.lock().unwrap().push((client_id.clone(), epoch, keep_alive_s));
        Ok(Box::pin(async move { answer }))
    }

    async fn status(&self, client_id: ClientId) -> Result<StatusAnswer, StatusError> {
        if let Some(answer) = self.status.lock().unwrap().clone() {
            return answer;
        }
        let (elsewhere, asked) = (self.elsewhere.lock().unwrap(), self.asked.lock().unwrap());
        // The claim of place n was given epoch n + 1.
        let last = asked.iter().rposition(|details| details.client_id == client_id);
        let here = last.map(|place| Epoch(u64::try_from(place).unwrap() + 1));
        let epoch = elsewhere.get(&client_id).copied().max(here);
        Ok(StatusAnswer { online: false, partition: PartitionId(0), index: LogIndex(1), epoch, node: None })
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
    /// There are too many of these.
    pub(crate) over_rate: Mutex<BTreeSet<Rated>>,
    pub(crate) auth_error: Mutex<Option<AuthError>>,
    pub(crate) denied: AtomicBool,
    /// Nobody may use this topic or filter, beside those under `forbidden`.
    pub(crate) forbidden: Mutex<Option<String>>,
    /// The user of that name is there no more.
    pub(crate) deleted: Mutex<Option<String>>,
    pub(crate) version: AtomicU64,
    pub(crate) over_quota: AtomicBool,
    pub(crate) charged: AtomicUsize,
    pub(crate) authenticated: AtomicUsize,
    /// When credentials expire that are accepted from now on.
    pub(crate) expires_at_ms: Mutex<Option<u64>>,
}

#[async_trait]
impl Admission for FakeAdmission {
    fn cached_basic(&self, _: &[u8]) -> Option<Arc<Account>> {
        None
    }

    async fn authenticate_basic(&self, _: Option<&[u8]>, _: SourceAddress) -> Result<Arc<Account>, AuthError> {
        Err(AuthError::Rejected)
    }

    async fn authenticate_mqtt(&self, presented: &Presented<'_>) -> Result<Arc<Account>, AuthError> {
        self.authenticated.fetch_add(1, Ordering::SeqCst);
        match *self.auth_error.lock().unwrap() {
            Some(error) => Err(error),
            None => Ok(Arc::new(Account {
                expires_at_ms: *self.expires_at_ms.lock().unwrap(),
                ..Account::new(presented.username.unwrap_or_default(), Role::Client)
            })),
        }
    }

    fn may_connect(&self, _: &Account, _: Option<&str>, _: SourceAddress) -> ConnectPermission {
        if self.denied.load(Ordering::SeqCst) { ConnectPermission::Denied } else { ConnectPermission::Allowed }
    }

    fn authenticate_bearer(&self, _: &[u8], _: SourceAddress) -> Result<Arc<Account>, AuthError> {
        Err(AuthError::Rejected)
    }

    fn may(&self, _: &Account, asked: &Asked<'_>) -> bool {
        let forbidden = self.forbidden.lock().unwrap();
        !asked.resource.starts_with("forbidden") && forbidden.as_ref().is_none_or(|one| *one != asked.resource)
    }

    fn explain(&self, account: &Account, asked: &Asked<'_>) -> Explanation {
        Explanation { allowed: self.may(account, asked), by: "fake", rule: None }
    }

    fn is_known(&self, account: &Account) -> bool {
        self.deleted.lock().unwrap().as_ref().is_none_or(|one| *one != account.username)
    }

    fn access_version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    fn charge(&self, n: u32) -> Result<(), QueryRefusal> {
        if self.over_quota.load(Ordering::SeqCst) {
            return Err(QueryRefusal::OverQuota { retry_after_s: 1 });
        }
        self.charged.fetch_add(usize::try_from(n).unwrap(), Ordering::SeqCst);
        Ok(())
    }

    fn owe(&self, n: u32) {
        self.charged.fetch_add(usize::try_from(n).unwrap(), Ordering::SeqCst);
    }

    fn admit(&self, packet: Rated) -> Result<(), QueryRefusal> {
        match self.over_rate.lock().unwrap().contains(&packet) {
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
    /// When there is one, the next message waits for its answer.
    pub(crate) answer: Mutex<Option<oneshot::Receiver<bool>>>,
    /// Who gets the next messages; otherwise everybody here, and all other nodes.
    pub(crate) spread: Mutex<Option<Spread>>,
    /// Homes of every shared group, in the order they are chosen in; what they do with a message.
    pub(crate) homes: Mutex<Vec<(Home, bool)>>,
    /// What was sent to one node for a shared group.
    pub(crate) dispatched: Mutex<Vec<(NodeId, Arc<str>, String)>>,
}

#[async_trait]
impl PeerPublisher for FakePeers {
    fn spread(&self, _: &str, _: u64) -> Spread {
        self.spread.lock().unwrap().clone().unwrap_or(Spread::here())
    }

    fn spread_about(&self, topic: &str, _: &ClientId) -> Spread {
        self.spread(topic, 0)
    }

    fn choose_again(&self, unserved: &Unserved) -> Option<Home> {
        self.homes.lock().unwrap().iter().map(|(home, _)| *home).find(|home| !unserved.tried.contains(home))
    }

    fn publish_to_peers(&self, message: Arc<Message>, _: Vec<(NodeId, Part)>) {
        self.published.lock().unwrap().push(message);
    }

    async fn publish(&self, message: Arc<Message>, spread: Spread) -> Charge {
        let mut unserved = Vec::new();
        for (node, part) in spread.peers {
            let home = Home::Peer(node);
            let takes = self.homes.lock().unwrap().iter().any(|(one, takes)| *one == home && *takes);
            for group in part.groups {
                self.dispatched.lock().unwrap().push((node, group.clone(), message.topic.clone()));
                if !takes {
                    unserved.push(Unserved { group, tried: BTreeSet::from([home]), client_hash: part.client_hash });
                }
            }
        }
        if spread.here.plain {
            self.publish_to_peers(message, Vec::new());
        }
        let answer = self.answer.lock().unwrap().take();
        let nodes = usize::from(answer.is_some() || !unserved.is_empty());
        let taken = Box::pin(async {
            if let Some(answer) = answer {
                drop(answer.await);
            }
            unserved
        });
        Charge { nodes, taken }
    }

    /// So that every message is seen.
    fn concerns_nobody(&self, _: &Spread) -> bool {
        false
    }
}

/// Remembers what the other nodes are told.
#[derive(Default)]
pub(crate) struct FakeBoard {
    /// Routes in the order told, plain ones with a sign, shared ones with their members.
    pub(crate) told: Mutex<Vec<String>>,
    /// Whether the others know yet; `None`: there are no others.
    pub(crate) known: Mutex<Option<watch::Receiver<Option<bool>>>>,
    /// What holds, for who asks.
    pub(crate) routes: Mutex<BTreeMap<String, u32>>,
}

impl FakeBoard {
    /// There are others from now on; what is sent is what becomes of every announcement.
    pub(crate) fn others(&self) -> watch::Sender<Option<bool>> {
        let (known, receiver) = watch::channel(None);
        *self.known.lock().unwrap() = Some(receiver);
        known
    }

    pub(crate) fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

impl RouteBoard for FakeBoard {
    fn route_added(&self, filter: &str) {
        self.told.lock().unwrap().push(format!("+{filter}"));
    }

    fn route_removed(&self, filter: &str) {
        self.told.lock().unwrap().push(format!("-{filter}"));
    }

    fn members(&self, group: &str, count: u32, away: bool) {
        let away = if away { " away" } else { "" };
        self.told.lock().unwrap().push(format!("{group} {count}{away}"));
    }

    fn told(&self, prefix: &str, after: &str, most: usize) -> Vec<(String, u32)> {
        let routes = self.routes.lock().unwrap();
        let wanted = routes.iter().filter(|(filter, _)| filter.starts_with(prefix) && filter.as_str() > after);
        wanted.take(most).map(|(filter, count)| (filter.clone(), *count)).collect()
    }

    fn announce(&self) -> Option<Announced> {
        let mut known = self.known.lock().unwrap().clone()?;
        Some(Box::pin(async move { known.wait_for(Option::is_some).await.unwrap().unwrap() }))
    }
}

/// As much of matching as these tests need: an exact topic, or all that begins alike.
fn begins_as(filter: &str, topic: &str) -> bool {
    filter.strip_suffix('#').map_or(filter == topic, |prefix| topic.starts_with(prefix))
}

/// Keeps messages in order of their arrival, and answers in pages of two. May refuse, and may fail to answer at first.
#[derive(Default)]
pub(crate) struct FakeRetained {
    pub(crate) kept: Mutex<Vec<Arc<Message>>>,
    pub(crate) refuse: Mutex<Option<RetainError>>,
    pub(crate) failures: AtomicUsize,
}

#[async_trait]
impl RetainedStore for FakeRetained {
    async fn keep(&self, message: Arc<Message>) -> Result<(), RetainError> {
        self.keep_soon(message)
    }

    fn keep_soon(&self, message: Arc<Message>) -> Result<(), RetainError> {
        match *self.refuse.lock().unwrap() {
            Some(error) => Err(error),
            None => {
                self.kept.lock().unwrap().push(message);
                Ok(())
            }
        }
    }

    async fn matching(&self, filter: &str, from: RetainedPlace) -> Result<RetainedPage, RetainedReadError> {
        let fails = |left: usize| left.checked_sub(1);
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails).is_ok() {
            return Err(RetainedReadError::NoQuorum);
        }
        let kept = self.kept.lock().unwrap();
        let pages: Vec<_> = kept.chunks(2).collect();
        let page = pages.get(usize::from(from.partition.0)).copied().unwrap_or_default();
        let messages = page.iter().filter(|m| begins_as(filter, &m.topic)).map(|m| Message::clone(m)).collect();
        let following = PartitionId(from.partition.0 + 1);
        let next = usize::from(following.0) < pages.len();
        Ok(RetainedPage { messages, next: next.then_some(RetainedPlace { partition: following, within: None }) })
    }
}

/// Remembers what the owners on other nodes would get.
#[derive(Default)]
pub(crate) struct FakeOwners {
    pub(crate) sent: Mutex<Vec<(String, String, Epoch)>>,
    pub(crate) answer: Mutex<Option<Result<bool, CallError>>>,
    /// What becomes of keep-alives.
    pub(crate) keep_alive: Mutex<Option<Result<(), KeepAliveError>>>,
}

#[async_trait]
impl OwnerLinks for FakeOwners {
    async fn deliver_to_owner(
        &self,
        node: &NodeName,
        client_id: &ClientId,
        epoch: Epoch,
        _: Arc<Message>,
    ) -> Result<bool, CallError> {
        self.sent.lock().unwrap().push((node.0.clone(), client_id.as_str().to_owned(), epoch));
        self.answer.lock().unwrap().clone().unwrap_or(Ok(true))
    }

    async fn change_keep_alive(
        &self,
        node: &NodeName,
        client_id: &ClientId,
        epoch: Epoch,
        _: u16,
    ) -> Result<(), KeepAliveError> {
        self.sent.lock().unwrap().push((node.0.clone(), client_id.as_str().to_owned(), epoch));
        self.keep_alive.lock().unwrap().unwrap_or(Ok(()))
    }
}
