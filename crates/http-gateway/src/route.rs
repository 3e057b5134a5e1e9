//! What a path of the data plane asks, told from the raw path: ids and topics are not decoded here.

use actix_http::Method;

/// Methods of the status query.
pub(crate) const STATUS_METHODS: &str = "GET, POST, HEAD, OPTIONS";
/// Methods of a batch, and of what changes something.
pub(crate) const POST_METHODS: &str = "POST, OPTIONS";
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
    /// `/presence/events`
    Events,
    /// `/topics/{topic}`
    Publish,
    /// `/keep-alive`
    KeepAlive,
}

impl Route {
    pub(crate) fn of(path: &str) -> Option<Route> {
        if status_segment(path).is_some() {
            return Some(Route::Status);
        }
        match path {
            "/client-ids/status" => Some(Route::Batch),
            "/clients" => Some(Route::Clients),
            "/presence/events" => Some(Route::Events),
            "/keep-alive" => Some(Route::KeepAlive),
            _ if topic_segment(path).is_some() => Some(Route::Publish),
            _ => presence_segment(path).map(|_| Route::Presence),
        }
    }

    pub(crate) fn methods(self) -> &'static str {
        match self {
            Route::Status => STATUS_METHODS,
            Route::Batch | Route::Publish | Route::KeepAlive => POST_METHODS,
            Route::Presence | Route::Clients | Route::Events => READ_METHODS,
        }
    }

    /// Whether it changes something: a refusal says whether it may have happened all the same.
    pub(crate) fn changes(self) -> bool {
        matches!(self, Route::Publish | Route::KeepAlive)
    }

    /// Whether the method asks it. OPTIONS is answered for all, and asks nothing.
    pub(crate) fn takes(self, method: &Method) -> bool {
        *method != Method::OPTIONS && self.methods().split(", ").any(|name| name == method.as_str())
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

/// The still encoded topic of `/topics/{topic}`: one segment, too.
pub(crate) fn topic_segment(path: &str) -> Option<&str> {
    between(path, "/topics/", "")
}

fn between<'a>(path: &'a str, before: &str, behind: &str) -> Option<&'a str> {
    let segment = path.strip_prefix(before)?.strip_suffix(behind)?;
    (!segment.contains('/')).then_some(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refusal_names_is_what_is_taken() {
        let of = |path| Route::of(path).map(|route| [Method::GET, Method::HEAD, Method::POST].map(|m| route.takes(&m)));
        assert_eq!(of("/presence/events"), Some([true, true, false]));
        assert_eq!(of("/clients/a/presence"), Some([true, true, false]));
        assert_eq!(of("/client-id/a/status"), Some([true, true, true]));
        assert_eq!(of("/topics/a%2Fb"), Some([false, false, true]));
        assert_eq!(of("/keep-alive"), Some([false, false, true]));
        assert_eq!(of("/nothing"), None);
        assert!(!Route::Status.takes(&Method::OPTIONS) && !Route::Status.takes(&Method::PUT));
    }
}
