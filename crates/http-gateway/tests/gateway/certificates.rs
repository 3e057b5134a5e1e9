//! Certificate authorities and device certificates in the management API.

use crate::{
    fakes::{GOOD, Running, start},
    raw_http::{Answer, Connection},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rollcall_contracts::Role;
use serde_json::{Value, json};

fn admin() -> (Running, Connection) {
    let running = start();
    *running.world.role.lock().unwrap() = Role::Admin;
    let connection = running.connect_admin();
    (running, connection)
}

fn call(connection: &mut Connection, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer: Answer = connection.put(method, &format!("/api/v1/{path}"), GOOD, &body);
    let read = if answer.body.is_empty() { Value::Null } else { serde_json::from_str(&answer.body).unwrap() };
    (answer.status(), read)
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn device(of: &CertifiedIssuer<'static, KeyPair>, name: &str) -> String {
    params(name).signed_by(&KeyPair::generate().unwrap(), of).unwrap().pem()
}

#[test]
fn authorities_and_certificates_are_registered_change_their_state_and_go() {
    let (_running, mut connection) = admin();
    let works = authority("works");
    let (first, second) = (device(&works, "device-1"), device(&works, "device-2"));
    let given = |pem: &str| json!({ "certificate": pem });
    let (status, problem) = call(&mut connection, "POST", "certificates", &given(&first));
    assert_eq!((status, &problem["code"]), (422, &json!("invalid_certificate")), "its authority comes first");

    let (status, registered) = call(&mut connection, "POST", "certificate-authorities", &given(&works.pem()));
    assert_eq!((status, &registered["common_name"], &registered["state"]), (201, &json!("works"), &json!("ACTIVE")));
    let pem = |text: &str| text.replace(['\r', '\n'], "");
    assert_eq!(pem(registered["certificate"].as_str().unwrap()), pem(&works.pem()));
    let authority = registered["id"].as_str().unwrap().to_owned();
    assert_eq!(call(&mut connection, "POST", "certificate-authorities", &given(&works.pem())).0, 200, "it is there");

    let bound = json!({"certificate": first, "client_id": "c-1", "state": "INACTIVE"});
    let (status, one) = call(&mut connection, "POST", "certificates", &bound);
    assert_eq!(status, 201);
    assert_eq!(
        (&one["common_name"], &one["client_id"], &one["state"], &one["source"], &one["authority"]),
        (&json!("device-1"), &json!("c-1"), &json!("INACTIVE"), &json!("API"), &json!(authority))
    );
    let (_, other) = call(&mut connection, "POST", "certificates", &given(&second));
    assert_eq!((&other["state"], &other["client_id"]), (&json!("ACTIVE"), &Value::Null));
    let path = |one: &Value| format!("certificates/{}", one["id"].as_str().unwrap());

    let (_, listed) = call(&mut connection, "GET", "certificates?state=ACTIVE", &Value::Null);
    assert_eq!(listed["certificates"].as_array().unwrap().len(), 1);
    assert_eq!((&listed["certificates"][0]["id"], &listed["next"]), (&other["id"], &Value::Null));
    let (_, page) = call(&mut connection, "GET", "certificates?limit=1", &Value::Null);
    let after = page["next"].as_str().unwrap();
    let (_, rest) = call(&mut connection, "GET", &format!("certificates?limit=1&after={after}"), &Value::Null);
    assert_eq!((rest["certificates"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    assert_ne!(rest["certificates"][0]["id"], page["certificates"][0]["id"]);

    for (state, status) in [("ACTIVE", 200), ("INACTIVE", 200), ("REVOKED", 200), ("ACTIVE", 409), ("REVOKED", 200)] {
        assert_eq!(call(&mut connection, "PUT", &path(&one), &json!({ "state": state })).0, status, "{state}");
    }
    assert_eq!(call(&mut connection, "GET", &path(&one), &Value::Null).1["state"], "REVOKED");
    assert_eq!(call(&mut connection, "PUT", &path(&other), &json!({"state": "PENDING_ACTIVATION"})).0, 400);

    let of_authority = format!("certificate-authorities/{authority}");
    let (status, problem) = call(&mut connection, "DELETE", &of_authority, &Value::Null);
    assert_eq!((status, &problem["code"]), (409, &json!("authority_in_use")));
    let (status, shown) = call(&mut connection, "PUT", &of_authority, &json!({"state": "INACTIVE"}));
    assert_eq!((status, &shown["state"]), (200, &json!("INACTIVE")));
    for one in [&one, &other] {
        assert_eq!(call(&mut connection, "DELETE", &path(one), &Value::Null).0, 204);
        assert_eq!(call(&mut connection, "GET", &path(one), &Value::Null).0, 404);
    }
    assert_eq!(call(&mut connection, "DELETE", &of_authority, &Value::Null).0, 204);
    let (_, none) = call(&mut connection, "GET", "certificate-authorities", &Value::Null);
    assert_eq!(none, json!({"certificate_authorities": []}));
    let (_, audit) = call(&mut connection, "GET", "audit", &Value::Null);
    let actions: Vec<&str> =
        audit["audit"].as_array().unwrap().iter().map(|one| one["action"].as_str().unwrap()).collect();
    assert_eq!(actions[..2], ["delete_authority", "delete_certificate"]);
    assert_eq!(actions.iter().filter(|action| **action == "set_certificate_state").count(), 3);
}

#[test]
fn what_is_no_certificate_or_nobodys_is_refused() {
    let (running, mut connection) = admin();
    let works = authority("works");
    call(&mut connection, "POST", "certificate-authorities", &json!({"certificate": works.pem()}));
    let foreign = device(&authority("stranger"), "device-1");
    let own = device(&works, "device-1");
    for (path, body, code) in [
        ("certificate-authorities", json!({"certificate": "nonsense"}), "invalid_certificate"),
        ("certificate-authorities", json!({"certificate": own}), "invalid_certificate"),
        ("certificate-authorities", json!({"certificate": works.pem(), "state": "REVOKED"}), "bad_json"),
        ("certificates", json!({"certificate": foreign}), "invalid_certificate"),
        ("certificates", json!({"certificate": own, "state": "REVOKED"}), "invalid_certificate"),
        ("certificates", json!({"certificate": own, "client_id": ""}), "invalid_certificate"),
        ("certificates", json!({}), "bad_json"),
    ] {
        let (status, problem) = call(&mut connection, "POST", path, &body);
        let wanted = if code == "bad_json" { 400 } else { 422 };
        assert_eq!((status, problem["code"].as_str().unwrap()), (wanted, code), "{path} {body}");
    }
    for path in ["certificates/ff", "certificate-authorities/ff"] {
        assert_eq!(call(&mut connection, "GET", path, &Value::Null).0, 404);
        assert_eq!(call(&mut connection, "DELETE", path, &Value::Null).0, 404);
    }
    *running.world.role.lock().unwrap() = Role::Operator;
    assert_eq!(call(&mut connection, "GET", "certificates", &Value::Null).0, 200);
    assert_eq!(call(&mut connection, "POST", "certificates", &json!({"certificate": own})).0, 403);
}
