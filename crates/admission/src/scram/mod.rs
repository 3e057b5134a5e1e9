//! SCRAM-SHA-256 (RFC 5802, RFC 7677) as a method of MQTT 5's enhanced authentication: the password is proved in both
//! directions and never sent.
//!
//! Keys are derived when a password is set, where the node offers the method; a user whose password is older has none and
//! cannot use it. To the client that looks like a wrong password, as does a user that does not exist: both get a
//! challenge that nobody can answer. Channel binding is not offered.

mod keys;
mod messages;

pub use keys::derive_scram_keys;

use crate::{Admission, accounts::contract_role, metrics::LinkMetrics};
use async_trait::async_trait;
use keys::{ITERATIONS, hmac};
use messages::{ClientFinal, ClientFirst};
use metrics::{Counter, counter, describe_counter};
use rand::RngCore;
use rollcall_cluster::{SCRAM_KEY_BYTES, ScramKeys};
use rollcall_contracts::{
    Account, AuthError, AuthenticatingClient, AuthenticationExchange, AuthenticationStep, EnhancedAuthenticator,
};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Its name in MQTT.
const METHOD: &str = "SCRAM-SHA-256";
/// The longest message of a client, in bytes.
const MESSAGE_BYTES_MAX: usize = 4096;
/// Bytes of the server's part of a nonce, before Base64.
const NONCE_BYTES: usize = 18;
/// Bytes of a salt.
pub(crate) const SALT_BYTES: usize = 16;
/// Users who have no keys: their password has to be set again.
const WITHOUT_KEYS_TOTAL: &str = "rollcall_scram_without_keys_total";

/// See the module.
pub struct ScramSha256 {
    shared: Arc<Shared>,
}

struct Shared {
    admission: Arc<Admission>,
    /// Of this process: what the salts of users without keys are made of, so that they stay the same.
    secret: [u8; SCRAM_KEY_BYTES],
    metrics: LinkMetrics,
    without_keys: Counter,
}

struct Exchange {
    shared: Arc<Shared>,
    client: AuthenticatingClient,
    expects: Expects,
}

enum Expects {
    First,
    Final(Box<Challenge>),
    Nothing,
}

/// What the client has to answer.
struct Challenge {
    username: String,
    /// `None`: nobody can.
    keys: Option<ScramKeys>,
    gs2_header: String,
    nonce: String,
    /// Both first messages, as they are signed.
    so_far: String,
}

impl ScramSha256 {
    /// Over the users of this admission. The metrics recorder must be installed before.
    #[must_use]
    pub fn new(admission: Arc<Admission>) -> Self {
        describe_counter!(WITHOUT_KEYS_TOTAL, "SCRAM exchanges of users whose password was set before it was offered");
        let mut secret = [0; SCRAM_KEY_BYTES];
        rand::rng().fill_bytes(&mut secret);
        let (metrics, without_keys) = (LinkMetrics::of("scram"), counter!(WITHOUT_KEYS_TOTAL));
        ScramSha256 { shared: Arc::new(Shared { admission, secret, metrics, without_keys }) }
    }
}

impl EnhancedAuthenticator for ScramSha256 {
    fn method(&self) -> &str {
        METHOD
    }

    fn begin(&self, client: AuthenticatingClient) -> Box<dyn AuthenticationExchange> {
        Box::new(Exchange { shared: self.shared.clone(), client, expects: Expects::First })
    }
}

#[async_trait]
impl AuthenticationExchange for Exchange {
    async fn step(&mut self, data: &[u8]) -> AuthenticationStep {
        let text = Some(data).filter(|data| data.len() <= MESSAGE_BYTES_MAX);
        let text = text.and_then(|data| std::str::from_utf8(data).ok()).unwrap_or_default();
        let step = match std::mem::replace(&mut self.expects, Expects::Nothing) {
            // A client may begin without data and be asked for them (RFC 5802 has it speak first).
            Expects::First if data.is_empty() => {
                self.expects = Expects::First;
                return AuthenticationStep::Continue(Vec::new());
            }
            Expects::First => self.challenge(text),
            Expects::Final(challenge) => self.judge(&challenge, text),
            Expects::Nothing => Err(self.rejected()),
        };
        let metrics = &self.shared.metrics;
        step.unwrap_or_else(|error| {
            match error {
                AuthError::Unavailable => metrics.unavailable.increment(1),
                AuthError::Rejected => metrics.refused.increment(1),
                AuthError::TooManyFailures { .. } => {}
            }
            AuthenticationStep::Refused(error)
        })
    }
}

impl Exchange {
    fn rejected(&self) -> AuthError {
        self.shared.admission.rejected(self.client.source)
    }

    fn challenge(&mut self, text: &str) -> Result<AuthenticationStep, AuthError> {
        let admission = &self.shared.admission;
        admission.not_blocked(self.client.source)?;
        if !admission.users.is_available() {
            return Err(AuthError::Unavailable);
        }
        let first = ClientFirst::parse(text).ok_or_else(|| self.rejected())?;
        let user = admission.users.user(&first.username);
        let keys = user.as_ref().and_then(|user| admission.users.scram_keys(&user.username));
        if user.is_some() && keys.is_none() {
            self.shared.without_keys.increment(1);
            tracing::warn!(
                "a user without keys for SCRAM-SHA-256 tried it: set the user's password again on a node whose \
                 auth.authenticators names \"scram\""
            );
        }
        let mut random = [0; NONCE_BYTES];
        rand::rng().fill_bytes(&mut random);
        let nonce = first.nonce.clone() + &messages::base64(&random);
        let (salt, iterations) = match &keys {
            Some(keys) => (keys.salt.clone(), keys.iterations),
            None => (hmac(&self.shared.secret, first.username.as_bytes())[..SALT_BYTES].to_vec(), ITERATIONS),
        };
        let answer = format!("r={nonce},s={},i={iterations}", messages::base64(&salt));
        let so_far = format!("{},{answer}", first.bare);
        let ClientFirst { username, gs2_header, .. } = first;
        self.expects = Expects::Final(Box::new(Challenge { username, keys, gs2_header, nonce, so_far }));
        Ok(AuthenticationStep::Continue(answer.into_bytes()))
    }

    fn judge(&self, challenge: &Challenge, text: &str) -> Result<AuthenticationStep, AuthError> {
        let last = ClientFinal::parse(text).ok_or_else(|| self.rejected())?;
        if last.gs2_header != challenge.gs2_header.as_bytes() || last.nonce != challenge.nonce {
            return Err(self.rejected());
        }
        let signed = format!("{},{}", challenge.so_far, last.without_proof);
        // The same work where there are no keys.
        let nobody = || ScramKeys {
            salt: Vec::new(),
            iterations: 0,
            stored_key: self.shared.secret,
            server_key: self.shared.secret,
        };
        let keys = challenge.keys.clone().unwrap_or_else(nobody);
        let mut client_key = hmac(&keys.stored_key, signed.as_bytes());
        client_key.iter_mut().zip(last.proof).for_each(|(byte, proof)| *byte ^= proof);
        let is_right: bool = Sha256::digest(client_key).as_slice().ct_eq(&keys.stored_key).into();
        let admission = &self.shared.admission;
        // The password may have been changed, or the user deleted, since the challenge.
        let present = admission.users.scram_keys(&challenge.username).filter(|present| *present == keys);
        let user = present.and_then(|_| admission.users.user(&challenge.username));
        match user.filter(|_| is_right && challenge.keys.is_some()) {
            Some(user) => {
                self.shared.metrics.accepted.increment(1);
                admission.metrics.auth_ok.increment(1);
                let proof = hmac(&keys.server_key, signed.as_bytes());
                let account = Account::of_user(user.username, contract_role(user.role));
                let data = format!("v={}", messages::base64(&proof)).into_bytes();
                Ok(AuthenticationStep::Success(
                    Arc::new(account).with_certificate(self.client.certificate.as_ref()),
                    data,
                ))
            }
            None => Err(self.rejected()),
        }
    }
}
