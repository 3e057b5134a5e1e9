//! Registered certificates of devices, and the authorities that sign them, over the cluster group.

use async_trait::async_trait;
use parking_lot::Mutex;
use rollcall_broker::Broker;
use rollcall_cluster::{ClusterChange, ClusterOutcome, DeviceCertificate};
use rollcall_contracts::{
    CannotSay, CertificateEvent, CertificateTold, DeviceRegistry, FINGERPRINT_BYTES, certificate_id,
};
use rollcall_raft::Replication;
use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};
use tokio::time::timeout;

/// Longest wait until a certificate is registered.
const REGISTER_WITHIN: Duration = Duration::from_secs(3);
/// Longest wait until this node knows of it.
const KNOWN_WITHIN: Duration = Duration::from_secs(2);
/// Most certificates that are being registered at a time; more are told to come back.
const REGISTERING_MAX: usize = 256;

/// [`DeviceRegistry`] over the replica of the cluster group, once there is one.
pub(crate) struct ReplicatedDevices {
    node: String,
    replication: OnceLock<Arc<Replication>>,
    broker: OnceLock<Weak<Broker>>,
    registering: Mutex<BTreeSet<[u8; FINGERPRINT_BYTES]>>,
}

impl ReplicatedDevices {
    /// Of the node of this name.
    pub(crate) fn new(node: String) -> Self {
        ReplicatedDevices { node, replication: OnceLock::new(), broker: OnceLock::new(), registering: Mutex::default() }
    }

    /// The groups run from now on.
    pub(crate) fn set(&self, replication: Arc<Replication>) {
        let _ = self.replication.set(replication);
    }

    /// Events are told by this broker.
    pub(crate) fn tell_by(&self, broker: &Arc<Broker>) {
        let _ = self.broker.set(Arc::downgrade(broker));
    }

    fn look<R>(&self, look: impl FnOnce(&rollcall_cluster::AccessState) -> R) -> Result<R, CannotSay> {
        let replication = self.replication.get().ok_or(CannotSay)?;
        let applied = replication.groups().cluster().replica().read();
        applied.state.facts().ok_or(CannotSay)?;
        Ok(look(applied.state.access()))
    }
}

/// The authorities that count now, as DER.
pub(crate) fn active_authorities(replication: &Replication) -> Vec<Vec<u8>> {
    let applied = replication.groups().cluster().replica().read();
    let all = applied.state.access().authorities().values();
    all.filter(|authority| authority.active).map(|authority| authority.der.clone()).collect()
}

#[async_trait]
impl DeviceRegistry for ReplicatedDevices {
    fn device(&self, fingerprint: &[u8; FINGERPRINT_BYTES]) -> Result<Option<DeviceCertificate>, CannotSay> {
        self.look(|access| access.certificates().get(&certificate_id(fingerprint)).cloned())
    }

    fn counts(&self, fingerprint: &[u8; FINGERPRINT_BYTES]) -> Result<bool, CannotSay> {
        self.look(|access| access.certificate_counts(&certificate_id(fingerprint)))
    }

    async fn register(
        &self,
        fingerprint: &[u8; FINGERPRINT_BYTES],
        device: DeviceCertificate,
    ) -> Result<bool, CannotSay> {
        let replication = self.replication.get().ok_or(CannotSay)?;
        let _under_way = UnderWay::enter(&self.registering, *fingerprint)?;
        let id = certificate_id(fingerprint);
        let change = ClusterChange::RegisterCertificate { id: id.clone(), certificate: Box::new(device) };
        let outcome = replication.cluster().change(&change, REGISTER_WITHIN).await.map_err(|_| CannotSay)?;
        let made = match outcome {
            ClusterOutcome::Done => true,
            ClusterOutcome::Unchanged => false,
            refused => {
                tracing::warn!(node = %self.node, ?refused, "a certificate was not registered at its first connect");
                return Err(CannotSay);
            }
        };
        let replica = replication.groups().cluster().replica();
        let mut watch = replica.watch();
        let is_known = || replica.read().state.access().certificates().contains_key(&id);
        let known = async { while !is_known() && watch.changed().await.is_ok() {} };
        let _known = timeout(KNOWN_WITHIN, known).await;
        Ok(made)
    }

    fn tell(
        &self,
        told: CertificateTold,
        client_id: &str,
        fingerprint: &[u8; FINGERPRINT_BYTES],
        device: &DeviceCertificate,
    ) {
        let Some(broker) = self.broker.get().and_then(Weak::upgrade) else { return };
        let id = certificate_id(fingerprint);
        broker.tell_certificate(&CertificateEvent { told, client_id, id: &id, device });
    }
}

/// One certificate that is being registered.
struct UnderWay<'a>(&'a Mutex<BTreeSet<[u8; FINGERPRINT_BYTES]>>, [u8; FINGERPRINT_BYTES]);

impl<'a> UnderWay<'a> {
    fn enter(
        registering: &'a Mutex<BTreeSet<[u8; FINGERPRINT_BYTES]>>,
        fingerprint: [u8; FINGERPRINT_BYTES],
    ) -> Result<Self, CannotSay> {
        let mut all = registering.lock();
        if all.len() >= REGISTERING_MAX || !all.insert(fingerprint) {
            return Err(CannotSay);
        }
        Ok(UnderWay(registering, fingerprint))
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}
