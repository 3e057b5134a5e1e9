//! The data plane: its workers, and one status query from its head to its answer. Larger questions are in files of their
//! own.
//!
//! A service of the HTTP layer itself, without a router: routers decode and normalise paths, and cost more than the
//! rest of the answer. The order is fixed: method, body, authentication, the id, permission, quota, look-up.

use crate::{
    authentication::{self, source_address},
    batch::BATCHES_AT_ONCE_MAX,
    body::Body,
    client_id_path::{decode_segment, query_client_id},
    clients::LISTS_AT_ONCE_MAX,
    config::{GatewayConfig, GatewayParts, PublishLimits},
    desk::Desk,
    error_response::{Problem, options},
    in_runtime::InRuntime,
    keep_alive::KEEP_ALIVES_AT_ONCE_MAX,
    metrics::{QuestionMetrics, StatusMetrics},
    publish::PAYLOAD_BYTES_AT_ONCE_MAX,
    request_body,
    route::{Route, STATUS_METHODS, status_segment},
    seats::Seats,
    streams::Streams,
    wait::{Wait, wait},
};
use actix_http::{
    ConnectionType, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue},
};
use actix_web::dev::{AppConfig, Service, ServiceFactory};
use bytes::Bytes;
use rollcall_contracts::{Account, ConnectPermission, StatusAnswer};
use rollcall_types::ClientId;
use std::{
    future::{Future, Ready, ready},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

const ONLINE: &[u8] = br#"{"online":true}"#;
const OFFLINE: &[u8] = br#"{"online":false}"#;

const PARTITION: HeaderName = HeaderName::from_static("rollcall-partition");
const INDEX: HeaderName = HeaderName::from_static("rollcall-index");
const EPOCH: HeaderName = HeaderName::from_static("rollcall-epoch");
const NODE: HeaderName = HeaderName::from_static("rollcall-node");

/// Makes one [`StatusService`] per worker.
#[derive(Clone)]
pub(crate) struct StatusFactory {
    pub(crate) parts: GatewayParts,
    client_id_bytes_max: usize,
    lease: Duration,
    cluster: Arc<str>,
    batches: Seats,
    lists: Seats,
    waits: Seats,
    streams: Streams,
    heartbeat: Duration,
    changes: Changes,
}

impl StatusFactory {
    pub(crate) fn new(config: &GatewayConfig, parts: GatewayParts) -> StatusFactory {
        StatusFactory {
            parts,
            client_id_bytes_max: config.client_id_bytes_max,
            lease: config.lease,
            cluster: config.cluster.as_str().into(),
            batches: Seats::new(BATCHES_AT_ONCE_MAX),
            lists: Seats::new(LISTS_AT_ONCE_MAX),
            waits: Seats::new(config.waits_max),
            streams: Streams::new(config.streams_max),
            heartbeat: config.stream_heartbeat,
            changes: Changes::new(config),
        }
    }
}

/// Bounds of what changes something.
#[derive(Clone)]
pub(crate) struct Changes {
    pub(crate) publish: PublishLimits,
    pub(crate) keep_alive_max_s: u16,
    /// Bytes of payloads that are read or handed on.
    pub(crate) payloads: Seats,
    /// Changes of keep-alives under way.
    pub(crate) keep_alives: Seats,
}

impl Changes {
    fn new(config: &GatewayConfig) -> Changes {
        Changes {
            publish: config.publish,
            keep_alive_max_s: config.keep_alive_max_s,
            payloads: Seats::new(PAYLOAD_BYTES_AT_ONCE_MAX.max(config.publish.payload_bytes_max)),
            keep_alives: Seats::new(KEEP_ALIVES_AT_ONCE_MAX),
        }
    }
}

impl ServiceFactory<Request> for StatusFactory {
    type Response = Response<Body>;
    type Error = actix_web::Error;
    type Config = AppConfig;
    type Service = StatusService;
    type InitError = ();
    type Future = Ready<Result<StatusService, ()>>;

    fn new_service(&self, _: AppConfig) -> Self::Future {
        ready(Ok(StatusService(Rc::new(Worker::new(self)))))
    }
}

/// Answers the requests of one worker thread.
pub(crate) struct StatusService(Rc<Worker>);

/// What one worker thread answers from.
pub(crate) struct Worker {
    pub(crate) parts: GatewayParts,
    pub(crate) client_id_bytes_max: usize,
    /// `lease_ms` of the cluster.
    pub(crate) lease: Duration,
    /// Name of the cluster.
    pub(crate) cluster: Arc<str>,
    pub(crate) batches: Seats,
    pub(crate) lists: Seats,
    waits: Seats,
    pub(crate) streams: Streams,
    /// Longest time for which a stream says nothing.
    pub(crate) heartbeat: Duration,
    pub(crate) changes: Changes,
    metrics: StatusMetrics,
    questions: QuestionMetrics,
    desk: Desk,
}

impl Service<Request> for StatusService {
    type Response = Response<Body>;
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, actix_web::Error>>>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), actix_web::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, mut request: Request) -> Self::Future {
        let worker = Rc::clone(&self.0);
        Box::pin(async move { Ok(worker.respond(&mut request).await) })
    }
}

impl Worker {
    /// Of this thread, which runs an actix system.
    pub(crate) fn new(factory: &StatusFactory) -> Worker {
        Worker {
            parts: factory.parts.clone(),
            client_id_bytes_max: factory.client_id_bytes_max,
            lease: factory.lease,
            cluster: Arc::clone(&factory.cluster),
            batches: factory.batches.clone(),
            lists: factory.lists.clone(),
            waits: factory.waits.clone(),
            streams: factory.streams.clone(),
            heartbeat: factory.heartbeat,
            changes: factory.changes.clone(),
            metrics: StatusMetrics::new(),
            questions: QuestionMetrics::new(),
            desk: Desk::open(Arc::clone(&factory.parts.presence)),
        }
    }

    async fn respond(&self, request: &mut Request) -> Response<Body> {
        let began = Instant::now();
        let Some(route) = Route::of(request.path()) else {
            return whole(match (request.method(), request.path()) {
                (&Method::OPTIONS, "*") => options(STATUS_METHODS),
                _ => Problem::NO_SUCH_QUESTION.response(),
            });
        };
        let mut waited = false;
        let mut response = if route.takes(request.method()) {
            let answer = match route {
                Route::Status => self.status(request, &mut waited).await.map(|answer| whole(answered(&answer))),
                Route::Batch => self.batch(request).await.map(whole),
                Route::Presence => self.presence(request).await.map(whole),
                Route::Clients => self.clients(request).await.map(whole),
                Route::Events => self.events(request).await,
                Route::Publish => self.publish(request).await.map(whole),
                Route::KeepAlive => self.keep_alive(request).await.map(whole),
            };
            answer.unwrap_or_else(|problem| whole(problem.on(route).response()))
        } else if *request.method() == Method::OPTIONS {
            whole(options(route.methods()))
        } else {
            whole(Problem::method_not_allowed(route.methods()).response())
        };
        if request.head().connection_type() == ConnectionType::Upgrade {
            // The upgrade is not taken, and the HTTP layer does not keep a connection that asked for one.
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        match route {
            Route::Status if waited => self.questions.wait_answered(response.status()),
            Route::Status => self.metrics.answered(response.status(), began),
            _ => self.questions.answered(route, response.status(), began),
        }
        response
    }

    /// Who asks, and whether he may ask at all: the same for every question.
    pub(crate) async fn admit(&self, request: &Request) -> Result<(), Problem> {
        let account = authentication::account(&self.parts, request).await?;
        let connecting_as = query_client_id(request.uri().query(), self.client_id_bytes_max)?;
        self.may_ask(&account, connecting_as.as_ref(), request)
    }

    pub(crate) fn may_ask(
        &self,
        account: &Account,
        connecting_as: Option<&ClientId>,
        request: &Request,
    ) -> Result<(), Problem> {
        let connecting_as = connecting_as.map(ClientId::as_str);
        match self.parts.admission.may_connect(account, connecting_as, source_address(request)) {
            ConnectPermission::Allowed => Ok(()),
            ConnectPermission::Denied => Err(Problem::FORBIDDEN),
        }
    }

    async fn status(&self, request: &mut Request, waited: &mut bool) -> Result<StatusAnswer, Problem> {
        request_body::ignore(request).await?;
        let account = authentication::account(&self.parts, request).await?;
        let segment = status_segment(request.path()).unwrap_or_default();
        let client_id = decode_segment(segment, self.client_id_bytes_max)?;
        let query = request.uri().query();
        let connecting_as = query_client_id(query, self.client_id_bytes_max)?;
        let wait = wait(query)?;
        self.may_ask(&account, connecting_as.as_ref(), request)?;
        let Some(Wait { online, within }) = wait else {
            self.parts.admission.charge(1)?;
            return Ok(self.desk.status(client_id).await?);
        };
        *waited = true;
        let _seat = self.waits.take().ok_or(Problem::TOO_MANY_WAITS)?;
        self.parts.admission.charge(1)?;
        let _waiting = self.questions.waiting();
        let future = pin!(self.parts.questions.status_when(client_id, online, within));
        Ok(InRuntime { runtime: &self.parts.runtime, future }.await?)
    }
}

pub(crate) fn whole(response: Response<Bytes>) -> Response<Body> {
    response.map_body(|_, bytes| Body::Whole(bytes))
}

fn answered(answer: &StatusAnswer) -> Response<Bytes> {
    let body = Bytes::from_static(if answer.online { ONLINE } else { OFFLINE });
    let mut response = Response::with_body(StatusCode::OK, body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PARTITION, HeaderValue::from(answer.partition.0));
    headers.insert(INDEX, HeaderValue::from(answer.index.0));
    if let Some(epoch) = answer.epoch {
        headers.insert(EPOCH, HeaderValue::from(epoch.0));
    }
    if let (true, Some(node)) = (answer.online, &answer.node) {
        // A name that no header can carry is left out rather than changed.
        if let Ok(name) = HeaderValue::from_bytes(node.0.as_bytes()) {
            headers.insert(NODE, name);
        }
    }
    response
}
