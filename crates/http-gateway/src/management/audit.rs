//! The record of changes, the latest first.

use super::Call;
use crate::{error_response::Problem, parameters::Parameters, response::json};
use actix_http::{Response, StatusCode};
use bytes::Bytes;
use rollcall_cluster::AuditRecord;
use serde::Serialize;
use utoipa::ToSchema;

/// Records on a page where none is said, and at most.
const PAGE: (u64, u64) = (100, 1_000);
const PARAMETERS: &[&str] = &["before", "limit"];

#[derive(Serialize, ToSchema)]
struct AuditPage {
    audit: Vec<ShownRecord>,
    /// What `before` of the next page is; null where nothing older is kept.
    next: Option<u64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AuditRecord)]
struct ShownRecord {
    number: u64,
    at: u64,
    by: String,
    source: String,
    node: String,
    action: String,
    object: String,
    detail: String,
}

fn view(record: &AuditRecord) -> ShownRecord {
    ShownRecord {
        number: record.number,
        at: record.at.0,
        by: record.by.name.clone(),
        source: record.by.source.clone(),
        node: record.by.node.clone(),
        action: record.action.clone(),
        object: record.object.clone(),
        detail: record.detail.clone(),
    }
}

/// The record of changes, the latest first.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    params(("before" = Option<u64>, Query, description = "`next` of the page before"), ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000)),
    responses((status = 200, description = "done", body = AuditPage)),
)]
pub(super) fn list(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let parameters = Parameters::of(call.query.as_deref(), PARAMETERS, true)?;
    let limit = parameters.number("limit", 1..=PAGE.1, "limit is 1 to 1000")?.unwrap_or(PAGE.0);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let before = parameters.number("before", 1..=u64::MAX, "before is the number of a record")?.unwrap_or(u64::MAX);
    let page = call.look(|state| {
        let mut older = state.access().audit().iter().rev().filter(|record| record.number < before);
        let audit: Vec<ShownRecord> = older.by_ref().take(limit).map(view).collect();
        let next = older.next().and_then(|_| audit.last()).map(|last| last.number);
        AuditPage { audit, next }
    })?;
    Ok(json(StatusCode::OK, &page))
}
