//! Certificates of devices: one device, one certificate.

use super::{Call, body, condition, schemas::CertificateStateName};
use crate::{error_response::Problem, parameters::Parameters, response::json};
use actix_http::{Request, Response, StatusCode};
use bytes::Bytes;
use rollcall_cluster::{CertificateState, DeviceCertificate, ManagedChange};
use rollcall_contracts::certificate_id;
use rollcall_tls::{given_certificate, is_signed_by};
use serde::{Deserialize, Serialize};
use std::ops::Bound::{Excluded, Unbounded};
use utoipa::ToSchema;

/// Certificates on a page where none is said, and at most.
const PAGE: (u64, u64) = (100, 1_000);
const PARAMETERS: &[&str] = &["after", "limit", "authority", "state"];
const LIMIT: &str = "limit is 1 to 1000";
const BODY: &str = "a device certificate is {\"certificate\":\"-----BEGIN CERTIFICATE-----…\",\"client_id\":\"…\",\"state\":\"ACTIVE|INACTIVE|PENDING_ACTIVATION\"}; certificate is needed, and state is ACTIVE where it is left out";
const STATE_BODY: &str = "a state is {\"state\":\"ACTIVE|INACTIVE|REVOKED\"}";

#[derive(Serialize, ToSchema)]
#[schema(as = Certificates)]
struct Page {
    certificates: Vec<Shown>,
    /// What `after` of the next page is; null on the last one.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Certificate)]
struct Shown {
    id: String,
    serial: String,
    common_name: String,
    authority: String,
    client_id: Option<String>,
    #[schema(value_type = CertificateStateName)]
    state: CertificateState,
    /// `API` or `JITP`.
    source: &'static str,
    /// Seconds since the Unix epoch, as the one below.
    not_before: u64,
    not_after: u64,
    /// Milliseconds of cluster time, as the one below.
    registered_at: u64,
    changed_at: u64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GivenCertificate)]
struct Given {
    certificate: String,
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<CertificateStateName>)]
    state: Option<CertificateState>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GivenCertificateState)]
struct GivenState {
    #[schema(value_type = CertificateStateName)]
    state: CertificateState,
}

fn view(id: &str, certificate: &DeviceCertificate) -> Shown {
    Shown {
        id: id.to_owned(),
        serial: certificate.serial.clone(),
        common_name: certificate.common_name.clone(),
        authority: certificate.authority.clone(),
        client_id: certificate.client_id.clone(),
        state: certificate.state,
        source: if certificate.just_in_time { "JITP" } else { "API" },
        not_before: certificate.not_before_s,
        not_after: certificate.not_after_s,
        registered_at: certificate.registered_at.0,
        changed_at: certificate.changed_at.0,
    }
}

/// All of them.
#[utoipa::path(
    get,
    path = "/api/v1/certificates",
    params(("after" = Option<String>, Query, description = "`next` of the page before"), ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000), ("authority" = Option<String>, Query), ("state" = Option<CertificateStateName>, Query)),
    responses((status = 200, description = "done", body = Page)),
)]
pub(super) fn list(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let parameters = Parameters::of(call.query.as_deref(), PARAMETERS, true)?;
    let limit = parameters.number("limit", 1..=PAGE.1, LIMIT)?.unwrap_or(PAGE.0);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let (after, authority) = (parameters.get("after").unwrap_or_default(), parameters.get("authority"));
    let wanted = parameters.get("state");
    let page = call.look(|state| {
        let all = state.access().certificates().range::<str, _>((Excluded(after), Unbounded));
        let mut following = all.filter(|(_, certificate)| {
            authority.is_none_or(|id| certificate.authority == id)
                && wanted.is_none_or(|state| certificate.state.name() == state)
        });
        let certificates: Vec<Shown> = following.by_ref().take(limit).map(|(id, one)| view(id, one)).collect();
        let next = following.next().and_then(|_| certificates.last()).map(|last| last.id.clone());
        Page { certificates, next }
    })?;
    Ok(json(StatusCode::OK, &page))
}

/// One of them.
#[utoipa::path(
    get,
    path = "/api/v1/certificates/{id}",
    params(("id" = String, Path, description = "the certificate", min_length = 1)),
    responses((status = 200, description = "done", body = Shown)),
)]
pub(super) fn get(call: &Call<'_>, request: &Request, id: &str) -> Result<Response<Bytes>, Problem> {
    shown(call, request, StatusCode::OK, id)
}

fn shown(call: &Call<'_>, request: &Request, status: StatusCode, id: &str) -> Result<Response<Bytes>, Problem> {
    let found = call.look(|state| state.access().certificates().get(id).cloned())?;
    let certificate = found.ok_or(Problem::NO_SUCH_CERTIFICATE)?;
    Ok(condition::tagged(request, status, certificate.tag(), &view(id, &certificate)))
}

/// Registers one.
#[utoipa::path(
    post,
    path = "/api/v1/certificates",
    params(("If-Match" = Option<String>, Header, description = "a tag as ETag gave it, or *"), ("If-None-Match" = Option<String>, Header, description = "* to make only what is not there")),
    request_body = Given,
    responses((status = 200, description = "it was registered", body = Shown), (status = 201, description = "made", body = Shown)),
)]
pub(super) async fn register(call: &Call<'_>, request: &mut Request) -> Result<Response<Bytes>, Problem> {
    let only_if = condition::of(request)?;
    let given: Given = body(request, BODY).await?;
    let wrong = |detail| Problem::invalid("invalid_certificate", detail);
    let read =
        given_certificate(&given.certificate).ok_or(wrong("the certificate is not one X.509 certificate in PEM"))?;
    let state = given.state.unwrap_or(CertificateState::Active);
    if state == CertificateState::Revoked {
        return Err(wrong("a certificate is registered before it is revoked"));
    }
    if given.client_id.as_ref().is_some_and(|id| rollcall_types::ClientId::new(id).is_err()) {
        return Err(wrong("client_id is none that a client may have"));
    }
    let known: Vec<(String, Vec<u8>)> = call.look(|state| {
        let all = state.access().authorities().iter();
        all.map(|(id, authority)| (id.clone(), authority.der.clone())).collect()
    })?;
    let signer = known.into_iter().find(|(_, authority)| is_signed_by(&read.der, authority));
    let (authority, _) =
        signer.ok_or(wrong("no registered certificate authority signed it; register the authority first"))?;
    let id = certificate_id(&read.certificate.fingerprint);
    let certificate = DeviceCertificate {
        serial: read.certificate.serial.clone(),
        common_name: read.certificate.fields.common_name.as_deref().unwrap_or_default().to_owned(),
        authority,
        client_id: given.client_id,
        state,
        just_in_time: false,
        not_before_s: read.certificate.not_before_s,
        not_after_s: read.certificate.not_after_s,
        registered_at: Default::default(),
        changed_at: Default::default(),
    };
    let exists = call.look(|state| state.access().certificates().contains_key(&id))?;
    let change = ManagedChange::RegisterCertificate { id: id.clone(), certificate: Box::new(certificate) };
    call.change(only_if, change).await?;
    shown(call, request, if exists { StatusCode::OK } else { StatusCode::CREATED }, &id)
}

/// Gives it another state, and closes who rests on one that is not active.
#[utoipa::path(
    put,
    path = "/api/v1/certificates/{id}",
    params(("id" = String, Path, description = "the certificate", min_length = 1), ("If-Match" = Option<String>, Header, description = "a tag as ETag gave it, or *"), ("If-None-Match" = Option<String>, Header, description = "* to make only what is not there")),
    request_body = GivenState,
    responses((status = 200, description = "done", body = Shown)),
)]
pub(super) async fn set_state(call: &Call<'_>, request: &mut Request, id: String) -> Result<Response<Bytes>, Problem> {
    let only_if = condition::of(request)?;
    let GivenState { state } = body(request, STATE_BODY).await?;
    if state == CertificateState::PendingActivation {
        return Err(Problem::bad_json(STATE_BODY));
    }
    call.change(only_if, ManagedChange::SetCertificateState { id: id.clone(), state }).await?;
    shown(call, request, StatusCode::OK, &id)
}

/// Deletes it.
#[utoipa::path(
    delete,
    path = "/api/v1/certificates/{id}",
    params(("id" = String, Path, description = "the certificate", min_length = 1), ("If-Match" = Option<String>, Header, description = "a tag as ETag gave it, or *"), ("If-None-Match" = Option<String>, Header, description = "* to make only what is not there")),
    responses((status = 204, description = "done")),
)]
pub(super) async fn delete(call: &Call<'_>, request: &mut Request, id: String) -> Result<Response<Bytes>, Problem> {
    let only_if = condition::of(request)?;
    call.change(only_if, ManagedChange::DeleteCertificate { id }).await?;
    Ok(condition::no_content())
}
