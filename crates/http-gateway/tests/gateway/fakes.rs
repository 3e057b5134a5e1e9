//! A presence store, an admission and a readiness that say what the test tells them, and note what they were asked.

use crate::{fake_feeds::FakeFeeds, raw_http::Connection};
use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rollcall_cluster::{
    Actor, ClusterChange, ClusterCommand, ClusterOutcome, ClusterState, DirectoryId, Founding, FoundingMember, Managed,
    NodeAddresses, ScramKeys, User,
};
use rollcall_contracts::{
    AccessControl, Account, AccountOrigin, Admission, Asked, AskedChange, AuthError, ChangeUnavailable, ClaimError,
    ClaimGranted, ClientControl, ClientsPage, ClientsQuestion, ConnectPermission, ControlError, DataPlane, Explanation,
    HashedPassword, HeldSubscription, HttpPublisher, InterestPage, InterestQuestion, Interests, IssuedToken,
    KeepAliveError, KnownClient, LeaveError, MemberView, Membership, PartitionView, PresenceAnswer, PresenceQuestions,
    PresenceStore, Presented, PublishError, PublishTaken, QueryRefusal, QuotaBoard, QuotaPart, QuotaView, Rated,
    Readiness, ReadinessReport, RetainError, RetainedPage, RetainedPlace, RetainedReadError, RetainedStore, Role,
    SourceAddress, StatusAnswer, StatusError,
};
use rollcall_http_gateway::{Gateway, GatewayConfig, GatewayParts, Listen};
use rollcall_presence::OwedWill;
use rollcall_types::{
    ClientId, ClusterTime, DisconnectReason, Epoch, Incarnation, LogIndex, Message, NodeId, NodeName, PartitionId, QoS,
};
use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    num::NonZeroU32,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};
use tokio::runtime::Runtime;

/// `user0:secret0`, the one right pair.
pub(crate) const GOOD: &str = "Authorization: Basic dXNlcjA6c2VjcmV0MA==\r\n";

/// An `Authorization` header line for any pair.
pub(crate) fn basic(pair: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(pair))
}

/// What the fakes answer, and what they were asked, in order.
pub(crate) struct World {
    pub(crate) answers: Mutex<HashMap<String, Result<StatusAnswer, StatusError>>>,
    pub(crate) otherwise: Mutex<Result<StatusAnswer, StatusError>>,
    pub(crate) auth_error: Mutex<Option<AuthError>>,
    pub(crate) permission: Mutex<ConnectPermission>,
    pub(crate) refusal: Mutex<Option<QueryRefusal>>,
    pub(crate) readiness: Mutex<ReadinessReport>,
    pub(crate) role: Mutex<Role>,
    /// What is known of clients, by id.
    pub(crate) known_clients: Mutex<HashMap<String, KnownClient>>,
    pub(crate) interests: Mutex<InterestPage>,
    /// In order of their topics.
    pub(crate) retained: Mutex<Vec<Message>>,
    pub(crate) wills: Mutex<HashMap<String, OwedWill>>,
    pub(crate) page: Mutex<ClientsPage>,
    pub(crate) feeds: Arc<FakeFeeds>,
    pub(crate) leaving: tokio::sync::watch::Sender<bool>,
    /// What the management API reads and changes.
    pub(crate) cluster: Mutex<ClusterState>,
    /// No quorum answers.
    pub(crate) cut_off: Mutex<bool>,
    /// The one token that counts, with its role.
    pub(crate) bearer: Mutex<Option<(String, Role)>>,
    pub(crate) published: Mutex<Result<PublishTaken, PublishError>>,
    pub(crate) changed: Mutex<Result<(), KeepAliveError>>,
    /// What becomes of what operators do to clients.
    pub(crate) controlled: Mutex<Result<(), ControlError>>,
    /// Answers are held back while this is locked for writing.
    pub(crate) held: tokio::sync::RwLock<()>,
    calls: Mutex<Vec<Call>>,
    known: Mutex<bool>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Call {
    CachedBasic,
    Authenticate,
    MayConnect(Option<String>),
    Charge(u32),
    Status(String),
    Statuses(Vec<String>),
    Presence(String),
    Clients(ClientsQuestion),
    Wait(String, bool, Duration),
    /// The account, the client id, the message.
    Publish(String, String, Message),
    KeepAlive(String, u16),
    /// With its session, or without.
    Kick(String, bool),
    Subscribe(String, HeldSubscription),
    Unsubscribe(String, String),
    Drain(String, bool),
    Interests(InterestQuestion),
}

pub(crate) fn offline() -> StatusAnswer {
    StatusAnswer { online: false, partition: PartitionId(3), index: LogIndex(41), epoch: None, node: None }
}

pub(crate) fn online() -> StatusAnswer {
    StatusAnswer {
        online: true,
        partition: PartitionId(5),
        index: LogIndex(18_446_744_073_709_551_615),
        epoch: Some(Epoch(9_007_199_254_740_991)),
        node: Some(NodeName("n1".into())),
    }
}

impl World {
    pub(crate) fn new() -> Arc<World> {
        Arc::new(World {
            answers: Mutex::default(),
            otherwise: Mutex::new(Ok(offline())),
            auth_error: Mutex::new(None),
            permission: Mutex::new(ConnectPermission::Allowed),
            refusal: Mutex::new(None),
            readiness: Mutex::default(),
            role: Mutex::new(Role::Client),
            known_clients: Mutex::default(),
            interests: Mutex::default(),
            retained: Mutex::default(),
            wills: Mutex::default(),
            page: Mutex::default(),
            feeds: Arc::default(),
            leaving: tokio::sync::watch::Sender::new(false),
            cluster: Mutex::new(cluster()),
            cut_off: Mutex::new(false),
            bearer: Mutex::new(None),
            published: Mutex::new(Ok(PublishTaken { matched: true })),
            changed: Mutex::new(Ok(())),
            controlled: Mutex::new(Ok(())),
            held: tokio::sync::RwLock::new(()),
            calls: Mutex::default(),
            known: Mutex::new(false),
        })
    }

    /// What was asked since the last time.
    pub(crate) fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    /// Client ids looked up since the last time.
    pub(crate) fn looked_up(&self) -> Vec<String> {
        let ids = self.calls().into_iter().filter_map(|call| match call {
            Call::Status(id) => Some(id),
            _ => None,
        });
        ids.collect()
    }

    fn note(&self, call: Call) {
        self.calls.lock().unwrap().push(call);
    }
}

struct Fake(Arc<World>);

impl Fake {
    fn user0(&self) -> Arc<Account> {
        Arc::new(Account::of_user("user0", *self.0.role.lock().unwrap()))
    }
}

#[async_trait]
impl PresenceStore for Fake {
    async fn claim(&self, _: rollcall_presence::ClaimDetails) -> Result<ClaimGranted, ClaimError> {
        Err(ClaimError::Unavailable)
    }

    fn release(&self, _: ClientId, _: Epoch, _: DisconnectReason) {}

    async fn kick(&self, _: ClientId) -> Result<bool, ClaimError> {
        Err(ClaimError::Unavailable)
    }

    async fn status(&self, client_id: ClientId) -> Result<StatusAnswer, StatusError> {
        self.0.note(Call::Status(client_id.as_str().into()));
        let _let_go = self.0.held.read().await;
        let special = self.0.answers.lock().unwrap().get(client_id.as_str()).cloned();
        special.unwrap_or_else(|| self.0.otherwise.lock().unwrap().clone())
    }

    async fn released(&self, _: Duration) -> bool {
        true
    }
}

impl Fake {
    fn answer(&self, client_id: &str) -> Result<StatusAnswer, StatusError> {
        let special = self.0.answers.lock().unwrap().get(client_id).cloned();
        special.unwrap_or_else(|| self.0.otherwise.lock().unwrap().clone())
    }

    /// Needs the runtime that was handed over, and is held back like every answer.
    async fn let_go(&self) {
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        drop(self.0.held.read().await);
    }
}

#[async_trait]
impl PresenceQuestions for Fake {
    async fn statuses(&self, client_ids: Vec<ClientId>) -> Result<Vec<StatusAnswer>, StatusError> {
        self.0.note(Call::Statuses(client_ids.iter().map(|id| id.as_str().to_owned()).collect()));
        self.let_go().await;
        client_ids.iter().map(|id| self.answer(id.as_str())).collect()
    }

    async fn presence(&self, client_id: ClientId) -> Result<PresenceAnswer, StatusError> {
        self.0.note(Call::Presence(client_id.as_str().into()));
        self.let_go().await;
        let StatusAnswer { partition, index, .. } = self.answer(client_id.as_str())?;
        let client = self.0.known_clients.lock().unwrap().get(client_id.as_str()).cloned();
        Ok(PresenceAnswer { partition, index, client })
    }

    async fn will(&self, client_id: ClientId) -> Result<Option<OwedWill>, StatusError> {
        self.let_go().await;
        self.answer(client_id.as_str()).map(|_| self.0.wills.lock().unwrap().get(client_id.as_str()).cloned())
    }

    async fn clients(&self, question: ClientsQuestion) -> Result<ClientsPage, StatusError> {
        self.0.note(Call::Clients(question));
        self.let_go().await;
        self.answer("").map(|_| self.0.page.lock().unwrap().clone())
    }

    async fn status_when(
        &self,
        client_id: ClientId,
        online: bool,
        within: Duration,
    ) -> Result<StatusAnswer, StatusError> {
        self.0.note(Call::Wait(client_id.as_str().into(), online, within));
        self.let_go().await;
        self.answer(client_id.as_str())
    }
}

#[async_trait]
impl DataPlane for Fake {
    async fn publish(self: Arc<Self>, from: HttpPublisher, message: Message) -> Result<PublishTaken, PublishError> {
        assert!(from.source.is_loopback());
        self.0.note(Call::Publish(from.account.username.clone(), from.client_id.as_str().to_owned(), message));
        self.let_go().await;
        *self.0.published.lock().unwrap()
    }

    async fn change_keep_alive(&self, client_id: &ClientId, keep_alive_s: u16) -> Result<(), KeepAliveError> {
        self.0.note(Call::KeepAlive(client_id.as_str().to_owned(), keep_alive_s));
        self.let_go().await;
        *self.0.changed.lock().unwrap()
    }
}

#[async_trait]
impl ClientControl for Fake {
    async fn kick(&self, client_id: &ClientId, and_session: bool) -> Result<(), ControlError> {
        self.0.note(Call::Kick(client_id.as_str().to_owned(), and_session));
        self.let_go().await;
        *self.0.controlled.lock().unwrap()
    }

    async fn subscriptions_of(&self, _: &ClientId) -> Result<Vec<HeldSubscription>, ControlError> {
        self.let_go().await;
        let held = HeldSubscription {
            filter: "$share/g/a/#".into(),
            qos: QoS::ExactlyOnce,
            no_local: false,
            retain_as_published: true,
            subscription_id: NonZeroU32::new(7),
        };
        self.0.controlled.lock().unwrap().map(|()| vec![held])
    }

    async fn subscribe_client(
        self: Arc<Self>,
        client_id: &ClientId,
        wanted: HeldSubscription,
    ) -> Result<bool, ControlError> {
        let is_new = wanted.filter != "there/already";
        self.0.note(Call::Subscribe(client_id.as_str().to_owned(), wanted));
        self.let_go().await;
        self.0.controlled.lock().unwrap().map(|()| is_new)
    }

    async fn unsubscribe_client(&self, client_id: &ClientId, filter: &str) -> Result<(), ControlError> {
        self.0.note(Call::Unsubscribe(client_id.as_str().to_owned(), filter.to_owned()));
        self.let_go().await;
        *self.0.controlled.lock().unwrap()
    }
}

#[async_trait]
impl Interests for Fake {
    async fn interests(&self, question: InterestQuestion) -> Result<InterestPage, ControlError> {
        self.0.note(Call::Interests(question));
        self.let_go().await;
        self.0.controlled.lock().unwrap().map(|()| self.0.interests.lock().unwrap().clone())
    }
}

/// Two messages a page, by filters that are a topic or `#`.
#[async_trait]
impl RetainedStore for Fake {
    async fn keep(&self, message: Arc<Message>) -> Result<(), RetainError> {
        self.let_go().await;
        let mut retained = self.0.retained.lock().unwrap();
        retained.retain(|present| present.topic != message.topic);
        if !message.payload.is_empty() {
            retained.push(Message::clone(&message));
        }
        Ok(())
    }

    fn keep_soon(&self, _: Arc<Message>) -> Result<(), RetainError> {
        Err(RetainError::NotServing)
    }

    async fn matching(&self, filter: &str, from: RetainedPlace) -> Result<RetainedPage, RetainedReadError> {
        self.let_go().await;
        let retained = self.0.retained.lock().unwrap();
        let is_behind = |message: &Message| {
            let behind = RetainedPlace::behind(PartitionId(0), &message.topic);
            let key = |place: &RetainedPlace| serde_json::to_string(&place.within).unwrap();
            from.within.is_none() || key(&behind) > key(&from)
        };
        let mut wanted = retained.iter().filter(|m| (filter == "#" || filter == m.topic) && is_behind(m)).cloned();
        let messages: Vec<Message> = wanted.by_ref().take(2).collect();
        let next = wanted.next().and_then(|_| messages.last().map(|m| RetainedPlace::behind(PartitionId(0), &m.topic)));
        Ok(RetainedPage { messages, next })
    }
}

#[async_trait]
impl Admission for Fake {
    fn cached_basic(&self, authorization: &[u8]) -> Option<Arc<Account>> {
        self.0.note(Call::CachedBasic);
        (*self.0.known.lock().unwrap() && GOOD.contains(std::str::from_utf8(authorization).ok()?)).then(|| self.user0())
    }

    async fn authenticate_basic(
        &self,
        authorization: Option<&[u8]>,
        source: SourceAddress,
    ) -> Result<Arc<Account>, AuthError> {
        self.0.note(Call::Authenticate);
        assert!(source.is_loopback());
        // Needs the runtime that was handed over: the gateway's own threads do not run this one.
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        if let Some(error) = *self.0.auth_error.lock().unwrap() {
            return Err(error);
        }
        let right = authorization.is_some_and(|value| GOOD.as_bytes()[15..].strip_suffix(b"\r\n") == Some(value));
        *self.0.known.lock().unwrap() |= right;
        right.then(|| self.user0()).ok_or(AuthError::Rejected)
    }

    async fn authenticate_mqtt(&self, _: &Presented<'_>) -> Result<Arc<Account>, AuthError> {
        Err(AuthError::Unavailable)
    }

    fn may_connect(&self, account: &Account, client_id: Option<&str>, source: SourceAddress) -> ConnectPermission {
        assert_eq!(account.username, "user0");
        assert!(source.is_loopback());
        self.0.note(Call::MayConnect(client_id.map(str::to_owned)));
        *self.0.permission.lock().unwrap()
    }

    fn authenticate_bearer(&self, authorization: &[u8], source: SourceAddress) -> Result<Arc<Account>, AuthError> {
        assert!(source.is_loopback());
        let bearer = self.0.bearer.lock().unwrap();
        let right = bearer.as_ref().filter(|(token, _)| authorization == format!("Bearer {token}").as_bytes());
        let (_, role) = right.ok_or(AuthError::Rejected)?;
        Ok(Arc::new(Account { origin: AccountOrigin::ApiToken, ..Account::new("token:t", *role) }))
    }

    fn may(&self, _: &Account, _: &Asked<'_>) -> bool {
        false
    }

    fn explain(&self, account: &Account, asked: &Asked<'_>) -> Explanation {
        let rule = Some(format!("{} as {:?} {}", account.username, asked.client_id, asked.resource));
        Explanation { allowed: asked.retain, by: "policy", rule }
    }

    fn is_known(&self, _: &Account) -> bool {
        true
    }

    fn access_version(&self) -> u64 {
        1
    }

    fn charge(&self, n: u32) -> Result<(), QueryRefusal> {
        self.0.note(Call::Charge(n));
        self.0.refusal.lock().unwrap().map_or(Ok(()), Err)
    }

    fn owe(&self, n: u32) {
        let _taken = self.charge(n);
    }

    fn admit(&self, _: Rated) -> Result<(), QueryRefusal> {
        Ok(())
    }

    fn bind_account(&self) -> bool {
        true
    }
}

#[async_trait]
impl AccessControl for Fake {
    fn look(&self, look: &mut dyn FnMut(&ClusterState)) -> bool {
        let state = self.0.cluster.lock().unwrap();
        let is_formed = state.facts().is_some();
        if is_formed {
            look(&state);
        }
        is_formed
    }

    fn now(&self) -> ClusterTime {
        self.0.cluster.lock().unwrap().time()
    }

    /// The rules themselves decide.
    async fn change(&self, asked: AskedChange) -> Result<ClusterOutcome, ChangeUnavailable> {
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        if *self.0.cut_off.lock().unwrap() {
            return Err(ChangeUnavailable);
        }
        let mut state = self.0.cluster.lock().unwrap();
        let by = Actor { name: asked.by, source: asked.source, node: "n1".into() };
        let request = state.applied().0;
        let managed = Managed { by, request, only_if: asked.only_if, change: asked.change };
        let command = ClusterCommand { at: state.time(), change: ClusterChange::Manage(Box::new(managed)) };
        Ok(state.apply(LogIndex(request + 1), command))
    }

    async fn hash_password(&self, password: String) -> Result<HashedPassword, ChangeUnavailable> {
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        let keys = ScramKeys { salt: vec![1], iterations: 1, stored_key: [2; 32], server_key: [3; 32] };
        let scram_keys = password.starts_with("keyed").then_some(keys);
        Ok(HashedPassword { hash: format!("$hash of {}", password.len()), scram_keys })
    }

    fn issue_token(&self) -> IssuedToken {
        IssuedToken { id: "t1".into(), presented: "rct_t1_secret".into(), secret_hash: [7; 32] }
    }
}

/// A cluster with `user0` and an administrator.
fn cluster() -> ClusterState {
    let user = |username: &str, role| User { username: username.into(), password_hash: "$hash".into(), role };
    let founding = Founding {
        cluster_id: "0123456789abcdef0123456789abcdef".into(),
        name: "main".into(),
        partitions: 1,
        replicas: 1,
        lease_ms: 4000,
        members: vec![FoundingMember {
            id: NodeId(1),
            name: NodeName("n1".into()),
            directory: DirectoryId([1; 16]),
            addresses: NodeAddresses::default(),
        }],
        placement: BTreeMap::from([(PartitionId(0), vec![NodeId(1)])]),
        users: vec![user("root", rollcall_cluster::Role::Admin), user("user0", rollcall_cluster::Role::Client)],
        policies: Vec::new(),
        offline_record_keep_s: 60,
    };
    let mut state = ClusterState::default();
    let change = ClusterChange::Form(Box::new(founding));
    assert_eq!(state.apply(LogIndex(1), ClusterCommand { at: ClusterTime(1_000_000), change }), ClusterOutcome::Formed);
    state
}

impl Readiness for Fake {
    fn report(&self) -> ReadinessReport {
        self.0.readiness.lock().unwrap().clone()
    }
}

impl QuotaBoard for Fake {
    fn view(&self) -> QuotaView {
        let part = |node, granted, demand| QuotaPart { node: NodeId(node), granted, demand };
        QuotaView { limit: 1_000, burst_percent: 10, parts: vec![part(4, 980, 2_000), part(5, 10, 0)] }
    }
}

#[async_trait]
impl Membership for Fake {
    fn me(&self) -> NodeName {
        NodeName("n4".into())
    }

    fn leader(&self) -> Option<NodeId> {
        Some(NodeId(4))
    }

    fn members(&self) -> Vec<MemberView> {
        vec![MemberView {
            id: NodeId(4),
            name: NodeName("n4".into()),
            zone: Some("a".into()),
            mesh: "n4:7400".into(),
            alive: Some(Incarnation(2)),
            leaving: false,
            draining: false,
            partitions: 3,
            votes: true,
        }]
    }

    fn partitions(&self) -> Vec<PartitionView> {
        vec![PartitionView {
            partition: PartitionId(0),
            replicas: vec![NodeId(4), NodeId(1)],
            moving: true,
            leader: None,
            lags: vec![None, Some(7)],
        }]
    }

    async fn drain(&self, name: &str, drain: bool, by: &str, source: &str) -> Result<(), LeaveError> {
        if name == "n4" {
            self.0.note(Call::Drain(name.to_owned(), drain));
        }
        self.leave(name, by, source).await
    }

    async fn leave(&self, name: &str, by: &str, source: &str) -> Result<(), LeaveError> {
        assert_eq!((by, source), ("user0", "127.0.0.1"));
        match name {
            "n4" => Ok(()),
            "last" => Err(LeaveError::Refused("the last member cannot be removed".into())),
            "cut-off" => Err(LeaveError::Unavailable),
            _ => Err(LeaveError::UnknownNode),
        }
    }
}

/// A running gateway with its world.
pub(crate) struct Running {
    pub(crate) world: Arc<World>,
    pub(crate) gateway: Gateway,
    pub(crate) runtime: Runtime,
}

/// Shared by all gateways of this process.
static RECORDER: LazyLock<PrometheusHandle> =
    LazyLock::new(|| PrometheusBuilder::new().install_recorder().expect("no other recorder is installed"));

pub(crate) fn parts(world: &Arc<World>, runtime: &Runtime) -> GatewayParts {
    LazyLock::force(&RECORDER);
    let fake = Arc::new(Fake(Arc::clone(world)));
    GatewayParts {
        presence: fake.clone(),
        questions: fake.clone(),
        feeds: world.feeds.clone(),
        leaving: world.leaving.subscribe(),
        admission: fake.clone(),
        data_plane: fake.clone(),
        clients: fake.clone(),
        interests: fake.clone(),
        retained: fake.clone(),
        access: fake.clone(),
        membership: fake.clone(),
        quota: fake.clone(),
        readiness: fake,
        metrics: Arc::new(|| RECORDER.render()),
        runtime: runtime.handle().clone(),
    }
}

pub(crate) fn loopback() -> Option<Listen> {
    Some(Listen::Address(SocketAddr::from(([127, 0, 0, 1], 0))))
}

/// A gateway on free ports, with a data plane and an admin listener in the clear.
pub(crate) fn start() -> Running {
    start_with(GatewayConfig::default())
}

/// The same with other bounds.
pub(crate) fn start_with(config: GatewayConfig) -> Running {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let world = World::new();
    let config = GatewayConfig { http: loopback(), admin: loopback(), workers: 2, ..config };
    let gateway = Gateway::start(config, parts(&world, &runtime)).unwrap();
    Running { world, gateway, runtime }
}

impl Running {
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.gateway.addresses().http.unwrap())
    }

    pub(crate) fn connect_admin(&self) -> Connection {
        Connection::open(self.gateway.addresses().admin.unwrap())
    }

    pub(crate) fn stop(&self) {
        self.runtime.block_on(self.gateway.stop());
    }
}
