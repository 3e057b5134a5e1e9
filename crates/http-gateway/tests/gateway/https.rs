//! The same over TLS.

use crate::{
    fakes::{GOOD, World, loopback, online, parts},
    raw_http::{Connection, DEADLINE},
};
use rollcall_http_gateway::{Gateway, GatewayConfig};
use rollcall_tls::{CertificateFiles, Certificates};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    pki_types::{CertificateDer, ServerName},
};
use std::{
    fs,
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const PATH: &str = "/client-id/a%2Fb/status";

struct Secured {
    world: Arc<World>,
    gateway: Gateway,
    runtime: Runtime,
    certificate: CertificateDer<'static>,
    folder: TempDir,
}

fn start() -> Secured {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (cert_file, key_file) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&cert_file, issued.cert.pem()).unwrap();
    fs::write(&key_file, issued.signing_key.serialize_pem()).unwrap();
    let files = CertificateFiles { cert_file, key_file, ..CertificateFiles::default() };
    let tls = Arc::new(Certificates::load_watching(vec![files], Duration::from_millis(20)).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let world = World::new();
    *world.otherwise.lock().unwrap() = Ok(online());
    let https = loopback().map(|listen| (listen, tls));
    let config = GatewayConfig { https, workers: 1, ..GatewayConfig::default() };
    let gateway = Gateway::start(config, parts(&world, &runtime)).unwrap();
    Secured { world, gateway, runtime, certificate: issued.cert.der().clone(), folder }
}

fn client(secured: &Secured, version: &'static SupportedProtocolVersion, alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(secured.certificate.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

fn address(secured: &Secured) -> SocketAddr {
    assert_eq!(secured.gateway.addresses().http, None);
    secured.gateway.addresses().https.unwrap()
}

#[test]
fn tls_1_2_and_1_3_carry_http_1_1() {
    let secured = start();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for alpn in [&[][..], &[&b"http/1.1"[..]]] {
            let session = ClientConnection::new(client(&secured, version, alpn), localhost()).unwrap();
            let socket = TcpStream::connect(address(&secured)).unwrap();
            socket.set_read_timeout(Some(DEADLINE)).unwrap();
            let mut connection = Connection::over(StreamOwned::new(session, socket));
            for _ in 0..2 {
                let answer = connection.ask("GET", PATH, GOOD);
                assert_eq!(
                    (answer.status_line.as_str(), answer.body.as_str()),
                    ("HTTP/1.1 200 OK", r#"{"online":true}"#)
                );
            }
            assert_eq!(secured.world.looked_up(), ["a/b", "a/b"]);
        }
    }
}

#[test]
fn tls_carries_http_2() {
    let secured = start();
    let config = client(&secured, &rustls::version::TLS13, &[b"h2"]);
    let address = address(&secured);
    let asking = async {
        let socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let stream = tokio_rustls::TlsConnector::from(config).connect(localhost(), socket).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
        let asking = async {
            for (method, status, body) in [("GET", 200, r#"{"online":true}"#), ("HEAD", 200, ""), ("PUT", 405, "")] {
                let request = http::Request::builder()
                    .method(method)
                    .uri(format!("https://localhost{PATH}"))
                    .header("authorization", "Basic dXNlcjA6c2VjcmV0MA==")
                    .body(())
                    .unwrap();
                let (response, _) = sender.send_request(request, true).unwrap();
                let response = response.await.unwrap();
                assert_eq!(response.status(), status, "{method}");
                let mut stream = response.into_body();
                let mut received = Vec::new();
                while let Some(chunk) = stream.data().await {
                    received.extend_from_slice(&chunk.unwrap());
                }
                if status == 200 {
                    assert_eq!(received, body.as_bytes(), "{method}");
                }
            }
        };
        tokio::select! {
            () = asking => {}
            ended = connection => panic!("the connection ended: {ended:?}"),
        }
    };
    secured.runtime.block_on(async { tokio::time::timeout(DEADLINE, asking).await.unwrap() });
    assert_eq!(secured.world.looked_up(), ["a/b", "a/b"]);
}

#[test]
fn http_2_carries_a_stream_of_events() {
    let secured = start();
    let config = client(&secured, &rustls::version::TLS13, &[b"h2"]);
    let address = address(&secured);
    let world = Arc::clone(&secured.world);
    let asking = async {
        let socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let stream = tokio_rustls::TlsConnector::from(config).connect(localhost(), socket).await.unwrap();
        let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
        let asking = async {
            let request = http::Request::builder()
                .uri("https://localhost/presence/events")
                .header("authorization", "Basic dXNlcjA6c2VjcmV0MA==")
                .body(())
                .unwrap();
            let (response, _) = sender.send_request(request, true).unwrap();
            let response = response.await.unwrap();
            assert_eq!(response.status(), 200);
            let mut stream = response.into_body();
            let mut text = String::new();
            // More than the windows of stream and connection take at once.
            for number in 0..400 {
                let names: Vec<String> = (0..10).map(|n| format!("{number}-{n}")).collect();
                let transitions: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
                world.feeds.apply(number % 3, &transitions);
            }
            let mut ended = false;
            while let Some(chunk) = stream.data().await {
                let chunk = chunk.unwrap();
                stream.flow_control().release_capacity(chunk.len()).unwrap();
                text.push_str(std::str::from_utf8(&chunk).unwrap());
                if !ended && text.matches("event: client_connected").count() == 4000 {
                    ended = true;
                    world.leaving.send_replace(true);
                }
            }
            assert!(ended && text.contains("event: end\n"));
        };
        tokio::select! {
            () = asking => {}
            ended = connection => panic!("the connection ended: {ended:?}"),
        }
    };
    secured.runtime.block_on(async { tokio::time::timeout(DEADLINE, asking).await.unwrap() });
}

#[test]
#[allow(clippy::disallowed_methods)] // a thread of its own, between two looks at a condition
fn a_changed_certificate_is_shown_without_a_restart() {
    let secured = start();
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(secured.folder.path().join("cert.pem"), issued.cert.pem()).unwrap();
    fs::write(secured.folder.path().join("key.pem"), issued.signing_key.serialize_pem()).unwrap();
    let fresh = Secured { certificate: issued.cert.der().clone(), ..secured };
    let asked = Instant::now();
    loop {
        let config = client(&fresh, &rustls::version::TLS13, &[]);
        let mut session = ClientConnection::new(config, localhost()).unwrap();
        let mut socket = TcpStream::connect(address(&fresh)).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        if session.complete_io(&mut socket).is_ok() {
            return;
        }
        assert!(asked.elapsed() < DEADLINE, "the new certificate is not shown");
        std::thread::sleep(Duration::from_millis(20));
    }
}
