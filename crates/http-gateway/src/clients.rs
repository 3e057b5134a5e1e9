//! `GET /clients`: pages of clients in the order of their ids, with filters. The management API gives the same pages to its
//! readers.

use crate::{
    cursor,
    error_response::Problem,
    in_runtime::InRuntime,
    parameters::{BadParameter, Parameters},
    presence::ClientView,
    request_body,
    response::json,
    status::Worker,
};
use actix_http::{Request, Response, StatusCode};
use bytes::Bytes;
use rollcall_contracts::{ClientsPage, ClientsQuestion, StatusError};
use rollcall_types::{ClusterTime, NodeName};
use serde::Serialize;
use std::pin::pin;

/// Clients on a page when nothing is said.
const LIMIT_DEFAULT: u64 = 100;
/// Most clients on a page.
const LIMIT_MAX: u64 = 1000;
/// Lists that are answered at once; beyond it 503.
pub(crate) const LISTS_AT_ONCE_MAX: usize = 64;

const KNOWN: &[&str] = &["client_id", "prefix", "node", "username", "online", "since", "limit", "cursor"];
/// The same for readers of the management API, who need not say as which client they might connect.
const KNOWN_TO_MANAGERS: &[&str] = &["prefix", "node", "username", "online", "since", "limit", "cursor"];
const UNKNOWN_TO_MANAGERS: &str = "the parameters are prefix, node, username, online, since, limit and cursor";

#[derive(Serialize)]
struct Page<'a> {
    clients: Vec<ClientView<'a>>,
    cursor: Option<String>,
}

impl Worker {
    pub(crate) async fn clients(&self, request: &mut Request) -> Result<Response<Bytes>, Problem> {
        request_body::ignore(request).await?;
        self.admit(request).await?;
        let parameters = Parameters::of(request.uri().query(), KNOWN, true)?;
        let question = self.question(&parameters)?;
        self.parts.admission.charge(1)?;
        self.page(question).await
    }

    /// The same for a reader of the management API.
    pub(crate) async fn clients_for_manager(&self, query: Option<&str>) -> Result<Response<Bytes>, Problem> {
        let parameters = Parameters::of(query, KNOWN_TO_MANAGERS, true).map_err(|error| match error {
            BadParameter::Unknown => BadParameter::Value(UNKNOWN_TO_MANAGERS),
            other => other,
        })?;
        self.page(self.question(&parameters)?).await
    }

    fn question(&self, parameters: &Parameters<'_>) -> Result<ClientsQuestion, Problem> {
        let mut question = question(parameters)?;
        if let Some(text) = parameters.get("cursor") {
            let place = cursor::read(&self.cluster, &question, text).map_err(|_| Problem::BAD_CURSOR)?;
            question.from = Some(place);
        }
        if let Some(node) = &question.node {
            let members = self.parts.membership.members();
            match members.iter().any(|member| member.name == *node) {
                true => {}
                // A node that is starting knows nobody; that must not read as "there is no such node".
                false if members.is_empty() => return Err(Problem::from(StatusError::NotReady)),
                false => return Err(Problem::UNKNOWN_NODE_PARAMETER),
            }
        }
        Ok(question)
    }

    async fn page(&self, question: ClientsQuestion) -> Result<Response<Bytes>, Problem> {
        let _seat = self.lists.take().ok_or(Problem::TOO_MANY_LISTS)?;
        let future = pin!(self.parts.questions.clients(question.clone()));
        let ClientsPage { clients, next } = InRuntime { runtime: &self.parts.runtime, future }.await?;
        let cursor = next.map(|behind| cursor::written(&self.cluster, &question, &behind));
        Ok(json(StatusCode::OK, &Page { clients: clients.iter().map(ClientView::of).collect(), cursor }))
    }
}

/// All but the cursor.
fn question(parameters: &Parameters<'_>) -> Result<ClientsQuestion, BadParameter> {
    let limit = parameters.number("limit", 1..=LIMIT_MAX, "limit is a whole number from 1 to 1000")?;
    let since = parameters.number("since", 0..=u64::MAX, "since is a time in milliseconds since 1970")?;
    let online = match parameters.get("online") {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => return Err(BadParameter::Value("online is true or false")),
    };
    Ok(ClientsQuestion {
        prefix: parameters.get("prefix").unwrap_or_default().to_owned(),
        node: parameters.get("node").map(|name| NodeName(name.to_owned())),
        username: parameters.get("username").map(str::to_owned),
        online,
        since: since.map(ClusterTime),
        from: None,
        limit: usize::try_from(limit.unwrap_or(LIMIT_DEFAULT)).unwrap_or(usize::MAX),
    })
}
