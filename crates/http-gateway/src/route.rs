//! Which question a path of the data plane asks, told from the raw path: ids are not decoded here.

use actix_http::Method;

/// Methods of the status query.
pub(crate) const STATUS_METHODS: &str = "GET, POST, HEAD, OPTIONS";
/// Methods of a batch.
pub(crate) const BATCH_METHODS: &str = "POST, OPTIONS";
/// Methods of what is only read.
pub(crate) const READ_METHODS: &str = "GET, HEAD, OPTIONS";

/// A question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Route {
    /// `/client-id/{client-id}/status`
    Status,
    /// `/client-ids/status`
    Batch,
    /// `/clients/{client-id}/presence`
    Presence,
    /// `/clients`
    Clients,
}

impl Route {
    pub(crate) fn of(path: &str) -> Option<Route> {
        if status_segment(path).is_some() {
            return Some(Route::Status);
        }
        match path {
            "/client-ids/status" => Some(Route::Batch),
            "/clients" => Some(Route::Clients),
            _ => presence_segment(path).map(|_| Route::Presence),
        }
    }

    pub(crate) fn methods(self) -> &'static str {
        match self {
            Route::Status => STATUS_METHODS,
            Route::Batch => BATCH_METHODS,
            Route::Presence | Route::Clients => READ_METHODS,
        }
    }

    /// Whether the method asks it. OPTIONS is answered for all.
    pub(crate) fn takes(self, method: &Method) -> bool {
        match *method {
            Method::POST => matches!(self, Route::Status | Route::Batch),
            Method::GET | Method::HEAD => self != Route::Batch,
            _ => false,
        }
    }
}

/// The still encoded id of `/client-id/{client-id}/status`; `None` for any other path. The id is one segment: a raw
/// slash makes it another path.
pub(crate) fn status_segment(path: &str) -> Option<&str> {
    between(path, "/client-id/", "/status")
}

/// The same of `/clients/{client-id}/presence`.
pub(crate) fn presence_segment(path: &str) -> Option<&str> {
    between(path, "/clients/", "/presence")
}

fn between<'a>(path: &'a str, before: &str, behind: &str) -> Option<&'a str> {
    let segment = path.strip_prefix(before)?.strip_suffix(behind)?;
    (!segment.contains('/')).then_some(segment)
}
