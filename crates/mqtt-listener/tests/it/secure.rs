//! MQTT over TLS, and over WebSocket over TLS, with real certificates.

use crate::{
    raw::{Raw, publish_v3, subscribe_v3, v5, v311},
    web_socket::{BINARY, Web},
    world::{World, until},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rollcall_mqtt_listener::{ListenerConfig, MqttListeners, StartError};
use rollcall_session::Limits;
use rollcall_tls::{CertificateFiles, Certificates};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    version::{TLS12, TLS13},
};
use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

type Authority = CertifiedIssuer<'static, KeyPair>;

/// A broker with a certificate for `one.test`, one for `two.test`, and one for `devices.test`, whose clients must show
/// a certificate.
struct Secured {
    world: World,
    certificates: [CertificateDer<'static>; 3],
    devices: Authority,
    _folder: tempfile::TempDir,
}

const NAMES: [&str; 3] = ["one.test", "two.test", "devices.test"];

fn write(folder: &Path, name: &str) -> CertificateDer<'static> {
    let issued = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    fs::write(folder.join(format!("{name}.pem")), issued.cert.pem()).unwrap();
    fs::write(folder.join(format!("{name}.key")), issued.signing_key.serialize_pem()).unwrap();
    issued.cert.der().clone()
}

async fn secured(limits: Limits) -> Secured {
    let folder = tempfile::tempdir().unwrap();
    let certificates = NAMES.map(|name| write(folder.path(), name));
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let devices = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let ca_file = folder.path().join("devices-ca.pem");
    fs::write(&ca_file, devices.pem()).unwrap();
    let files = NAMES.map(|name| CertificateFiles {
        cert_file: folder.path().join(format!("{name}.pem")),
        key_file: folder.path().join(format!("{name}.key")),
        server_names: vec![name.into()],
        client_ca_file: (name == "devices.test").then(|| ca_file.clone()),
        ..CertificateFiles::default()
    });
    let loaded = Certificates::load_watching(files.to_vec(), Duration::from_millis(20)).unwrap();
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let world = World::with_config(ListenerConfig {
        mqtt: Some(free),
        mqtts: Some(free),
        wss: Some(free),
        certificates: Some(Arc::new(loaded)),
        limits: Arc::new(limits),
        ..ListenerConfig::default()
    })
    .await;
    Secured { world, certificates, devices, _folder: folder }
}

impl Secured {
    fn mqtts(&self) -> SocketAddr {
        self.world.listeners.addresses().mqtts.unwrap()
    }

    fn wss(&self) -> SocketAddr {
        self.world.listeners.addresses().wss.unwrap()
    }

    /// A client that trusts only the certificate of this place in [`NAMES`].
    async fn open(
        &self,
        address: SocketAddr,
        place: usize,
        version: &'static SupportedProtocolVersion,
        identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    ) -> std::io::Result<Raw<TlsStream<TcpStream>>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificates[place].clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let config = match identity {
            Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        let name = ServerName::try_from(NAMES[place]).unwrap();
        let tcp = TcpStream::connect(address).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map(Raw)
    }

    async fn connect(&self, connect: &[u8]) -> Raw<TlsStream<TcpStream>> {
        let mut raw = self.open(self.mqtts(), 0, &TLS13, None).await.unwrap();
        raw.send(connect).await;
        assert_eq!(raw.packet().await[3], 0);
        raw
    }
}

#[tokio::test]
async fn clients_talk_over_tls_1_2_and_1_3_and_get_the_certificate_of_the_name_they_ask_for() {
    let secured = secured(Limits::default()).await;
    for version in [&TLS12, &TLS13] {
        for place in [0, 1] {
            let mut raw = secured.open(secured.mqtts(), place, version, None).await.unwrap();
            raw.send(&v311("a", 60)).await;
            assert_eq!(raw.packet().await, b"\x20\x02\x00\x00");
            raw.send(&subscribe_v3("t")).await;
            raw.packet().await;
            let payload = vec![b'x'; 100_000];
            raw.send(&publish_v3("t", &payload)).await;
            assert!(raw.packet().await.ends_with(&payload), "many records");
            raw.send(b"\xe0\x00").await;
            raw.closed().await;
        }
    }
}

#[tokio::test]
async fn clients_talk_over_web_socket_over_tls() {
    let secured = secured(Limits::default()).await;
    let mut tcp = secured.world.connect(&v311("tcp", 60)).await;
    tcp.send(&subscribe_v3("t")).await;
    tcp.packet().await;
    let mut web = Web::over(secured.open(secured.wss(), 1, &TLS13, None).await.unwrap()).await;
    web.connected(&v5("web", 60)).await;
    web.send(BINARY, b"\x30\x06\x00\x01t\x00hi").await;
    assert_eq!(tcp.packet().await, publish_v3("t", b"hi"));
    let _new = secured.connect(&v5("web", 60)).await;
    assert_eq!(web.packet().await, b"\xe0\x01\x8e", "the farewell passes all layers");
    web.closed().await;
}

#[tokio::test]
async fn a_client_of_a_name_that_demands_certificates_shows_one_or_stays_outside() {
    let secured = secured(Limits::default()).await;
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "device-1");
    let certificate = params.signed_by(&key, &secured.devices).unwrap().der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let identity = || Some((certificate.clone(), key.clone_key()));
    for version in [&TLS12, &TLS13] {
        let mut raw = secured.open(secured.mqtts(), 2, version, identity()).await.unwrap();
        raw.send(&v311("a", 60)).await;
        assert_eq!(raw.packet().await, b"\x20\x02\x00\x00");
        let claims = secured.world.store.asked();
        // In TLS 1.3 a client is done before the server looks; in 1.2 the close may come first.
        if let Ok(mut raw) = secured.open(secured.mqtts(), 2, version, None).await {
            raw.closed().await;
        }
        until("the socket to be counted out", || secured.world.broker.connections() == 1).await;
        assert_eq!(secured.world.store.asked(), claims);
    }
}

#[tokio::test]
async fn a_handshake_counts_as_waiting_and_is_not_waited_for_longer_than_a_connect() {
    let secured = secured(Limits { connect_timeout_ms: 300, ..Limits::default() }).await;
    for address in [secured.mqtts(), secured.wss()] {
        let mut silent = Raw::open(address).await;
        until("the socket to be counted", || secured.world.broker.connections() == 1).await;
        silent.closed().await;
        let mut shaken = secured.open(address, 0, &TLS13, None).await.unwrap();
        shaken.closed().await;
        until("all sockets to be counted out", || secured.world.broker.connections() == 0).await;
    }
}

#[tokio::test]
async fn bytes_that_are_no_tls_end_the_connection() {
    let secured = secured(Limits::default()).await;
    let mut raw = Raw::open(secured.mqtts()).await;
    raw.send(&v311("a", 60)).await;
    raw.rest().await; // an alert at most
    until("all sockets to be counted out", || secured.world.broker.connections() == 0).await;
    assert_eq!(secured.world.store.asked(), 0);
}

#[tokio::test]
async fn after_the_lease_not_a_byte_passes_tls() {
    let secured = secured(Limits::default()).await;
    let mut raw = secured.connect(&v5("a", 60)).await;
    raw.is_alive().await;
    secured.world.lease.lose();
    secured.world.broker.close_all(rollcall_types::DisconnectReason::NodeLost);
    raw.closed().await;
}

#[tokio::test]
async fn listeners_over_tls_need_certificates() {
    let world = World::new().await;
    let config =
        ListenerConfig { mqtt: None, mqtts: Some(SocketAddr::from(([127, 0, 0, 1], 0))), ..ListenerConfig::default() };
    let started = MqttListeners::start(config, world.broker.clone()).await;
    assert!(matches!(started, Err(StartError::NoCertificate)));
}
