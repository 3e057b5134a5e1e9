//! [`Admission`] itself: who is it, may he, and is there room.

use crate::{
    accounts::{UserSource, contract_role},
    api_token,
    basic::Credentials,
    chain::Link,
    config::AdmissionConfig,
    failure_limit::FailureLimit,
    metrics::AdmissionMetrics,
    rate::{Rate, Share},
    verification::Verification,
    verified_cache::{CacheKey, Remembered, Verified, VerifiedCache},
};
use async_trait::async_trait;
use rollcall_contracts::{
    Account, AccountOrigin, Asked, AuthError, ConnectPermission, Explanation, LeaseGate, Presented, QueryRefusal,
    Rated, Role, SourceAddress, Verdict,
};
use std::sync::{Arc, OnceLock};

/// Credentials, permissions and quota of one node.
pub struct Admission {
    pub(crate) config: AdmissionConfig,
    pub(crate) users: Arc<dyn UserSource>,
    pub(crate) cache: VerifiedCache,
    verification: Verification,
    failures: FailureLimit,
    messages: Rate,
    /// The lease that the share of messages depends on, where it does.
    lease: OnceLock<Arc<dyn LeaseGate>>,
    /// In the order of [`Rated::ALL`].
    packets: [Rate; 4],
    pub(crate) metrics: AdmissionMetrics,
    pub(crate) chain: Vec<Link>,
    anonymous: Arc<Account>,
}

impl Admission {
    /// Admission by these users and policies. The metrics recorder must be installed before.
    #[must_use]
    pub fn new(config: AdmissionConfig, users: Arc<dyn UserSource>) -> Self {
        Admission {
            cache: VerifiedCache::new(),
            verification: Verification::new(),
            failures: FailureLimit::new(config.auth_failures_per_minute),
            lease: OnceLock::new(),
            messages: Rate::new(Share::of_limit(config.messages_per_second), config.burst_percent),
            packets: Rated::ALL
                .map(|packet| Rate::new(Share::of_limit(config.packets_per_second(packet)), config.burst_percent)),
            metrics: AdmissionMetrics::new(),
            chain: vec![Link::users()],
            anonymous: Arc::new(Account::anonymous()),
            config,
            users,
        }
    }

    /// Another share of the instance's messages and queries from now on. What the old one had saved up goes over, as far as it
    /// fits, and so does what is owed.
    pub fn set_message_share(&self, share: Share) {
        self.messages.set(share);
    }

    /// From now on a share of the messages counts only while this lease is valid: a process that stood still must not go on
    /// with what was given to others meanwhile. Once.
    pub fn bind_message_share(&self, lease: Arc<dyn LeaseGate>) {
        let _already = self.lease.set(lease);
    }

    /// Messages and queries asked for so far while there was a limit, admitted or not.
    #[must_use]
    pub fn messages_asked(&self) -> u64 {
        self.messages.asked()
    }

    /// Another share of one of the instance's other rates from now on, in the same way.
    pub fn set_packet_share(&self, packet: Rated, share: Share) {
        self.packets[packet as usize].set(share);
    }

    /// Password hashes computed so far.
    #[must_use]
    pub fn password_hashes(&self) -> u64 {
        self.verification.hashes()
    }

    /// Verified credentials remembered now.
    #[must_use]
    pub fn remembered_credentials(&self) -> usize {
        self.cache.len()
    }

    /// The account of credentials verified before. When users or policies changed since, the user must still be there
    /// with the very password hash that was verified; then the entry holds for the present version too.
    fn remembered(&self, key: &CacheKey) -> Option<Arc<Account>> {
        let version = self.users.version();
        let entry = match self.cache.get(key, version) {
            Remembered::Nothing => return None,
            Remembered::Current(account) => return Some(account),
            Remembered::Old(entry) => entry,
        };
        match self.users.user(&entry.account.username) {
            Some(user) if *user.password_hash == *entry.password_hash => {
                let role = contract_role(user.role);
                let account = match entry.account.role == role {
                    true => entry.account,
                    false => Arc::new(Account::of_user(user.username, role)),
                };
                self.cache.insert(*key, Verified { account: Arc::clone(&account), version, ..entry });
                Some(account)
            }
            _ => {
                self.cache.remove(key);
                None
            }
        }
    }

    /// Verifies user name and password, by the cache under `key` if possible.
    pub(crate) async fn verify(
        &self,
        key: CacheKey,
        username: &str,
        password: &[u8],
        source: SourceAddress,
    ) -> Result<Verdict, AuthError> {
        if let Some(account) = self.remembered(&key) {
            return Ok(Verdict::Accepted(account));
        }
        self.not_blocked(source)?;
        if !self.users.is_available() {
            self.metrics.auth_unavailable.increment(1);
            return Err(AuthError::Unavailable);
        }
        let turn = self.verification.turn().await.inspect_err(|_| self.metrics.auth_unavailable.increment(1))?;
        // Meanwhile another attempt with the same credentials may have been verified, or the source been blocked: of a
        // storm of one account only the first few are hashed.
        if let Some(account) = self.remembered(&key) {
            return Ok(Verdict::Accepted(account));
        }
        self.not_blocked(source)?;

        // Read before the user: a change in between leaves an entry that is already old.
        let version = self.users.version();
        let user = self.users.user(username);
        let password_hash: Option<Arc<str>> = user.as_ref().map(|user| Arc::from(&*user.password_hash));
        self.metrics.password_hashes.increment(1);
        let verdict = self.verification.is_right(turn, password, password_hash.as_ref()).await;
        let (right, _turn) = verdict.inspect_err(|_| self.metrics.auth_unavailable.increment(1))?;
        match (right, user, password_hash) {
            (true, Some(user), Some(password_hash)) => {
                let account = Arc::new(Account::of_user(user.username, contract_role(user.role)));
                self.cache.insert(key, Verified { account: Arc::clone(&account), version, password_hash });
                Ok(Verdict::Accepted(account))
            }
            (_, Some(_), _) => Ok(Verdict::Refused),
            // A hash was computed all the same, so that nobody learns by the time which names there are.
            (_, None, _) => Ok(Verdict::NotMine),
        }
    }

    pub(crate) fn not_blocked(&self, source: SourceAddress) -> Result<(), AuthError> {
        match self.failures.wait_s(source) {
            None => Ok(()),
            Some(retry_after_s) => {
                self.metrics.limited_auth_failures.increment(1);
                Err(AuthError::TooManyFailures { retry_after_s })
            }
        }
    }

    pub(crate) fn rejected(&self, source: SourceAddress) -> AuthError {
        self.metrics.auth_rejected.increment(1);
        self.failures.failed(source);
        AuthError::Rejected
    }

    /// Nothing was presented: no guess was made, so it does not count as a failure.
    pub(crate) fn without_credentials(&self) -> Result<Arc<Account>, AuthError> {
        match self.config.anonymous || self.config.conformance {
            true => Ok(Arc::clone(&self.anonymous)),
            false => Err(AuthError::Rejected),
        }
    }
}

#[async_trait]
impl rollcall_contracts::Admission for Admission {
    fn cached_basic(&self, authorization: &[u8]) -> Option<Arc<Account>> {
        self.remembered(&self.cache.header_key(authorization))
    }

    async fn authenticate_basic(
        &self,
        authorization: Option<&[u8]>,
        source: SourceAddress,
    ) -> Result<Arc<Account>, AuthError> {
        let Some(header) = authorization else { return self.without_credentials() };
        let credentials = Credentials::parse(header);
        if self.config.conformance {
            let username = credentials.as_ref().map(Credentials::username).unwrap_or_default();
            return Ok(Arc::new(Account::new(username, Role::Client)));
        }
        let Some(credentials) = credentials else {
            self.not_blocked(source)?;
            return Err(self.rejected(source));
        };
        let key = self.cache.header_key(header);
        match self.verify(key, credentials.username(), credentials.password(), source).await? {
            Verdict::Accepted(account) => {
                self.metrics.auth_ok.increment(1);
                Ok(account)
            }
            Verdict::Refused | Verdict::NotMine => Err(self.rejected(source)),
        }
    }

    async fn authenticate_mqtt(&self, presented: &Presented<'_>) -> Result<Arc<Account>, AuthError> {
        if self.config.conformance {
            let Some(username) = presented.username.or(presented.password.map(|_| "")) else {
                return self.without_credentials();
            };
            return Ok(Arc::new(Account::new(username, Role::Client)));
        }
        self.ask_in_order(presented).await
    }

    fn authenticate_bearer(&self, authorization: &[u8], source: SourceAddress) -> Result<Arc<Account>, AuthError> {
        self.not_blocked(source)?;
        if !self.users.is_available() {
            self.metrics.auth_unavailable.increment(1);
            return Err(AuthError::Unavailable);
        }
        let Some((id, hash)) = api_token::presented(authorization) else { return Err(self.rejected(source)) };
        let token = self.users.token(id).filter(|token| api_token::is_same(&token.secret_hash, &hash));
        match token.filter(|token| !token.is_expired(self.users.now())) {
            Some(token) => {
                self.metrics.auth_ok.increment(1);
                let name = format!("token:{}", token.id);
                let origin = AccountOrigin::ApiToken;
                Ok(Arc::new(Account { origin, ..Account::new(name, contract_role(token.role)) }))
            }
            None => Err(self.rejected(source)),
        }
    }

    fn may_connect(&self, account: &Account, client_id: Option<&str>, source: SourceAddress) -> ConnectPermission {
        match self.judged(account, &Asked::connect(client_id, source), |allowed, _, _| allowed) {
            true => ConnectPermission::Allowed,
            false => ConnectPermission::Denied,
        }
    }

    fn may(&self, account: &Account, asked: &Asked<'_>) -> bool {
        self.judged(account, asked, |allowed, _, _| allowed)
    }

    fn explain(&self, account: &Account, asked: &Asked<'_>) -> Explanation {
        let told = |allowed, by, rule: Option<&str>| Explanation { allowed, by, rule: rule.map(str::to_owned) };
        self.judged(account, asked, told)
    }

    fn is_known(&self, account: &Account) -> bool {
        if self.config.conformance || !self.users.is_available() {
            return true;
        }
        let certificate = account.registered_certificate.as_ref();
        certificate.is_none_or(|fingerprint| self.users.certificate_counts(fingerprint))
            && (account.origin != AccountOrigin::StoredUser || self.users.user(&account.username).is_some())
    }

    fn access_version(&self) -> u64 {
        self.users.version()
    }

    fn charge(&self, n: u32) -> Result<(), QueryRefusal> {
        let lease = self.lease.get();
        if lease.is_some_and(|lease| self.messages.is_limited() && lease.serving().is_none()) {
            self.metrics.limited_messages.increment(1);
            return Err(QueryRefusal::NoGrant);
        }
        self.messages.charge(n).inspect_err(|_| self.metrics.limited_messages.increment(1))
    }

    fn owe(&self, n: u32) {
        self.messages.owe(n);
    }

    fn admit(&self, packet: Rated) -> Result<(), QueryRefusal> {
        let place = packet as usize;
        self.packets[place].charge(1).inspect_err(|_| self.metrics.limited_packets[place].increment(1))
    }

    fn bind_account(&self) -> bool {
        self.config.bind_account && !self.config.conformance
    }
}
