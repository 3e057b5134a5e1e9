//! The admin listener: does the process work, may it be sent traffic, its metrics; and the way to the management API and
//! the console.

use crate::{
    body::Body,
    config::GatewayParts,
    console,
    error_response::{Problem, READ_METHODS},
    management,
    response::{json, page},
    status::{StatusFactory, Worker, whole},
};
use actix_http::{Method, Request, Response, StatusCode};
use actix_web::dev::{AppConfig, Service, ServiceFactory};
use bytes::Bytes;
use rollcall_contracts::ReadinessReport;
use serde::Serialize;
use std::{
    future::{Future, Ready, ready},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Makes the admin service.
#[derive(Clone)]
pub(crate) struct AdminFactory {
    /// Larger questions are answered as on the data plane, within the same bounds.
    pub(crate) data_plane: StatusFactory,
}

impl ServiceFactory<Request> for AdminFactory {
    type Response = Response<Body>;
    type Error = actix_web::Error;
    type Config = AppConfig;
    type Service = AdminService;
    type InitError = ();
    type Future = Ready<Result<AdminService, ()>>;

    fn new_service(&self, _: AppConfig) -> Self::Future {
        ready(Ok(AdminService { worker: Rc::new(Worker::new(&self.data_plane)) }))
    }
}

/// Answers admin requests: probes and metrics at once.
pub(crate) struct AdminService {
    worker: Rc<Worker>,
}

impl Service<Request> for AdminService {
    type Response = Response<Body>;
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, actix_web::Error>>>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), actix_web::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, mut request: Request) -> Self::Future {
        if request.path().starts_with(management::PREFIX) {
            let worker = Rc::clone(&self.worker);
            return Box::pin(async move { Ok(management::respond(&worker, &mut request).await) });
        }
        let response = console::answer(&request).unwrap_or_else(|| self.respond(request.method(), request.path()));
        Box::pin(ready(Ok(whole(response))))
    }
}

#[derive(Serialize)]
struct ReadyBody<'a> {
    ready: bool,
    reasons: &'a [String],
}

impl AdminService {
    fn respond(&self, method: &Method, path: &str) -> Response<Bytes> {
        let page: fn(&GatewayParts) -> Response<Bytes> = match path {
            "/healthz" => |_| page(StatusCode::OK, TEXT, Bytes::from_static(b"ok")),
            "/readyz" => |parts| readiness(&parts.readiness.report()),
            "/metrics" => |parts| page(StatusCode::OK, PROMETHEUS_TEXT, Bytes::from((parts.metrics)())),
            _ => return Problem::NO_SUCH_ADMIN_PAGE.response(),
        };
        match *method {
            Method::GET | Method::HEAD => page(&self.worker.parts),
            _ => Problem::method_not_allowed(READ_METHODS).response(),
        }
    }
}

fn readiness(report: &ReadinessReport) -> Response<Bytes> {
    let ready = report.not_ready.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &ReadyBody { ready, reasons: &report.not_ready })
}
