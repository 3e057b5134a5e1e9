//! Credentials that were verified before, so that a request does not cost a password hash.
//!
//! Keyed by SHA-256 over a random key of this process and the credentials: nobody can make two credentials meet, and
//! no password is kept. An entry counts only for the version of the accounts it was verified under; whoever finds an
//! older one asks whether the user still has the same password hash.

use parking_lot::RwLock;
use rand::RngCore;
use rollcall_contracts::Account;
use sha2::{Digest, Sha256};
use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Most credentials remembered.
pub(crate) const VERIFIED_MAX: usize = 65_536;
const SHARDS: usize = 16;
const SHARD_MAX: usize = VERIFIED_MAX / SHARDS;
/// Entries in use that an insertion passes over before it evicts one all the same.
const SECOND_CHANCES_MAX: usize = 8;

/// What a cached credential is looked up by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CacheKey([u8; 32]);

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

/// A verified credential.
#[derive(Clone)]
pub(crate) struct Verified {
    pub(crate) account: Arc<Account>,
    /// Version of the accounts it holds for.
    pub(crate) version: u64,
    /// The password hash it was verified against.
    pub(crate) password_hash: Arc<str>,
}

/// What is known of a credential.
pub(crate) enum Remembered {
    /// It was never verified, or forgotten.
    Nothing,
    /// It was verified, and users and policies have not changed since.
    Current(Arc<Account>),
    /// It was verified under another version of the accounts.
    Old(Verified),
}

struct Entry {
    verified: Verified,
    used: AtomicBool,
}

#[derive(Default)]
struct Shard {
    entries: HashMap<CacheKey, Entry, BuildHasherDefault<KeyHasher>>,
    /// Keys in the order they came; may name some that are gone.
    order: VecDeque<CacheKey>,
}

/// See the module.
pub(crate) struct VerifiedCache {
    keyed: Sha256,
    shards: Vec<RwLock<Shard>>,
}

impl VerifiedCache {
    pub(crate) fn new() -> Self {
        // One whole block of key, so that its compression is done once.
        let mut key = [0_u8; 64];
        rand::rng().fill_bytes(&mut key);
        let mut keyed = Sha256::new();
        keyed.update(key);
        VerifiedCache { keyed, shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }

    /// The key of an `Authorization` header value.
    pub(crate) fn header_key(&self, header: &[u8]) -> CacheKey {
        let mut hash = self.keyed.clone();
        hash.update(b"H");
        hash.update(header);
        CacheKey(hash.finalize().into())
    }

    /// The key of a user name and a password.
    pub(crate) fn credentials_key(&self, username: &str, password: &[u8]) -> CacheKey {
        let mut hash = self.keyed.clone();
        hash.update(b"C");
        hash.update((username.len() as u64).to_be_bytes());
        hash.update(username);
        hash.update(password);
        CacheKey(hash.finalize().into())
    }

    /// Looks a credential up. What is current costs one reference count beside the lock.
    pub(crate) fn get(&self, key: &CacheKey, version: u64) -> Remembered {
        let shard = self.shard(key).read();
        let Some(entry) = shard.entries.get(key) else { return Remembered::Nothing };
        if !entry.used.load(Ordering::Relaxed) {
            entry.used.store(true, Ordering::Relaxed);
        }
        if entry.verified.version == version {
            return Remembered::Current(Arc::clone(&entry.verified.account));
        }
        Remembered::Old(entry.verified.clone())
    }

    pub(crate) fn insert(&self, key: CacheKey, verified: Verified) {
        let mut shard = self.shard(&key).write();
        let shard = &mut *shard;
        let before = shard.entries.insert(key, Entry { verified, used: AtomicBool::new(false) });
        if before.is_some() {
            return;
        }
        shard.order.push_back(key);
        let mut chances = SECOND_CHANCES_MAX;
        while shard.order.len() > SHARD_MAX {
            let Some(oldest) = shard.order.pop_front() else { break };
            let spared = chances > 0
                && shard.entries.get(&oldest).is_some_and(|entry| entry.used.swap(false, Ordering::Relaxed));
            if spared {
                chances -= 1;
                shard.order.push_back(oldest);
            } else {
                shard.entries.remove(&oldest);
            }
        }
    }

    pub(crate) fn remove(&self, key: &CacheKey) {
        let mut shard = self.shard(key).write();
        if shard.entries.remove(key).is_some() {
            shard.order.retain(|other| other != key);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().entries.len()).sum()
    }

    fn shard(&self, key: &CacheKey) -> &RwLock<Shard> {
        &self.shards[usize::from(key.0[31]) % SHARDS]
    }
}

/// The key is a keyed hash already: eight bytes of it are as good as any.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
