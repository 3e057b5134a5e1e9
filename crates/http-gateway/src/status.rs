//! The data plane: one status query from its head to its answer.
//!
//! A service of the HTTP layer itself, without a router: routers decode and normalise paths, and cost more than the
//! rest of the answer. The order is fixed: method, body, authentication, the id, permission, quota, look-up.

use crate::{
    authentication::{self, source_address},
    client_id_path::{decode_segment, query_client_id, raw_segment},
    config::GatewayParts,
    desk::Desk,
    error_response::{Problem, STATUS_METHODS, options},
    metrics::StatusMetrics,
    request_body,
};
use actix_http::{
    ConnectionType, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue},
};
use actix_web::dev::{AppConfig, Service, ServiceFactory};
use bytes::Bytes;
use rollcall_contracts::{ConnectPermission, StatusAnswer};
use std::{
    future::{Future, Ready, ready},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
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
    pub(crate) client_id_bytes_max: usize,
}

impl ServiceFactory<Request> for StatusFactory {
    type Response = Response<Bytes>;
    type Error = actix_web::Error;
    type Config = AppConfig;
    type Service = StatusService;
    type InitError = ();
    type Future = Ready<Result<StatusService, ()>>;

    fn new_service(&self, _: AppConfig) -> Self::Future {
        ready(Ok(StatusService(Rc::new(Worker {
            parts: self.parts.clone(),
            client_id_bytes_max: self.client_id_bytes_max,
            metrics: StatusMetrics::new(),
            desk: Desk::open(Arc::clone(&self.parts.presence)),
        }))))
    }
}

/// Answers the requests of one worker thread.
pub(crate) struct StatusService(Rc<Worker>);

struct Worker {
    parts: GatewayParts,
    client_id_bytes_max: usize,
    metrics: StatusMetrics,
    desk: Desk,
}

impl Service<Request> for StatusService {
    type Response = Response<Bytes>;
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Bytes>, actix_web::Error>>>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), actix_web::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, mut request: Request) -> Self::Future {
        let worker = Rc::clone(&self.0);
        Box::pin(async move { Ok(worker.respond(&mut request).await) })
    }
}

impl Worker {
    async fn respond(&self, request: &mut Request) -> Response<Bytes> {
        let began = Instant::now();
        if raw_segment(request.path()).is_none() {
            return match (request.method(), request.path()) {
                (&Method::OPTIONS, "*") => options(STATUS_METHODS),
                _ => Problem::NO_SUCH_QUESTION.response(),
            };
        }
        let mut response = match *request.method() {
            Method::GET | Method::POST | Method::HEAD => match self.answer(request).await {
                Ok(answer) => answered(&answer),
                Err(problem) => problem.response(),
            },
            Method::OPTIONS => options(STATUS_METHODS),
            _ => Problem::method_not_allowed(STATUS_METHODS).response(),
        };
        if request.head().connection_type() == ConnectionType::Upgrade {
            // The upgrade is not taken, and the HTTP layer does not keep a connection that asked for one.
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        self.metrics.answered(response.status(), began);
        response
    }

    async fn answer(&self, request: &mut Request) -> Result<StatusAnswer, Problem> {
        request_body::ignore(request).await?;
        let account = authentication::account(&self.parts, request).await?;
        let segment = raw_segment(request.path()).unwrap_or_default();
        let client_id = decode_segment(segment, self.client_id_bytes_max)?;
        let connecting_as = query_client_id(request.uri().query(), self.client_id_bytes_max)?;
        let connecting_as = connecting_as.as_ref().map(rollcall_types::ClientId::as_str);
        let admission = &self.parts.admission;
        if admission.may_connect(&account, connecting_as, source_address(request)) == ConnectPermission::Denied {
            return Err(Problem::FORBIDDEN);
        }
        admission.charge(1)?;
        Ok(self.desk.status(client_id).await?)
    }
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
