//! An HTTP service that is asked about each client: a request made of templates, and an answer of `allow`, `deny` or
//! `ignore`.
//!
//! What is asked and what counts as an answer: 200 with a JSON object whose `result` is one of these words, or 204, which
//! allows; any other status of an answer but those of a broken server says that the client is not this service's. A
//! service that breaks, is silent, unreachable, overloaded or talks nonsense cannot say; whether clients are then refused
//! or the next authenticator is asked is for the configuration to choose.

use crate::{
    OutboundTls, SetupError, Template,
    outbound::{self, Within},
};
use async_trait::async_trait;
use metrics::{Histogram, describe_histogram, histogram};
use reqwest::{
    Client, Method, Response, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue},
};
use rollcall_contracts::{Account, Authenticator, CannotSay, Presented, Role, Verdict};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{fmt, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Most clients that wait for a request to end before theirs is made.
const WAITING_MAX: usize = 4096;
/// Seconds of requests, waiting for a turn included.
const REQUEST_SECONDS: &str = "rollcall_http_authenticator_seconds";

/// How a request is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HttpMethod {
    /// GET: the fields of the body go into the query.
    Get,
    /// POST.
    Post,
}

/// How a body is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyFormat {
    /// A JSON object of texts.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
}

/// What holds while the service cannot say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhenDown {
    /// Clients are told to come back.
    Refuse,
    /// The next authenticator is asked.
    Ignore,
}

/// What is asked, and within which bounds.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// How.
    pub method: HttpMethod,
    /// Where; placeholders may stand behind the host.
    pub url: String,
    /// Headers, by name.
    pub headers: Vec<(String, String)>,
    /// Fields of the body, by name; a field that a client has nothing for is left out.
    pub body: Vec<(String, String)>,
    /// How the body is written.
    pub format: BodyFormat,
    /// Longest time to connect.
    pub connect_within: Duration,
    /// Longest time from there to the end of the answer.
    pub answer_within: Duration,
    /// Most requests under way.
    pub requests_max: usize,
    /// What holds while the service cannot say.
    pub when_down: WhenDown,
    /// Whom the server is taken for.
    pub tls: OutboundTls,
}

/// See the module.
pub struct HttpAuthenticator {
    method: HttpMethod,
    url: Template,
    /// Scheme, host and port, which no placeholder may change.
    origin: String,
    headers: Vec<(HeaderName, Template)>,
    body: Vec<(String, Template)>,
    format: BodyFormat,
    within: Duration,
    when_down: WhenDown,
    client: Client,
    turns: Semaphore,
    waiting: Semaphore,
    seconds: Histogram,
}

/// What the service answers.
#[derive(Deserialize)]
struct Answer {
    result: Answered,
    #[serde(default)]
    is_superuser: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answered {
    Allow,
    Deny,
    Ignore,
}

/// Why the service cannot say.
type Fault = &'static str;

impl fmt::Debug for HttpAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpAuthenticator").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl HttpAuthenticator {
    /// The metrics recorder must be installed before.
    ///
    /// # Errors
    /// When something in the settings cannot be used.
    pub fn new(settings: &HttpSettings) -> Result<Self, SetupError> {
        describe_histogram!(REQUEST_SECONDS, "seconds of requests to the HTTP authenticator, waiting included");
        let template =
            |of: String, text: &str| Template::parse(text).map_err(|error| SetupError::new(format!("{of}: {error}")));
        let url = template("url".to_owned(), &settings.url)?;
        let origin = origin(&url)?;
        let headers = settings.headers.iter().map(|(name, value)| {
            let known = HeaderName::try_from(name)
                .map_err(|_| SetupError::new(format!("headers has {name:?}, which is no name of a header")))?;
            Ok((known, template(format!("headers {name}"), value)?))
        });
        let headers = headers.collect::<Result<_, SetupError>>()?;
        let body =
            settings.body.iter().map(|(name, value)| Ok((name.clone(), template(format!("body {name}"), value)?)));
        let body = body.collect::<Result<_, SetupError>>()?;
        let within = settings.connect_within + settings.answer_within;
        Ok(HttpAuthenticator {
            method: settings.method,
            url,
            origin,
            headers,
            body,
            format: settings.format,
            within,
            when_down: settings.when_down,
            client: outbound::client(&settings.tls, Within { connect: settings.connect_within, whole: within })?,
            turns: Semaphore::new(settings.requests_max.max(1)),
            waiting: Semaphore::new(WAITING_MAX),
            seconds: histogram!(REQUEST_SECONDS),
        })
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, Fault> {
        let _waiting = self.waiting.try_acquire().map_err(|_| "too many clients wait for it")?;
        let turn = timeout(self.within, self.turns.acquire()).await;
        turn.map_err(|_| "too many requests are under way")?.map_err(|_| "it is closed")
    }

    async fn ask(&self, presented: &Presented<'_>) -> Result<Verdict, Fault> {
        // What cannot be written into a request is no client that it would allow.
        let Some(request) = self.request(presented) else { return Ok(Verdict::Refused) };
        let _turn = self.turn().await?;
        let response = self.client.execute(request).await.map_err(|error| match error {
            error if error.is_timeout() => "it is silent",
            error if error.is_connect() => "it cannot be reached",
            _ => "the connection broke off",
        })?;
        answered(response, presented).await
    }

    fn request(&self, presented: &Presented<'_>) -> Option<reqwest::Request> {
        let mut url = Url::parse(&self.url.filled_in_with(presented, percent_encoded)?).ok()?;
        if url.origin().ascii_serialization() != self.origin {
            return None;
        }
        let fields = self.body.iter().filter_map(|(name, value)| Some((name.as_str(), value.filled_in(presented)?)));
        let fields: Vec<(&str, String)> = fields.collect();
        let mut body = None;
        match (self.method, self.format) {
            (HttpMethod::Get, _) if fields.is_empty() => {}
            (HttpMethod::Get, _) => {
                url.query_pairs_mut().extend_pairs(&fields);
            }
            (HttpMethod::Post, BodyFormat::Form) => {
                let pairs: Vec<_> =
                    fields.iter().map(|(name, value)| percent_encoded(name) + "=" + &percent_encoded(value)).collect();
                body = Some(("application/x-www-form-urlencoded", pairs.join("&").into_bytes()));
            }
            (HttpMethod::Post, BodyFormat::Json) => {
                let object: Map<String, Value> =
                    fields.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
                body = Some(("application/json", serde_json::to_vec(&object).ok()?));
            }
        }
        let method = match self.method {
            HttpMethod::Get => Method::GET,
            HttpMethod::Post => Method::POST,
        };
        let mut request = self.client.request(method, url).header(ACCEPT, "application/json");
        if let Some((kind, bytes)) = body {
            request = request.header(CONTENT_TYPE, kind).body(bytes);
        }
        let mut request = request.build().ok()?;
        for (name, value) in &self.headers {
            if let Some(value) = value.filled_in(presented) {
                // A line end in it would begin another header.
                let mut value = HeaderValue::try_from(value).ok()?;
                value.set_sensitive(true);
                request.headers_mut().insert(name.clone(), value);
            }
        }
        Some(request)
    }
}

#[async_trait]
impl Authenticator for HttpAuthenticator {
    fn name(&self) -> &'static str {
        "http"
    }

    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Verdict, CannotSay> {
        let began = Instant::now();
        let answer = self.ask(presented).await;
        self.seconds.record(began.elapsed());
        answer.or_else(|fault| {
            tracing::warn!(fault, "the http authenticator cannot say");
            match self.when_down {
                WhenDown::Refuse => Err(CannotSay),
                WhenDown::Ignore => Ok(Verdict::NotMine),
            }
        })
    }
}

async fn answered(response: Response, presented: &Presented<'_>) -> Result<Verdict, Fault> {
    let status = response.status();
    if status == StatusCode::NO_CONTENT {
        return Ok(accepted(presented, false));
    }
    if status.is_server_error() {
        return Err("it answered with an error of its own");
    }
    if status != StatusCode::OK {
        return Ok(Verdict::NotMine);
    }
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err("it did not answer with application/json");
    }
    let body = outbound::body(response, ANSWER_BYTES_MAX).await.ok_or("its answer is too long, or broke off")?;
    let answer: Answer =
        serde_json::from_slice(&body).map_err(|_| "its answer has no result of allow, deny or ignore")?;
    Ok(match answer.result {
        Answered::Allow => accepted(presented, answer.is_superuser),
        Answered::Deny => Verdict::Refused,
        Answered::Ignore => Verdict::NotMine,
    })
}

/// The service was told the user name, and vouches for it.
fn accepted(presented: &Presented<'_>, superuser: bool) -> Verdict {
    let account = Account::new(presented.username.unwrap_or_default(), Role::Client);
    Verdict::Accepted(Arc::new(Account { superuser, ..account }))
}

/// Scheme, host and port, all of which stand before the first placeholder.
fn origin(url: &Template) -> Result<String, SetupError> {
    let beginning = url.beginning();
    let parsed = outbound::url(beginning)?;
    let has_path = beginning.split_once("://").is_some_and(|(_, rest)| rest.contains(['/', '?', '#']));
    if !url.is_plain() && !has_path {
        return Err(SetupError::new("placeholders in url must stand behind the host, such as http://host/${ClientId}"));
    }
    Ok(parsed.origin().ascii_serialization())
}

/// RFC 3986, 2.3: everything but unreserved characters is escaped.
fn percent_encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
