//! Certificates of clients, with a registry in memory.

use async_trait::async_trait;
use rollcall_authenticators::{Devices, IdentityFrom, X509};
use rollcall_cluster::{CertificateFields, CertificateState, DeviceCertificate};
use rollcall_contracts::{
    Authenticator, CannotSay, CertificateTold, ClientCertificate, DeviceRegistry, Presented, Verdict, certificate_id,
};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex},
};

const AUTHORITY: [u8; 32] = [9; 32];

#[derive(Default)]
struct Registry {
    devices: Mutex<BTreeMap<[u8; 32], DeviceCertificate>>,
    inactive_authority: Mutex<bool>,
    down: Mutex<bool>,
    told: Mutex<Vec<(CertificateTold, String)>>,
}

#[async_trait]
impl DeviceRegistry for Registry {
    fn device(&self, fingerprint: &[u8; 32]) -> Result<Option<DeviceCertificate>, CannotSay> {
        if *self.down.lock().unwrap() {
            Err(CannotSay)
        } else {
            Ok(self.devices.lock().unwrap().get(fingerprint).cloned())
        }
    }

    fn counts(&self, fingerprint: &[u8; 32]) -> Result<bool, CannotSay> {
        let devices = self.devices.lock().unwrap();
        let active = devices.get(fingerprint).is_some_and(|device| device.state == CertificateState::Active);
        Ok(active && !*self.inactive_authority.lock().unwrap())
    }

    async fn register(&self, fingerprint: &[u8; 32], device: DeviceCertificate) -> Result<bool, CannotSay> {
        assert_eq!(device.authority, certificate_id(&AUTHORITY));
        Ok(self.devices.lock().unwrap().insert(*fingerprint, device).is_none())
    }

    fn tell(&self, what: CertificateTold, client_id: &str, _: &[u8; 32], _: &DeviceCertificate) {
        self.told.lock().unwrap().push((what, client_id.to_owned()));
    }
}

fn certificate() -> Arc<ClientCertificate> {
    let fields = CertificateFields { common_name: Some("device-1".into()), ..CertificateFields::default() };
    Arc::new(ClientCertificate {
        fingerprint: [1; 32],
        serial: "0a".into(),
        fields: Arc::new(fields),
        distinguished_name: "CN=device-1,O=Works".into(),
        alternative_names: vec!["device-1.example".into(), "other".into()],
        authority: Some(AUTHORITY),
        not_before_s: 1,
        not_after_s: 2_000_000_000,
    })
}

async fn ask(x509: &X509, client_id: &str, certificate: Option<&Arc<ClientCertificate>>) -> Result<Verdict, CannotSay> {
    let source = IpAddr::from([127, 0, 0, 1]);
    x509.authenticate(&Presented { client_id, username: Some("ada"), password: None, source, certificate }).await
}

fn registered(just_in_time: Option<CertificateState>) -> (Arc<Registry>, X509) {
    let registry = Arc::new(Registry::default());
    let devices = Devices::Registered { registry: registry.clone(), just_in_time };
    (registry, X509::new(IdentityFrom::CommonName, devices))
}

#[tokio::test]
async fn an_account_has_the_name_that_the_certificate_says() {
    for (identity, expected) in [
        (IdentityFrom::CommonName, "device-1"),
        (IdentityFrom::DistinguishedName, "CN=device-1,O=Works"),
        (IdentityFrom::AlternativeName, "device-1.example"),
    ] {
        let x509 = X509::new(identity, Devices::Any);
        let Ok(Verdict::Accepted(account)) = ask(&x509, "c", Some(&certificate())).await else {
            panic!("{identity:?}")
        };
        assert_eq!((account.username.as_str(), account.registered_certificate), (expected, None));
        assert_eq!(account.expires_at_ms, Some(2_000_000_000_000), "the connection ends with the certificate");
        assert_eq!(account.certificate.as_deref(), Some(&*certificate().fields));
        let nameless = Arc::new(ClientCertificate {
            fields: Arc::default(),
            distinguished_name: String::new(),
            alternative_names: Vec::new(),
            ..(*certificate()).clone()
        });
        assert_eq!(ask(&x509, "c", Some(&nameless)).await, Ok(Verdict::Refused), "{identity:?}");
        assert_eq!(ask(&x509, "c", None).await, Ok(Verdict::NotMine));
    }
}

#[tokio::test]
async fn only_an_active_certificate_of_an_active_authority_counts() {
    let (registry, x509) = registered(None);
    let accepted = async |client_id: &str| matches!(ask(&x509, client_id, Some(&certificate())).await, Ok(Verdict::Accepted(account)) if account.registered_certificate == Some([1; 32]));
    assert!(!accepted("c").await, "it is not registered");
    let (other, just_in_time) = registered(Some(CertificateState::Active));
    ask(&just_in_time, "c", Some(&certificate())).await.unwrap();
    let device = other.devices.lock().unwrap()[&[1; 32]].clone();
    for (state, counts) in [
        (CertificateState::Active, true),
        (CertificateState::Inactive, false),
        (CertificateState::PendingActivation, false),
        (CertificateState::Revoked, false),
    ] {
        registry.devices.lock().unwrap().insert([1; 32], DeviceCertificate { state, ..device.clone() });
        assert_eq!(accepted("c").await, counts, "{state:?}");
    }
    assert_eq!(registry.told.lock().unwrap().len(), 3);
    let bound = DeviceCertificate { client_id: Some("c".into()), ..device };
    registry.devices.lock().unwrap().insert([1; 32], bound);
    assert!(accepted("c").await && !accepted("d").await, "it is for one client id");
    *registry.inactive_authority.lock().unwrap() = true;
    assert!(!accepted("c").await);
    *registry.down.lock().unwrap() = true;
    assert_eq!(ask(&x509, "c", Some(&certificate())).await, Err(CannotSay));
}

#[tokio::test]
async fn a_certificate_that_comes_first_is_registered_where_that_is_wanted() {
    for (state, accepted) in [(CertificateState::Active, true), (CertificateState::PendingActivation, false)] {
        let (registry, x509) = registered(Some(state));
        for _first_and_again in 0..2 {
            let verdict = ask(&x509, "c", Some(&certificate())).await.unwrap();
            assert_eq!(matches!(verdict, Verdict::Accepted(_)), accepted);
        }
        let device = registry.devices.lock().unwrap()[&[1; 32]].clone();
        assert_eq!((device.state, device.just_in_time, device.common_name.as_str()), (state, true, "device-1"));
        let told = registry.told.lock().unwrap().clone();
        let registered = (CertificateTold::Registered, "c".to_owned());
        assert_eq!(told.iter().filter(|one| **one == registered).count(), 1);
        assert_eq!(told.len(), if accepted { 1 } else { 3 });
        // One that no registered authority signed is nobody's.
        let foreign = Arc::new(ClientCertificate { authority: None, fingerprint: [2; 32], ..(*certificate()).clone() });
        assert_eq!(ask(&x509, "c", Some(&foreign)).await, Ok(Verdict::Refused));
    }
}
