//! Every authenticator of one node, in both versions of MQTT, with credentials that are right, wrong, expired and absent;
//! and what follows from them on an open connection.

use crate::events::{next_event, text, watcher};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use pbkdf2::pbkdf2_hmac;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData};
use rollcall_test_cluster::config::{ADMIN, USER};
use rollcall_test_cluster::http::{self, basic};
use rollcall_test_cluster::mqtt::{Arrival, Connect, Connection, Identity, Refused, Version, kind};
use rollcall_test_cluster::{Cluster, Options, ports};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const SOON: Duration = Duration::from_secs(10);
const SECRET: &str = "a secret of the scenarios that is long enough";
/// Codes of a CONNACK in MQTT 5 and in MQTT 3.
const WELCOME: (u8, u8) = (0, 0);
const BAD_CREDENTIALS: (u8, u8) = (0x86, 4);
const NOT_AUTHORIZED: (u8, u8) = (0x87, 5);
const UNAVAILABLE: (u8, u8) = (0x88, 3);
const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// One node with all authenticators, and all that is needed to convince it.
struct World {
    cluster: Cluster,
    mqtts: SocketAddr,
    /// Signed the node's certificate.
    server_authority: Issuer,
    /// Signs devices.
    works: Issuer,
    /// Signs tokens of the key set.
    token_key: EncodingKey,
    _folder: tempfile::TempDir,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority(name: &str) -> Issuer {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn identity(of: &Issuer, name: &str) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = params(name).signed_by(&key, of).unwrap().pem();
    Identity { certificate, key: key.serialize_pem() }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Allows `web-good`, denies `web-bad`, breaks for `web-down`, and does not know the rest. Ends with the process.
fn service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::Builder::new()
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                let _gone = answer(stream);
            }
        })
        .unwrap();
    address
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut read = Vec::new();
    while !read.ends_with(b"}") {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes)?;
        if count == 0 {
            return Ok(());
        }
        read.extend(&bytes[..count]);
    }
    let request = String::from_utf8_lossy(&read);
    let (status, body) = match () {
        () if request.contains(r#""username":"web-good","password":"p""#)
            || request.contains(r#""password":"p","username":"web-good""#) =>
        {
            (200, r#"{"result":"allow"}"#)
        }
        () if request.contains("web-good") || request.contains("web-bad") => (200, r#"{"result":"deny"}"#),
        () if request.contains("web-down") => (500, ""),
        () => (200, r#"{"result":"ignore"}"#),
    };
    let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n");
    stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes())
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let (server_authority, works) = (authority("server-authority"), authority("works"));
    let server = identity(&server_authority, "localhost");
    let (certificate, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
    std::fs::write(&certificate, &server.certificate).unwrap();
    std::fs::write(&key, &server.key).unwrap();
    let pair = KeyPair::generate().unwrap();
    let text = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let (x, y) = pair.der_bytes()[1..].split_at(32);
    let set = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k1", "x": text(x), "y": text(y)}]});
    let token_key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
    let mqtts = SocketAddr::from(([127, 0, 0, 1], ports::free()));
    let more = format!(
        r##"[auth]
authenticators = ["x509", "jwt", "jwks", "http", "users", "scram"]
[auth.jwt]
secret = "{SECRET}"
claims = ["aud=rollcall"]
[auth.jwks]
inline = '{set}'
from = "password"
[auth.http]
url = "http://{service}/auth"
[auth.x509]
devices = "just_in_time"
[[listeners.tls]]
cert_file = "{certificate}"
key_file = "{key}"
client_ca_registered = true
client_certificate_optional = true
"##,
        service = service(),
        certificate = certificate.display(),
        key = key.display(),
    );
    let listeners = format!("mqtts = \"{mqtts}\"\n");
    let options = Options { nodes: 1, partitions: 1, replicas: 1, listeners, more, ..Options::default() };
    World { cluster: Cluster::start(options), mqtts, server_authority, works, token_key, _folder: folder }
}

impl World {
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let headers = [("Authorization", &*basic(ADMIN.0, ADMIN.1))];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let admin = self.cluster.nodes[0].addresses.admin;
        let response = http::send_json(admin, method, &format!("/api/v1/{path}"), &headers, &body).unwrap();
        assert!(response.status < 300, "{method} {path}: {} {}", response.status, response.text());
        serde_json::from_str(&response.text()).unwrap_or(Value::Null)
    }

    fn connect(
        &self,
        version: Version,
        client_id: &str,
        pair: (Option<&str>, Option<&str>),
    ) -> Result<Connection, Refused> {
        let connect = connect(version, client_id, pair);
        Connection::connect(self.cluster.nodes[0].addresses.mqtt, &connect).map(|(connection, _)| connection)
    }

    fn connect_tls(
        &self,
        version: Version,
        client_id: &str,
        identity: Option<&Identity>,
        pair: (Option<&str>, Option<&str>),
    ) -> Result<Connection, Refused> {
        let authority = self.server_authority.pem();
        let mut connection =
            Connection::open_tls(self.mqtts, version, &authority, identity).map_err(Refused::NoConnack)?;
        connection.introduce(&connect(version, client_id, pair)).map(|_| connection)
    }

    /// A token of the key set.
    fn token(&self, claims: &Value) -> String {
        let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::ES256) };
        encode(&header, claims, &self.token_key).unwrap()
    }
}

fn connect(version: Version, client_id: &str, (username, password): (Option<&str>, Option<&str>)) -> Connect {
    let (username, password) = (username.map(str::to_owned), password.map(str::to_owned));
    Connect { username, password, ..Connect::new(version, client_id) }
}

fn secret_token(claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

fn assert_code(outcome: Result<Connection, Refused>, (v5, v3): (u8, u8), version: Version, what: &str) {
    let code = match outcome {
        Ok(mut connection) => {
            connection.ping().unwrap();
            0
        }
        Err(Refused::Code(code)) => code,
        Err(other) => panic!("{what}: {other:?}"),
    };
    assert_eq!(code, if version == Version::V5 { v5 } else { v3 }, "{what} {version:?}");
}

/// The connection ends with this code, which only MQTT 5 can say.
fn assert_closed(connection: &mut Connection, code: u8) {
    let packets = connection.to_the_end(SOON).unwrap();
    let said: Vec<u8> = packets.iter().filter(|packet| packet.kind() == 14).map(|packet| packet.body[0]).collect();
    assert_eq!(said, if connection.version() == Version::V5 { vec![code] } else { vec![] });
}

fn event_of(events: &mut Connection, topic: &str, client_id: &str) -> Value {
    let began = Instant::now();
    loop {
        let left = SOON.saturating_sub(began.elapsed());
        let (of, event) = next_event(events, left).unwrap_or_else(|| panic!("no {topic} of {client_id}"));
        if of == topic && text(&event, "clientid") == client_id {
            return event;
        }
    }
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut code = Hmac::<Sha256>::new_from_slice(key).unwrap();
    code.update(text);
    code.finalize().into_bytes().to_vec()
}

fn authentication_properties(data: &[u8]) -> Vec<u8> {
    let method = "SCRAM-SHA-256";
    let length = |size: usize| u16::try_from(size).unwrap().to_be_bytes();
    [&[0x15][..], &length(method.len()), method.as_bytes(), &[0x16], &length(data.len()), data].concat()
}

fn auth_packet(code: u8, data: &[u8]) -> Vec<u8> {
    let properties = authentication_properties(data);
    let body = [&[code, u8::try_from(properties.len()).unwrap()], &properties[..]].concat();
    rollcall_test_cluster::mqtt::packet(0xf0, &body)
}

/// The server's AUTH or CONNACK: its kind, its code and the data of the exchange.
fn exchanged(connection: &mut Connection) -> (u8, u8, String) {
    let Arrival::Packet(packet) = connection.next(SOON) else { panic!("no packet") };
    let code = packet.body[usize::from(packet.kind() == kind::CONNACK)];
    let at = packet.body.windows(2).position(|pair| pair == b"r=" || pair == b"v=");
    let end = |at: usize| at + usize::from(u16::from_be_bytes([packet.body[at - 2], packet.body[at - 1]]));
    let data = at.map(|at| String::from_utf8(packet.body[at..end(at)].to_vec()).unwrap()).unwrap_or_default();
    (packet.kind(), code, data)
}

/// What the client sends last.
fn proof(username: &str, password: &str, challenge: &str) -> Vec<u8> {
    let parts: Vec<&str> = challenge.split(',').map(|part| &part[2..]).collect();
    let mut salted = [0; 32];
    let salt = STANDARD.decode(parts[1]).unwrap();
    pbkdf2_hmac::<Sha256>(password.as_bytes(), &salt, parts[2].parse().unwrap(), &mut salted);
    let client_key = hmac(&salted, b"Client Key");
    let without_proof = format!("c=biws,r={}", parts[0]);
    let signed = format!("n={username},r=abc,{challenge},{without_proof}");
    let signature = hmac(&Sha256::digest(&client_key), signed.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(one, other)| one ^ other).collect();
    format!("{without_proof},p={}", STANDARD.encode(proof)).into_bytes()
}

/// CONNECT with SCRAM-SHA-256; the code of CONNACK, and the connection.
fn scram(world: &World, client_id: &str, username: &str, password: &str) -> (u8, Connection) {
    let mut connection = Connection::open(world.cluster.nodes[0].addresses.mqtt, Version::V5).unwrap();
    let first = format!("n,,n={username},r=abc");
    let properties = authentication_properties(first.as_bytes());
    let mut body = b"\x00\x04MQTT\x05\x02\x01\x2c".to_vec();
    body.push(u8::try_from(properties.len()).unwrap());
    body.extend(properties);
    body.extend(u16::try_from(client_id.len()).unwrap().to_be_bytes());
    body.extend(client_id.bytes());
    connection.send(&rollcall_test_cluster::mqtt::packet(0x10, &body)).unwrap();
    let (kind, code, challenge) = exchanged(&mut connection);
    assert_eq!((kind, code), (15, 0x18), "{challenge}");
    connection.send(&auth_packet(0x18, &proof(username, password, &challenge))).unwrap();
    let (kind, code, data) = exchanged(&mut connection);
    assert_eq!(kind, kind::CONNACK);
    assert_eq!(data.starts_with("v="), code == 0, "the server proves itself as well");
    (code, connection)
}

#[test]
fn every_authenticator_knows_its_own_and_refuses_what_does_not_hold() {
    let world = world();
    let in_an_hour = now_s() + 3600;
    let claims = |aud: &str, exp: u64| json!({"sub": "device-7", "aud": aud, "exp": exp});
    let good = secret_token(&claims("rollcall", in_an_hour));
    let expired = secret_token(&claims("rollcall", now_s() - 5));
    let for_others = secret_token(&claims("others", in_an_hour));
    let forged = encode(
        &Header::new(Algorithm::HS256),
        &claims("rollcall", in_an_hour),
        &EncodingKey::from_secret(b"another secret that is long enough, too"),
    )
    .unwrap();
    let of_set = world.token(&claims("any", in_an_hour));
    let expired_of_set = world.token(&claims("any", now_s() - 5));
    let table = [
        ("user, right", (Some(USER.0), Some(USER.1)), WELCOME),
        ("user, wrong", (Some(USER.0), Some("wrong")), BAD_CREDENTIALS),
        ("nobody", (Some("stranger"), Some("p")), BAD_CREDENTIALS),
        ("jwt, right", (Some("x"), Some(good.as_str())), WELCOME),
        ("jwt, expired", (Some("x"), Some(expired.as_str())), BAD_CREDENTIALS),
        ("jwt, wrong claim", (Some("x"), Some(for_others.as_str())), BAD_CREDENTIALS),
        ("jwt, forged", (Some("x"), Some(forged.as_str())), BAD_CREDENTIALS),
        ("jwks, right", (Some("x"), Some(of_set.as_str())), WELCOME),
        ("jwks, expired", (Some("x"), Some(expired_of_set.as_str())), BAD_CREDENTIALS),
        ("http, right", (Some("web-good"), Some("p")), WELCOME),
        ("http, wrong", (Some("web-good"), Some("q")), BAD_CREDENTIALS),
        ("http, denied", (Some("web-bad"), Some("p")), BAD_CREDENTIALS),
        ("http, down", (Some("web-down"), Some("p")), UNAVAILABLE),
        ("absent", (None, None), BAD_CREDENTIALS),
    ];
    for version in VERSIONS {
        for (place, (what, pair, code)) in table.into_iter().enumerate() {
            assert_code(world.connect(version, &format!("row-{place}"), pair), code, version, what);
        }
    }
    // Whose session it is, the token says and not CONNECT; an account of another authenticator cannot take it.
    let held = world.connect(Version::V5, "held", (Some("x"), Some(&good))).unwrap();
    for version in VERSIONS {
        let user = world.connect(version, "held", (Some(USER.0), Some(USER.1)));
        assert_code(user, NOT_AUTHORIZED, version, "a session of a token's account");
    }
    assert_code(world.connect(Version::V5, "held", (Some("y"), Some(&of_set))), WELCOME, Version::V5, "its own");
    drop(held);

    assert_eq!(scram(&world, "scram", "stranger", "p").0, 0x87);
    assert_eq!(scram(&world, "scram", USER.0, "wrong").0, 0x87);
    let (code, mut connection) = scram(&world, "scram", USER.0, USER.1);
    assert_eq!(code, 0);
    // Again on the open connection, first rightly, then not.
    for (password, ends) in [(USER.1, false), ("wrong", true)] {
        connection.send(&auth_packet(0x19, format!("n,,n={},r=abc", USER.0).as_bytes())).unwrap();
        let (_, _, challenge) = exchanged(&mut connection);
        connection.send(&auth_packet(0x18, &proof(USER.0, password, &challenge))).unwrap();
        match ends {
            false => assert_eq!(exchanged(&mut connection).1, 0),
            true => assert_closed(&mut connection, 0x87),
        }
    }
}

#[test]
fn a_device_is_known_by_its_certificate_and_ends_with_it() {
    let world = world();
    let mut events = watcher(&world.cluster, 0, "events", "$events/#", 1);
    let registered = world.call("POST", "certificate-authorities", &json!({"certificate": world.works.pem()}));
    let by_hand = identity(&world.works, "device-1");
    let stranger = identity(&authority("stranger"), "device-2");
    let given = json!({"certificate": by_hand.certificate, "client_id": "device-1"});
    let one = world.call("POST", "certificates", &given);
    assert_eq!(one["authority"], registered["id"]);
    let path = format!("certificates/{}", one["id"].as_str().unwrap());
    for version in VERSIONS {
        let as_device = |client_id: &str| world.connect_tls(version, client_id, Some(&by_hand), (None, None));
        assert_code(as_device("device-1"), WELCOME, version, "x509, right");
        assert_code(as_device("device-9"), BAD_CREDENTIALS, version, "x509, another client id");
        let user = world.connect_tls(version, "user", None, (Some(USER.0), Some(USER.1)));
        assert_code(user, WELCOME, version, "x509, absent");
        assert_code(
            world.connect_tls(version, "nobody", None, (None, None)),
            BAD_CREDENTIALS,
            version,
            "nothing at all",
        );
        let unknown = world.connect_tls(version, "device-2", Some(&stranger), (None, None));
        assert!(matches!(unknown, Err(Refused::NoConnack(_))), "no authority of this node signed it");

        let first_seen = identity(&world.works, "device-3");
        let just_in_time = || world.connect_tls(version, "device-3", Some(&first_seen), (None, None));
        assert_code(just_in_time(), BAD_CREDENTIALS, version, "x509, waiting");
        let event = event_of(&mut events, "$events/certificate_registered", "device-3");
        assert_eq!((text(&event, "common_name"), text(&event, "state")), ("device-3", "PENDING_ACTIVATION"));
        assert_eq!(
            event_of(&mut events, "$events/certificate_rejected", "device-3")["certificate"],
            event["certificate"]
        );
        let state = |state: &str| {
            world.call("PUT", &format!("certificates/{}", text(&event, "certificate")), &json!({ "state": state }))
        };
        assert_eq!(state("ACTIVE")["source"], "JITP");
        let mut connected = just_in_time().unwrap();
        connected.ping().unwrap();
        state("REVOKED");
        assert_closed(&mut connected, 0x87);
        assert_code(just_in_time(), BAD_CREDENTIALS, version, "x509, revoked");
    }
    let mut connected = world.connect_tls(Version::V5, "device-1", Some(&by_hand), (None, None)).unwrap();
    let authority = format!("certificate-authorities/{}", registered["id"].as_str().unwrap());
    world.call("PUT", &authority, &json!({"state": "INACTIVE"}));
    assert_closed(&mut connected, 0x87);
    world.call("PUT", &authority, &json!({"state": "ACTIVE"}));
    world.call("PUT", &path, &json!({"state": "INACTIVE"}));
    let inactive = world.connect_tls(Version::V5, "device-1", Some(&by_hand), (None, None));
    assert_code(inactive, BAD_CREDENTIALS, Version::V5, "x509, inactive");
}

#[test]
fn a_token_brings_rules_and_its_end_is_the_connections() {
    let world = world();
    let mut events = watcher(&world.cluster, 0, "events", "$events/#", 1);
    for (version, client_id) in VERSIONS.into_iter().zip(["expiring-v3", "expiring-v5"]) {
        let acl = json!([
            {"permission": "allow", "action": "publish", "topic": "up/${clientid}"},
            {"permission": "deny", "action": "all", "topic": "#"},
        ]);
        let claims = json!({"sub": "device-7", "aud": "rollcall", "exp": now_s() + 3, "acl": acl});
        let token = secret_token(&claims);
        // MQTT 3 has no password without a user name.
        let username = (version != Version::V5).then_some("");
        let mut connection = world.connect(version, client_id, (username, Some(&token))).unwrap();
        if version == Version::V5 {
            let published =
                |topic: &str, connection: &mut Connection| connection.publish_acknowledged(topic, b"p", false);
            assert!(published(&format!("up/{client_id}"), &mut connection).unwrap() < 0x80);
            assert_eq!(published("up/other", &mut connection).unwrap(), 0x87);
        }
        assert_closed(&mut connection, 0x87);
        let event = event_of(&mut events, "$events/client_disconnected", client_id);
        assert_eq!((text(&event, "reason"), text(&event, "username")), ("authentication_expired", "device-7"));
        assert_code(world.connect(version, client_id, (Some("x"), Some(&token))), BAD_CREDENTIALS, version, "over");
    }
}
