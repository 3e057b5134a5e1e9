//! Users and policies that a test changes at will.

use rollcall_admission::{Admission, AdmissionConfig, UserSource, hash_password};
use rollcall_cluster::{ApiToken, BlockRule, CompiledBlocks, CompiledPolicies, Effect, Policy, Role, ScramKeys, User};
use rollcall_contracts::{Account, Admission as _, AuthError, Presented};
use rollcall_types::ClusterTime;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// Where requests come from.
pub(crate) const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Hashing takes long in a test build: the usual passwords are hashed once.
static HASHES: LazyLock<BTreeMap<&str, String>> = LazyLock::new(|| {
    let passwords = ["secret0", "se:cr:et", "pässwörd €", ""];
    passwords.into_iter().map(|password| (password, hash_password(password.as_bytes()).unwrap())).collect()
});

pub(crate) struct Users {
    users: Mutex<BTreeMap<String, User>>,
    policies: Mutex<Arc<CompiledPolicies>>,
    blocks: Mutex<Arc<CompiledBlocks>>,
    tokens: Mutex<BTreeMap<String, ApiToken>>,
    scram_keys: Mutex<BTreeMap<String, ScramKeys>>,
    /// Fingerprints of certificates that count.
    pub(crate) certificates: Mutex<Vec<Vec<u8>>>,
    now: AtomicU64,
    version: AtomicU64,
    available: AtomicBool,
}

impl Users {
    /// `user0:secret0`, `colon:se:cr:et`, `größe:pässwörd €`, `empty:` and the default policy.
    pub(crate) fn usual() -> Arc<Users> {
        let users = Users {
            users: Mutex::default(),
            policies: Mutex::new(Arc::new(CompiledPolicies::new(&[], Effect::Deny))),
            blocks: Mutex::default(),
            tokens: Mutex::default(),
            scram_keys: Mutex::default(),
            certificates: Mutex::default(),
            now: AtomicU64::new(0),
            version: AtomicU64::new(1),
            available: AtomicBool::new(true),
        };
        for (name, password) in [("user0", "secret0"), ("colon", "se:cr:et"), ("größe", "pässwörd €"), ("empty", "")]
        {
            users.put(name, password, Role::Client);
        }
        Arc::new(users)
    }

    pub(crate) fn put(&self, username: &str, password: &str, role: Role) {
        let password_hash = HASHES.get(password).cloned();
        let password_hash = password_hash.unwrap_or_else(|| hash_password(password.as_bytes()).unwrap());
        self.replace(User { username: username.into(), password_hash, role });
    }

    pub(crate) fn replace(&self, user: User) {
        self.users.lock().unwrap().insert(user.username.clone(), user);
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn set_policies(&self, policies: &[Policy]) {
        *self.policies.lock().unwrap() = Arc::new(CompiledPolicies::new(policies, Effect::Deny));
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn set_blocks(&self, rules: &[BlockRule]) {
        *self.blocks.lock().unwrap() = Arc::new(CompiledBlocks::new(rules));
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn set_scram_keys(&self, username: &str, keys: Option<ScramKeys>) {
        let mut all = self.scram_keys.lock().unwrap();
        match keys {
            Some(keys) => drop(all.insert(username.into(), keys)),
            None => drop(all.remove(username)),
        }
    }

    pub(crate) fn put_token(&self, token: ApiToken) {
        self.tokens.lock().unwrap().insert(token.id.clone(), token);
    }

    pub(crate) fn set_now(&self, now: u64) {
        self.now.store(now, Ordering::SeqCst);
    }

    pub(crate) fn set_available(&self, available: bool) {
        self.available.store(available, Ordering::SeqCst);
    }

    pub(crate) fn remove(&self, username: &str) {
        self.users.lock().unwrap().remove(username).unwrap();
        self.version.fetch_add(1, Ordering::SeqCst);
    }
}

impl UserSource for Users {
    fn certificate_counts(&self, fingerprint: &[u8]) -> bool {
        self.certificates.lock().unwrap().iter().any(|one| one == fingerprint)
    }

    fn scram_keys(&self, username: &str) -> Option<ScramKeys> {
        self.scram_keys.lock().unwrap().get(username).cloned()
    }

    fn user(&self, username: &str) -> Option<User> {
        self.users.lock().unwrap().get(username).cloned()
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    fn policies(&self) -> Arc<CompiledPolicies> {
        Arc::clone(&self.policies.lock().unwrap())
    }

    fn blocks(&self) -> Arc<CompiledBlocks> {
        Arc::clone(&self.blocks.lock().unwrap())
    }

    fn token(&self, id: &str) -> Option<ApiToken> {
        self.tokens.lock().unwrap().get(id).cloned()
    }

    fn now(&self) -> ClusterTime {
        ClusterTime(self.now.load(Ordering::SeqCst))
    }

    fn is_available(&self) -> bool {
        self.available.load(Ordering::SeqCst)
    }
}

pub(crate) fn admission(config: AdmissionConfig) -> (Arc<Users>, Admission) {
    let users = Users::usual();
    let admission = Admission::new(config, users.clone());
    (users, admission)
}

/// The credentials of a CONNECT.
pub(crate) async fn mqtt(
    admission: &Admission,
    username: Option<&str>,
    password: Option<&[u8]>,
    source: IpAddr,
) -> Result<Arc<Account>, AuthError> {
    let presented = Presented { client_id: "c", username, password, source, certificate: None };
    admission.authenticate_mqtt(&presented).await
}
