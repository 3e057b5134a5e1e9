//! Every refusal as the client sees it: `application/problem+json` (RFC 9457) with a stable `code`.
//!
//! `type` is `about:blank`, so `title` is the status phrase (RFC 9457, 4.2.1); programs read `code`. Texts are fixed:
//! nothing of the request is echoed.

use crate::{client_id_path::BadClientId, parameters::BadParameter, route::Route};
use actix_http::{
    Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
};
use bytes::Bytes;
use rollcall_contracts::{
    AuthError, KeepAliveError, PublishError, QueryRefusal, RetainError, RetainedReadError, StatusError,
};
use serde::Serialize;

/// Methods of what is only read on the admin listener.
pub(crate) const READ_METHODS: &str = "GET, HEAD";
/// Methods of a member on the admin listener.
pub(crate) const MEMBER_METHODS: &str = "DELETE";

/// RFC 7617, 2.1: user names and passwords are UTF-8.
const CHALLENGE: &str = r#"Basic realm="rollcall", charset="UTF-8""#;
/// When an answer that cannot be known now is worth another try.
const UNAVAILABLE_RETRY_AFTER_S: u32 = 1;

/// A refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    detail: &'static str,
    retry_after_s: Option<u32>,
    allow: Option<&'static str>,
    /// Which of the client ids of a batch, from 0.
    position: Option<usize>,
    /// Of what was to change something and is a 503.
    may_have_happened: Option<bool>,
    /// `false` in every refusal of a change of keep-alive.
    success: Option<bool>,
}

#[derive(Serialize)]
struct Body {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'static str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    may_have_happened: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<bool>,
}

impl Problem {
    const fn new(status: StatusCode, code: &'static str, detail: &'static str) -> Self {
        Problem {
            status,
            code,
            detail,
            retry_after_s: None,
            allow: None,
            position: None,
            may_have_happened: None,
            success: None,
        }
    }

    const fn unavailable(code: &'static str, detail: &'static str) -> Self {
        Problem {
            retry_after_s: Some(UNAVAILABLE_RETRY_AFTER_S),
            ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
        }
    }

    /// 403.
    pub(crate) const FORBIDDEN: Problem =
        Problem::new(StatusCode::FORBIDDEN, "not_authorized", "no policy lets this account connect");
    /// 404 on the data plane.
    pub(crate) const NO_SUCH_QUESTION: Problem = Problem::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "there are GET or POST /client-id/{client-id}/status, POST /client-ids/status, GET \
         /clients/{client-id}/presence, GET /clients, GET /presence/events, POST /topics/{topic} and POST /keep-alive; a \
         client id or a topic is URL-encoded into one path segment",
    );
    /// 404 on the admin listener.
    pub(crate) const NO_SUCH_ADMIN_PAGE: Problem = Problem::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "there are / (the console), /healthz, /readyz, /metrics and /api/v1/",
    );
    /// 404 below /api/v1/.
    pub(crate) const NO_SUCH_RESOURCE: Problem = Problem::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "there are cluster, nodes, partitions, quota, clients, presence/events, topics, shared-groups, retained, messages, \
         users, policies, block-rules, tokens, certificate-authorities, certificates and audit below /api/v1/; a name is \
         URL-encoded into one path segment",
    );
    /// 404: no member of that name.
    pub(crate) const NO_SUCH_NODE: Problem =
        Problem::new(StatusCode::NOT_FOUND, "unknown_node", "the cluster has no node of that name");
    /// 404: no client of that id is on record.
    pub(crate) const NO_SUCH_CLIENT: Problem =
        Problem::new(StatusCode::NOT_FOUND, "unknown_client", "no client of that id is on record");
    /// 404: nothing to hang up.
    pub(crate) const NOT_CONNECTED: Problem =
        Problem::new(StatusCode::NOT_FOUND, "not_connected", "the client has no connection");
    /// 404: neither a connection nor a session.
    pub(crate) const NO_SESSION: Problem =
        Problem::new(StatusCode::NOT_FOUND, "no_session", "the client has no session");
    /// 404: no such subscription.
    pub(crate) const NOT_SUBSCRIBED: Problem =
        Problem::new(StatusCode::NOT_FOUND, "not_subscribed", "the client is not subscribed to this very filter");
    /// 404: no will.
    pub(crate) const NO_WILL: Problem = Problem::new(StatusCode::NOT_FOUND, "no_will", "the client owes no will");
    /// 404: nothing is retained there.
    pub(crate) const NO_RETAINED: Problem =
        Problem::new(StatusCode::NOT_FOUND, "no_retained_message", "this topic has no retained message");
    /// 413 of a message on the management API.
    pub(crate) const MESSAGE_TOO_LARGE: Problem = Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        "the message is larger than payload_bytes_max and its encoding allow",
    );
    /// 409: the client itself may not.
    pub(crate) const FILTER_FORBIDDEN: Problem = Problem::new(
        StatusCode::CONFLICT,
        "client_not_authorized",
        "no policy lets the account of this client subscribe to this filter",
    );
    /// 409: a limit.
    pub(crate) const SUBSCRIPTIONS_LIMIT: Problem =
        Problem::new(StatusCode::CONFLICT, "limit_reached", "a limit of subscriptions of the client or the instance");
    /// 409: the last member.
    pub(crate) const CANNOT_LEAVE: Problem =
        Problem::new(StatusCode::CONFLICT, "cannot_leave", "the last node that stays cannot leave");
    /// 409: nobody would be left to serve.
    pub(crate) const CANNOT_DRAIN: Problem =
        Problem::new(StatusCode::CONFLICT, "cannot_drain", "the last node that serves clients cannot be drained");
    /// 403: the account's role does not suffice.
    pub(crate) const ROLE_TOO_LOW: Problem = Problem::new(
        StatusCode::FORBIDDEN,
        "role_too_low",
        "reading needs role viewer; nodes, clients and block rules are changed by role operator, users, policies, tokens \
         and certificates by role admin",
    );
    /// 404: no user of that name.
    pub(crate) const NO_SUCH_USER: Problem =
        Problem::new(StatusCode::NOT_FOUND, "unknown_user", "there is no user of that name");
    /// 404: no policy of that name.
    pub(crate) const NO_SUCH_POLICY: Problem =
        Problem::new(StatusCode::NOT_FOUND, "unknown_policy", "there is no policy of that name");
    /// 404: no block rule of that name.
    pub(crate) const NO_SUCH_BLOCK_RULE: Problem =
        Problem::new(StatusCode::NOT_FOUND, "unknown_block_rule", "there is no block rule of that name");
    /// 404: no token of that id.
    pub(crate) const NO_SUCH_TOKEN: Problem =
        Problem::new(StatusCode::NOT_FOUND, "unknown_token", "there is no token of that id");
    /// 404: no authority of that id.
    pub(crate) const NO_SUCH_AUTHORITY: Problem =
        Problem::new(StatusCode::NOT_FOUND, "unknown_authority", "there is no certificate authority of that id");
    /// 404: no certificate of that id.
    pub(crate) const NO_SUCH_CERTIFICATE: Problem =
        Problem::new(StatusCode::NOT_FOUND, "unknown_certificate", "there is no device certificate of that id");
    /// 409: certificates rest on it.
    pub(crate) const AUTHORITY_IN_USE: Problem = Problem::new(
        StatusCode::CONFLICT,
        "authority_in_use",
        "device certificates that this authority signed are registered; delete them first, or set its state to INACTIVE",
    );
    /// 409: it stays revoked.
    pub(crate) const CERTIFICATE_REVOKED: Problem = Problem::new(
        StatusCode::CONFLICT,
        "certificate_revoked",
        "a revoked certificate stays revoked; register another one for the device",
    );
    /// 412.
    pub(crate) const PRECONDITION_FAILED: Problem = Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "precondition_failed",
        "the object is not the one that If-Match or If-None-Match names; read it again",
    );
    /// 400: a condition that is none.
    pub(crate) const BAD_PRECONDITION: Problem = Problem::new(
        StatusCode::BAD_REQUEST,
        "bad_precondition",
        "If-Match is * or up to 16 quoted tags as ETag gave them, If-None-Match of a change is *, and only one of them is \
         there",
    );
    /// 409: nobody would be left.
    pub(crate) const LAST_ADMIN: Problem = Problem::new(
        StatusCode::CONFLICT,
        "last_admin",
        "the last user with role admin stays one; give the role to another user first",
    );
    /// 409: as many as there may be.
    pub(crate) const LIMIT_REACHED: Problem =
        Problem::new(StatusCode::CONFLICT, "limit_reached", "there are as many as there may be; delete one first");
    /// 409: another reason of the replicated rules.
    pub(crate) const CHANGE_REFUSED: Problem =
        Problem::new(StatusCode::CONFLICT, "refused", "the cluster refuses this change in its present state");
    /// 413 of the management API.
    pub(crate) const CHANGE_TOO_LARGE: Problem =
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body of a change has at most 64 KiB");
    /// 503 of the management API before there is a cluster.
    pub(crate) const NO_CLUSTER_YET: Problem =
        Problem::unavailable("not_ready", "this node does not know the cluster yet");

    /// 400: the body is not what this call takes.
    pub(crate) const fn bad_json(detail: &'static str) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad_json", detail)
    }

    /// 422: the body can be read and cannot be used, for this reason.
    pub(crate) const fn invalid(code: &'static str, detail: &'static str) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    /// 503 of a change.
    pub(crate) const NO_QUORUM: Problem =
        Problem::unavailable("no_quorum", "no quorum confirmed the change in time; whether it was made is unknown");
    /// 408: the body did not arrive in time.
    pub(crate) const BODY_TOO_SLOW: Problem =
        Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the request body did not arrive in time");
    /// 400: the body broke off or is framed wrongly.
    pub(crate) const BAD_BODY: Problem =
        Problem::new(StatusCode::BAD_REQUEST, "bad_body", "the request body is incomplete or malformed");
    /// 413.
    pub(crate) const BODY_TOO_LARGE: Problem = Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        "the status query needs no body; a small one is ignored, this one is too large",
    );
    /// 413 of a batch.
    pub(crate) const BATCH_TOO_LARGE: Problem =
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "a batch has at most 1 MiB; ask in several");
    /// 415 of a batch.
    pub(crate) const NOT_JSON_TYPE: Problem =
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", "a batch is sent as application/json");
    /// 400: no JSON at all.
    pub(crate) const BAD_JSON: Problem = Problem::new(StatusCode::BAD_REQUEST, "bad_json", "the body is not JSON");
    /// 400: JSON of another shape.
    pub(crate) const BAD_BATCH: Problem =
        Problem::new(StatusCode::BAD_REQUEST, "bad_batch", "a batch is {\"client_ids\":[\"…\"]} and nothing else");
    /// 400: a batch of none.
    pub(crate) const NO_CLIENT_IDS: Problem =
        Problem::new(StatusCode::BAD_REQUEST, "no_client_ids", "a batch names at least one client id");
    /// 400: a batch of too many.
    pub(crate) const TOO_MANY_CLIENT_IDS: Problem =
        Problem::new(StatusCode::BAD_REQUEST, "too_many_client_ids", "a batch names at most 1000 client ids");
    /// 400: not a cursor of this list.
    pub(crate) const BAD_CURSOR: Problem = Problem::new(
        StatusCode::BAD_REQUEST,
        "bad_cursor",
        "the cursor was not made by this cluster for a list with these filters; begin without one",
    );
    /// 400: not a token of a stream of events.
    pub(crate) const BAD_TOKEN: Problem = Problem::new(
        StatusCode::BAD_REQUEST,
        "bad_token",
        "from, or Last-Event-ID, is not the id of an event of this stream; it may have been cut short",
    );
    /// 410: what came after the token is no longer kept.
    pub(crate) const POSITION_GONE: Problem = Problem::new(
        StatusCode::GONE,
        "position_gone",
        "events after this id are no longer kept; read the state afresh and follow from a new position",
    );
    /// 410: the token belongs to another history.
    pub(crate) const OTHER_HISTORY: Problem = Problem::new(
        StatusCode::GONE,
        "other_history",
        "this id belongs to another history than that of this cluster; read the state afresh and follow from a new \
         position",
    );
    /// 503 of a stream of events.
    pub(crate) const TOO_MANY_STREAMS: Problem =
        Problem::unavailable("too_many_streams", "too many streams of events are open on this node; ask another one");
    /// 400: the filter names nobody.
    pub(crate) const UNKNOWN_NODE_PARAMETER: Problem =
        Problem::new(StatusCode::BAD_REQUEST, "unknown_node", "query parameter node names no node of the cluster");
    /// 503 of a batch.
    pub(crate) const TOO_MANY_BATCHES: Problem =
        Problem::unavailable("busy", "too many batches are answered on this node at once");
    /// 503 of a list.
    pub(crate) const TOO_MANY_LISTS: Problem =
        Problem::unavailable("busy", "too many lists are answered on this node at once");
    /// 503 of a long poll.
    pub(crate) const TOO_MANY_WAITS: Problem =
        Problem::unavailable("too_many_waiting", "too many long polls wait on this node; ask without wait");

    /// 403 of a publish.
    pub(crate) const FORBIDDEN_TOPIC: Problem = Problem::new(
        StatusCode::FORBIDDEN,
        "not_authorized",
        "no policy lets this account publish to this topic as this client, or the topic is the broker's own",
    );
    /// 413 of a publish.
    pub(crate) const PAYLOAD_TOO_LARGE: Problem = Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        "the body is the payload, and larger than payload_bytes_max allows",
    );
    /// 503 of a publish.
    pub(crate) const TOO_MANY_PUBLISHES: Problem =
        Problem::unavailable("busy", "too many messages are taken on this node at once");
    /// 503 of a change of keep-alive.
    pub(crate) const TOO_MANY_KEEP_ALIVES: Problem =
        Problem::unavailable("busy", "too many keep-alives are changed by this node at once");

    /// 400: no topic name, for this reason.
    pub(crate) const fn bad_topic(detail: &'static str) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad_topic", detail)
    }

    /// As the answer to this: what changes nothing else says whether it may have happened.
    pub(crate) fn on(self, route: Route) -> Problem {
        let unknown = self.status == StatusCode::SERVICE_UNAVAILABLE && route.changes();
        Problem {
            may_have_happened: self.may_have_happened.or(unknown.then_some(false)),
            success: (route == Route::KeepAlive).then_some(false),
            ..self
        }
    }

    pub(crate) fn not_applied(may_have_happened: bool) -> Problem {
        let problem = match may_have_happened {
            true => Problem::unavailable(
                "unconfirmed",
                "it was not confirmed in time that this has happened; it may have, or may yet",
            ),
            false => Problem::unavailable("not_applied", "this could not be done now, and has not happened"),
        };
        Problem { may_have_happened: Some(may_have_happened), ..problem }
    }

    /// 405 with the methods that there are.
    pub(crate) const fn method_not_allowed(allow: &'static str) -> Problem {
        let problem =
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "the Allow header names the methods");
        Problem { allow: Some(allow), ..problem }
    }

    /// About the client id at this place of a batch.
    pub(crate) fn at(self, position: usize) -> Problem {
        Problem { position: Some(position), ..self }
    }

    /// The response. Its body is left out by the HTTP layer where the method is HEAD.
    pub(crate) fn response(&self) -> Response<Bytes> {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code,
            position: self.position,
            may_have_happened: self.may_have_happened,
            success: self.success,
        };
        // Plain strings and a number: encoding cannot fail, and an empty body would still carry the right status.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::with_body(self.status, Bytes::from(body));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if let Some(methods) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        response
    }
}

/// 204 with the methods that there are.
pub(crate) fn options(allow: &'static str) -> Response<Bytes> {
    let mut response = Response::with_body(StatusCode::NO_CONTENT, Bytes::new());
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Rejected => {
                Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "user name or password missing or wrong")
            }
            AuthError::TooManyFailures { retry_after_s } => Problem {
                retry_after_s: Some(retry_after_s),
                ..Problem::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too_many_auth_failures",
                    "too many failed authentications from this address",
                )
            },
            AuthError::Unavailable => {
                Problem::unavailable("accounts_unavailable", "the credentials cannot be checked now")
            }
        }
    }
}

impl From<QueryRefusal> for Problem {
    fn from(refusal: QueryRefusal) -> Self {
        match refusal {
            QueryRefusal::OverQuota { retry_after_s } => Problem {
                retry_after_s: Some(retry_after_s),
                ..Problem::new(StatusCode::TOO_MANY_REQUESTS, "over_quota", "the instance's quota is used up")
            },
            QueryRefusal::NoGrant => {
                Problem::unavailable("no_quota_grant", "this node holds no valid share of the instance's quota")
            }
        }
    }
}

impl From<StatusError> for Problem {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::NoQuorum => Problem::unavailable("no_quorum", "no quorum confirmed the answer in time"),
            StatusError::Busy => Problem::unavailable("busy", "too many questions wait on this node"),
            StatusError::NotReady => Problem::unavailable("not_ready", "this node is starting or stopping"),
        }
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::NotAuthorized => Problem::FORBIDDEN_TOPIC,
            PublishError::Quota(refusal) => Problem::from(refusal),
            PublishError::RetainedLimit => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "retained_limit",
                "a limit of retained messages is reached: their number, or the size of one",
            ),
            PublishError::NotServing => Problem::from(StatusError::NotReady),
            PublishError::Unavailable { may_have_happened } => Problem::not_applied(may_have_happened),
        }
    }
}

impl From<RetainError> for Problem {
    fn from(error: RetainError) -> Self {
        match error {
            RetainError::LimitReached | RetainError::TooLarge => Problem::from(PublishError::RetainedLimit),
            RetainError::Busy => Problem::not_applied(false),
            RetainError::Unavailable => Problem::not_applied(true),
            RetainError::NotServing => Problem::from(StatusError::NotReady),
        }
    }
}

impl From<RetainedReadError> for Problem {
    fn from(error: RetainedReadError) -> Self {
        match error {
            RetainedReadError::NoQuorum => Problem::from(StatusError::NoQuorum),
        }
    }
}

impl From<KeepAliveError> for Problem {
    fn from(error: KeepAliveError) -> Self {
        match error {
            KeepAliveError::NotConnected => Problem::NOT_CONNECTED,
            KeepAliveError::Off => Problem::new(
                StatusCode::CONFLICT,
                "no_keep_alive",
                "the client connected without a keep-alive, and none can be given to it",
            ),
            KeepAliveError::NoAnswer(error) => Problem::from(error),
            KeepAliveError::Unavailable { may_have_happened } => Problem::not_applied(may_have_happened),
        }
    }
}

impl From<BadClientId> for Problem {
    fn from(error: BadClientId) -> Self {
        let detail = match error {
            BadClientId::Empty => "the client id is empty",
            BadClientId::BadEscape => "the client id has a percent sign without two hexadecimal digits",
            BadClientId::NotUtf8 => "the client id is not UTF-8",
            BadClientId::Null => "the client id contains U+0000",
            BadClientId::TooLong => "the client id is too long",
        };
        Problem::new(StatusCode::BAD_REQUEST, "bad_client_id", detail)
    }
}

impl From<BadParameter> for Problem {
    fn from(error: BadParameter) -> Self {
        let detail = match error {
            BadParameter::ClientId(_) => "query parameter client_id is no client id",
            BadParameter::Repeated("client_id") => "query parameter client_id has several values",
            BadParameter::Repeated(_) => "a query parameter has several values",
            BadParameter::Value(sentence) => sentence,
            BadParameter::Unknown => {
                "the parameters are client_id, prefix, node, username, online, since, limit and cursor"
            }
        };
        Problem::new(StatusCode::BAD_REQUEST, "bad_parameter", detail)
    }
}
