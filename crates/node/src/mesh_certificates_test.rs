//! Certificates between nodes that change while the node runs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::{config, formation::Greeting, mesh_certificates::watch, settings};
use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rollcall_contracts::{PeerCall, PeerHandler};
use rollcall_mesh::{Mesh, MeshConfig, MeshTls};
use rollcall_types::{NodeId, NodeName};
use std::{fs, net::TcpListener, path::Path, sync::Arc, time::Duration};

/// An answer that is there comes within this time, on a busy machine too.
const WITHIN: Duration = Duration::from_secs(30);
const LOOKED_AT_EVERY: Duration = Duration::from_millis(20);

struct Silent;

#[async_trait::async_trait]
impl PeerHandler for Silent {
    async fn handle(&self, _: PeerCall) -> Result<Bytes, String> {
        Err("not here".to_owned())
    }
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes the files of a node at 127.0.0.1.
    fn write(&self, folder: &Path) -> config::MeshTls {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        let place = |name: &str| folder.join(name);
        fs::write(place("ca.pem"), self.0.pem()).unwrap();
        fs::write(place("key.pem"), key.serialize_pem()).unwrap();
        fs::write(place("cert.pem"), cert.pem()).unwrap();
        config::MeshTls { ca_file: place("ca.pem"), cert_file: place("cert.pem"), key_file: place("key.pem") }
    }
}

fn start(id: u64, tls: MeshTls) -> (Arc<Mesh>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut config = MeshConfig::new(listener, address.clone(), "lab".to_owned(), NodeName(format!("n{id}")));
    config.tls = Some(tls);
    let mesh = Mesh::start(config, Arc::new(Silent), Arc::new(Greeting::default())).unwrap();
    mesh.identify(NodeId(id), "c1".to_owned());
    (Arc::new(mesh), address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_change_are_in_force_without_a_restart_and_broken_ones_are_not() {
    let (old, new) = (Authority::new(), Authority::new());
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = old.write(here.path());
    let (mesh, address) = start(1, settings::mesh_certificates(&files).unwrap());
    let _watch = watch(&files, Arc::clone(&mesh), LOOKED_AT_EVERY).unwrap();
    let (other, _) = start(2, settings::mesh_certificates(&new.write(there.path())).unwrap());
    assert!(other.hello(&address, WITHIN).await.is_err(), "signed by another authority");
    new.write(here.path());
    let renewed = async { while other.hello(&address, WITHIN).await.is_err() {} };
    tokio::time::timeout(WITHIN, renewed).await.unwrap();
    // What cannot be used changes nothing, however often it is looked at.
    fs::write(&files.key_file, "no key").unwrap();
    let refused = || mesh.renew_tls(settings::mesh_certificates(&files).unwrap()).is_err();
    assert!(refused());
    assert!(other.hello(&address, WITHIN).await.is_ok());
}
