//! A presence store, an admission and a readiness that say what the test tells them, and note what they were asked.

use crate::raw_http::Connection;
use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rollcall_contracts::{
    Account, Admission, AuthError, ClaimError, ClaimGranted, ClientsPage, ClientsQuestion, ConnectPermission,
    KnownClient, LeaveError, MemberView, Membership, PartitionView, PresenceAnswer, PresenceQuestions, PresenceStore,
    QueryRefusal, Rated, Readiness, ReadinessReport, Role, SourceAddress, StatusAnswer, StatusError,
};
use rollcall_http_gateway::{Gateway, GatewayConfig, GatewayParts, Listen};
use rollcall_types::{ClientId, DisconnectReason, Epoch, Incarnation, LogIndex, NodeId, NodeName, PartitionId};
use std::{
    collections::HashMap,
    net::SocketAddr,
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
    pub(crate) page: Mutex<ClientsPage>,
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
            page: Mutex::default(),
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
        Arc::new(Account { username: "user0".into(), role: *self.0.role.lock().unwrap() })
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

    async fn authenticate_mqtt(
        &self,
        _: Option<&str>,
        _: Option<&[u8]>,
        _: SourceAddress,
    ) -> Result<Arc<Account>, AuthError> {
        Err(AuthError::Unavailable)
    }

    fn may_connect(&self, account: &Account, client_id: Option<&str>, source: SourceAddress) -> ConnectPermission {
        assert_eq!(account.username, "user0");
        assert!(source.is_loopback());
        self.0.note(Call::MayConnect(client_id.map(str::to_owned)));
        *self.0.permission.lock().unwrap()
    }

    fn may_publish(&self, _: &Account, _: &str, _: &str, _: SourceAddress) -> bool {
        false
    }

    fn may_subscribe(&self, _: &Account, _: &str, _: &str, _: SourceAddress) -> bool {
        false
    }

    fn charge(&self, n: u32) -> Result<(), QueryRefusal> {
        self.0.note(Call::Charge(n));
        self.0.refusal.lock().unwrap().map_or(Ok(()), Err)
    }

    fn admit(&self, _: Rated) -> Result<(), QueryRefusal> {
        Ok(())
    }

    fn bind_account(&self) -> bool {
        true
    }
}

impl Readiness for Fake {
    fn report(&self) -> ReadinessReport {
        self.0.readiness.lock().unwrap().clone()
    }
}

#[async_trait]
impl Membership for Fake {
    fn members(&self) -> Vec<MemberView> {
        vec![MemberView {
            id: NodeId(4),
            name: NodeName("n4".into()),
            zone: Some("a".into()),
            mesh: "n4:7400".into(),
            alive: Some(Incarnation(2)),
            leaving: false,
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
        }]
    }

    async fn leave(&self, name: &str) -> Result<(), LeaveError> {
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
        admission: fake.clone(),
        membership: fake.clone(),
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
