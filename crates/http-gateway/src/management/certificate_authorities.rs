//! Authorities that may sign certificates of devices.

use super::{Call, body, condition};
use crate::{error_response::Problem, response::json};
use actix_http::{Request, Response, StatusCode};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use rollcall_cluster::{Authority, ManagedChange};
use rollcall_contracts::certificate_id;
use rollcall_tls::given_certificate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const BODY: &str = "a certificate authority is {\"certificate\":\"-----BEGIN CERTIFICATE-----…\",\"state\":\"ACTIVE|INACTIVE\"}; state may be left out and is ACTIVE then";
const STATE_BODY: &str = "a state is {\"state\":\"ACTIVE|INACTIVE\"}";

#[derive(Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schema(as = AuthorityState)]
enum State {
    #[default]
    Active,
    Inactive,
}

#[derive(Serialize, ToSchema)]
struct Authorities {
    certificate_authorities: Vec<Shown>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CertificateAuthority)]
struct Shown {
    id: String,
    common_name: String,
    state: State,
    /// Seconds since the Unix epoch, as the one below.
    not_before: u64,
    not_after: u64,
    /// Milliseconds of cluster time, as the one below.
    registered_at: u64,
    changed_at: u64,
    /// PEM.
    certificate: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GivenAuthority)]
struct Given {
    certificate: String,
    #[serde(default)]
    state: State,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GivenAuthorityState)]
struct GivenState {
    state: State,
}

fn view(id: &str, authority: &Authority) -> Shown {
    Shown {
        id: id.to_owned(),
        common_name: authority.common_name.clone(),
        state: if authority.active { State::Active } else { State::Inactive },
        not_before: authority.not_before_s,
        not_after: authority.not_after_s,
        registered_at: authority.registered_at.0,
        changed_at: authority.changed_at.0,
        certificate: pem(&authority.der),
    }
}

/// RFC 7468.
fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// All of them.
#[utoipa::path(
    get,
    path = "/api/v1/certificate-authorities",
    responses((status = 200, description = "done", body = Authorities)),
)]
pub(super) fn list(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let certificate_authorities =
        call.look(|state| state.access().authorities().iter().map(|(id, authority)| view(id, authority)).collect())?;
    Ok(json(StatusCode::OK, &Authorities { certificate_authorities }))
}

/// One of them.
#[utoipa::path(
    get,
    path = "/api/v1/certificate-authorities/{id}",
    params(("id" = String, Path, description = "the authority", min_length = 1)),
    responses((status = 200, description = "done", body = Shown)),
)]
pub(super) fn get(call: &Call<'_>, request: &Request, id: &str) -> Result<Response<Bytes>, Problem> {
    shown(call, request, StatusCode::OK, id)
}

fn shown(call: &Call<'_>, request: &Request, status: StatusCode, id: &str) -> Result<Response<Bytes>, Problem> {
    let found = call.look(|state| state.access().authorities().get(id).cloned())?;
    let authority = found.ok_or(Problem::NO_SUCH_AUTHORITY)?;
    Ok(condition::tagged(request, status, authority.tag(), &view(id, &authority)))
}

/// Registers one.
#[utoipa::path(
    post,
    path = "/api/v1/certificate-authorities",
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
    if !read.is_authority {
        return Err(wrong("the certificate is none of an authority: it may not sign others (basic constraints)"));
    }
    let id = certificate_id(&read.certificate.fingerprint);
    let authority = Authority {
        der: read.der,
        common_name: read.certificate.fields.common_name.as_deref().unwrap_or_default().to_owned(),
        active: matches!(given.state, State::Active),
        not_before_s: read.certificate.not_before_s,
        not_after_s: read.certificate.not_after_s,
        registered_at: Default::default(),
        changed_at: Default::default(),
    };
    let exists = call.look(|state| state.access().authorities().contains_key(&id))?;
    call.change(only_if, ManagedChange::RegisterAuthority { id: id.clone(), authority: Box::new(authority) }).await?;
    shown(call, request, if exists { StatusCode::OK } else { StatusCode::CREATED }, &id)
}

/// Gives it another state, and closes who rests on one that is not active.
#[utoipa::path(
    put,
    path = "/api/v1/certificate-authorities/{id}",
    params(("id" = String, Path, description = "the authority", min_length = 1), ("If-Match" = Option<String>, Header, description = "a tag as ETag gave it, or *"), ("If-None-Match" = Option<String>, Header, description = "* to make only what is not there")),
    request_body = GivenState,
    responses((status = 200, description = "done", body = Shown)),
)]
pub(super) async fn set_state(call: &Call<'_>, request: &mut Request, id: String) -> Result<Response<Bytes>, Problem> {
    let only_if = condition::of(request)?;
    let given: GivenState = body(request, STATE_BODY).await?;
    let active = matches!(given.state, State::Active);
    call.change(only_if, ManagedChange::SetAuthorityActive { id: id.clone(), active }).await?;
    shown(call, request, StatusCode::OK, &id)
}

/// Deletes it.
#[utoipa::path(
    delete,
    path = "/api/v1/certificate-authorities/{id}",
    params(("id" = String, Path, description = "the authority", min_length = 1), ("If-Match" = Option<String>, Header, description = "a tag as ETag gave it, or *"), ("If-None-Match" = Option<String>, Header, description = "* to make only what is not there")),
    responses((status = 204, description = "done")),
)]
pub(super) async fn delete(call: &Call<'_>, request: &mut Request, id: String) -> Result<Response<Bytes>, Problem> {
    let only_if = condition::of(request)?;
    call.change(only_if, ManagedChange::DeleteAuthority { id }).await?;
    Ok(condition::no_content())
}
