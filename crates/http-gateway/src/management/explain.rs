//! Which rule decides about a request that somebody might make.

use super::{
    Call, body,
    policies::sentence,
    schemas::{AclEntry, ActionName, RoleName},
};
use crate::{error_response::Problem, response::json};
use actix_http::{Request, Response, StatusCode};
use bytes::Bytes;
use rollcall_cluster::{AclClaim, Action, CertificateFields, OwnRules, Role};
use rollcall_contracts::{Account, Asked, Role as AccountRole};
use rollcall_types::QoS;
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};
use utoipa::ToSchema;

const BODY: &str = "a question is {\"action\":\"connect|pub|sub\",\"topic\":…,\"client_id\":…,\"username\":…,\"role\":…,\"ip\":…,\"qos\":0,\"retain\":false,\"superuser\":false,\"certificate\":{\"common_name\":…},\"acl\":[…]}; pub and sub need topic and client_id";

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GivenQuestion {
    #[schema(value_type = ActionName)]
    action: Action,
    #[serde(default)]
    topic: Option<String>,
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    username: String,
    #[serde(default)]
    #[schema(value_type = Option<RoleName>)]
    role: Option<Role>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    ip: Option<IpAddr>,
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
    #[serde(default)]
    superuser: bool,
    #[serde(default)]
    certificate: Option<GivenCertificate>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<AclEntry>>)]
    acl: Option<Vec<AclClaim>>,
}

#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct GivenCertificate {
    common_name: Option<Box<str>>,
    country: Option<Box<str>>,
    organization: Option<Box<str>>,
    organizational_unit: Option<Box<str>>,
    state: Option<Box<str>>,
    serial_number: Option<Box<str>>,
}

#[derive(Serialize, ToSchema)]
struct Explained {
    allowed: bool,
    decided_by: &'static str,
    rule: Option<String>,
}

/// Which rule decides about a request that somebody might make.
#[utoipa::path(
    post,
    path = "/api/v1/policies/explain",
    request_body = GivenQuestion,
    responses((status = 200, description = "done", body = Explained)),
)]
pub(super) async fn explain(call: &Call<'_>, request: &mut Request) -> Result<Response<Bytes>, Problem> {
    let given: GivenQuestion = body(request, BODY).await?;
    let topic = given.topic.as_deref().unwrap_or_default();
    if given.action != Action::Connect && (topic.is_empty() || given.client_id.is_none()) {
        return Err(Problem::bad_json(BODY));
    }
    let qos = match given.qos {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        2 => QoS::ExactlyOnce,
        _ => return Err(Problem::bad_json(BODY)),
    };
    let own_rules = given.acl.as_deref().map(OwnRules::of_claims).transpose();
    let own_rules = own_rules.map_err(|error| Problem::invalid("invalid_acl", sentence(&error)))?;
    // Where no role is said, that of the stored user of the name.
    let stored = call.look(|state| state.user(&given.username).map(|user| user.role))?;
    let account = Account {
        superuser: given.superuser,
        own_rules: own_rules.map(Arc::new),
        certificate: given.certificate.map(|fields| Arc::new(fields.into())),
        ..Account::new(given.username, account_role(given.role.or(stored).unwrap_or_default()))
    };
    let asked = Asked {
        action: given.action,
        client_id: given.client_id.as_deref(),
        resource: topic,
        qos,
        retain: given.retain,
        source: given.ip.unwrap_or(Ipv4Addr::LOCALHOST.into()),
    };
    let explanation = call.parts.admission.explain(&account, &asked);
    let explained = Explained { allowed: explanation.allowed, decided_by: explanation.by, rule: explanation.rule };
    Ok(json(StatusCode::OK, &explained))
}

fn account_role(role: Role) -> AccountRole {
    match role {
        Role::Client => AccountRole::Client,
        Role::Viewer => AccountRole::Viewer,
        Role::Operator => AccountRole::Operator,
        Role::Admin => AccountRole::Admin,
    }
}

impl From<GivenCertificate> for CertificateFields {
    fn from(given: GivenCertificate) -> Self {
        CertificateFields {
            common_name: given.common_name,
            country: given.country,
            organization: given.organization,
            organizational_unit: given.organizational_unit,
            state: given.state,
            serial_number: given.serial_number,
        }
    }
}
