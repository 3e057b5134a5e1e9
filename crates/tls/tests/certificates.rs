//! Certificates from files: chosen, reloaded, and those of clients.
#![allow(clippy::unwrap_used, missing_docs)]
#![allow(clippy::disallowed_methods)] // no runtime here: threads sleep between two looks at a condition

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rollcall_tls::{
    Admitted, CertificateFiles, Certificates, ClientRefused, LoadError, given_certificate, is_signed_by,
};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConnection, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

const OFTEN: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(10);

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a certificate for a name; returns it.
fn write(folder: &Path, file: &str, name: &str) -> CertificateDer<'static> {
    let issued = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    fs::write(folder.join(format!("{file}.pem")), issued.cert.pem()).unwrap();
    fs::write(folder.join(format!("{file}.key")), issued.signing_key.serialize_pem()).unwrap();
    issued.cert.der().clone()
}

fn files(folder: &Path, file: &str, names: &[&str], client_ca_file: Option<PathBuf>) -> CertificateFiles {
    CertificateFiles {
        cert_file: folder.join(format!("{file}.pem")),
        key_file: folder.join(format!("{file}.key")),
        server_names: names.iter().map(|name| (*name).to_owned()).collect(),
        client_ca_file,
        ..CertificateFiles::default()
    }
}

#[derive(Debug)]
struct TrustAll;

impl ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// A certificate of a client, signed by an authority.
fn identity(of: &Authority, name: &str) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.signed_by(&key, of).unwrap();
    (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

/// A handshake in memory: the certificate shown, and whether the client is admitted; an error when it fails.
fn shake(
    certificates: &Certificates,
    name: &str,
    identity: Option<Identity>,
) -> Result<(CertificateDer<'static>, Result<Admitted, ClientRefused>), Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAll));
    let config = match identity {
        Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key)?,
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name)?;
    let mut server = ServerConnection::new(certificates.server_config())?;
    let mut bytes = Vec::new();
    for _ in 0..10 {
        bytes.clear();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut &bytes[..]).unwrap();
        server.process_new_packets()?;
        bytes.clear();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut &bytes[..]).unwrap();
        client.process_new_packets()?;
    }
    assert!(!server.is_handshaking());
    let shown = client.peer_certificates().unwrap()[0].clone();
    Ok((shown, certificates.admit(server.server_name(), server.peer_certificates())))
}

fn shown(certificates: &Certificates, name: &str) -> CertificateDer<'static> {
    shake(certificates, name, None).unwrap().0
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(OFTEN);
    }
}

#[test]
fn the_certificate_follows_the_server_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let certs = ["a", "wild", "rest"].map(|name| write(folder, name, "localhost"));
    let certificates = Certificates::load(vec![
        files(folder, "wild", &["*.b.example"], None),
        files(folder, "a", &["a.example", "x.b.example"], None),
        files(folder, "rest", &[], None),
    ])
    .unwrap();
    for (name, place) in [
        ("a.example", 0),
        ("A.EXAMPLE", 0),
        ("x.b.example", 0),
        ("y.b.example", 1),
        ("z.y.b.example", 2),
        ("b.example", 2),
        ("other", 2),
    ] {
        assert_eq!(shown(&certificates, name), certs[place], "{name}");
    }
}

#[test]
fn changed_files_are_taken_and_broken_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let first = write(folder, "a", "localhost");
    let certificates = Certificates::load_watching(vec![files(folder, "a", &[], None)], OFTEN).unwrap();
    assert_eq!(shown(&certificates, "localhost"), first);
    let second = write(folder, "a", "localhost");
    until("the second certificate", || shown(&certificates, "localhost") == second);
    fs::write(folder.join("a.pem"), "no certificate").unwrap();
    // A certificate that is good but has no key of its own yet is not taken either: two files change one by one.
    let good = write(folder, "b", "localhost");
    fs::copy(folder.join("b.pem"), folder.join("a.pem")).unwrap();
    for _ in 0..20 {
        assert_eq!(shown(&certificates, "localhost"), second);
        std::thread::sleep(OFTEN);
    }
    fs::copy(folder.join("b.key"), folder.join("a.key")).unwrap();
    until("the third certificate", || shown(&certificates, "localhost") == good);
}

#[test]
fn clients_show_a_certificate_where_one_is_demanded() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [first, second, stranger] = ["first", "second", "stranger"].map(authority);
    for (name, authority) in [("first", &first), ("second", &second)] {
        fs::write(folder.join(format!("{name}-ca.pem")), authority.pem()).unwrap();
        write(folder, name, "localhost");
    }
    write(folder, "open", "localhost");
    let demands = |name: &str| files(folder, name, &[name], Some(folder.join(format!("{name}-ca.pem"))));
    let mixed =
        Certificates::load(vec![demands("first"), demands("second"), files(folder, "open", &["open"], None)]).unwrap();
    let admitted = |name: &str, identity| {
        let admitted = shake(&mixed, name, identity).unwrap().1;
        admitted.map(|admitted| admitted.certificate.and_then(|shown| shown.fields.common_name.clone()))
    };
    let known = Ok(Some("device-1".into()));
    assert_eq!(admitted("first", Some(identity(&first, "device-1"))), known);
    assert_eq!(admitted("second", Some(identity(&second, "device-1"))), known);
    assert_eq!(admitted("first", Some(identity(&second, "device-1"))), Err(ClientRefused));
    assert_eq!(admitted("first", None), Err(ClientRefused));
    assert_eq!(admitted("open", None), Ok(None));
    assert_eq!(admitted("open", Some(identity(&first, "device-1"))), Ok(None), "nobody asked");
    assert!(shake(&mixed, "first", Some(identity(&stranger, "device-1"))).is_err());
    let all = Certificates::load(vec![demands("first")]).unwrap();
    assert!(shake(&all, "first", None).is_err(), "refused in the handshake already");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "a", "localhost");
    write(folder, "b", "localhost");
    let named = |files: CertificateFiles, wanted: &str| {
        let error = Certificates::load(vec![files]).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    };
    named(files(folder, "none", &[], None), "none.pem");
    named(CertificateFiles { key_file: folder.join("b.key"), ..files(folder, "a", &[], None) }, "a.pem");
    named(CertificateFiles { key_file: folder.join("a.pem"), ..files(folder, "a", &[], None) }, "a.pem");
    named(files(folder, "a", &[], Some(folder.join("a.key"))), "a.key");
    assert!(matches!(Certificates::load(vec![]), Err(LoadError::None)));
}

#[test]
fn registered_authorities_come_and_go_and_certificates_may_be_a_choice() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [filed, works, stranger] = ["filed", "works", "stranger"].map(authority);
    fs::write(folder.join("filed-ca.pem"), filed.pem()).unwrap();
    for name in ["strict", "lax"] {
        write(folder, name, "localhost");
    }
    let entry = |name: &str, client_ca_file, client_certificate_optional| CertificateFiles {
        client_ca_registered: true,
        client_certificate_optional,
        ..files(folder, name, &[name], client_ca_file)
    };
    let certificates =
        Certificates::load(vec![entry("strict", None, false), entry("lax", Some(folder.join("filed-ca.pem")), true)])
            .unwrap();
    // What the client shows, whom the authority is, or that it is refused, in the handshake or after it.
    let shown = |name: &str, identity| match shake(&certificates, name, identity) {
        Ok((_, Ok(admitted))) => Ok(admitted.certificate.map(|shown| shown.authority)),
        Ok((_, Err(_))) | Err(_) => Err(()),
    };
    let works_id = given_certificate(&works.pem()).unwrap().certificate.fingerprint;
    assert_eq!(shown("strict", Some(identity(&works, "device-1"))), Err(()), "nobody is registered yet");
    assert_eq!(shown("strict", None), Err(()));
    assert_eq!(shown("lax", None), Ok(None));
    assert_eq!(shown("lax", Some(identity(&filed, "device-1"))), Ok(Some(None)));
    certificates.set_registered(vec![given_certificate(&works.pem()).unwrap().der, b"nonsense".to_vec()]);
    for name in ["strict", "lax"] {
        assert_eq!(shown(name, Some(identity(&works, "device-1"))), Ok(Some(Some(works_id))), "{name}");
        assert_eq!(shown(name, Some(identity(&stranger, "device-1"))), Err(()), "{name}");
    }
    assert_eq!(shown("strict", Some(identity(&filed, "device-1"))), Err(()), "that counts for the other name");
    assert_eq!((shown("lax", None), shown("strict", None)), (Ok(None), Err(())));
    certificates.set_registered(Vec::new());
    assert_eq!(shown("strict", Some(identity(&works, "device-1"))), Err(()));
    assert_eq!(shown("lax", Some(identity(&filed, "device-1"))), Ok(Some(None)));
}

#[test]
fn a_certificate_is_given_as_one_pem_and_known_by_who_signed_it() {
    let [works, other] = ["works", "other"].map(authority);
    let authority = given_certificate(&works.pem()).unwrap();
    assert!(authority.is_authority && authority.certificate.fields.common_name.as_deref() == Some("works"));
    let (device, _) = identity(&works, "device-1");
    assert!(is_signed_by(&device, &authority.der));
    assert!(!is_signed_by(&device, &given_certificate(&other.pem()).unwrap().der));
    assert!(!is_signed_by(b"nonsense", &authority.der) && !is_signed_by(&device, b"nonsense"));
    for wrong in ["", "nonsense", &format!("{}{}", works.pem(), other.pem()), "-----BEGIN CERTIFICATE-----\nAAAA\n"] {
        assert_eq!(given_certificate(wrong), None, "{wrong}");
    }
}
