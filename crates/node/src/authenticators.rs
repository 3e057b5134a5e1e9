//! From the configuration to the authenticators of this node, in their order, and to the methods of enhanced
//! authentication (MQTT 5.0, 4.12) that it offers.
//!
//! A new authenticator is an [`Authenticator`](rollcall_contracts::Authenticator) in the crate of that name and an entry
//! here; a new method is an [`EnhancedAuthenticator`] and an entry in [`offered`]. How either works is not here.

use crate::{
    config::{
        self, AuthConfig, HttpAuthConfig, HttpBodyFormat, HttpWhenDown, JwksConfig, JwtAlgorithm, JwtConfig, TokenFrom,
        UsernameFrom, X509Config, X509Devices,
    },
    devices::ReplicatedDevices,
    errors::StartError,
};
use rollcall_admission::{Admission, Link, ScramSha256};
use rollcall_authenticators::{
    BodyFormat, ClaimRules, Devices, FetchedKeys, HmacSecret, HttpAuthenticator, HttpMethod, HttpSettings,
    IdentityFrom, Jwt, KeyFetch, Keys, OutboundTls, SetupError, TokenField, VerifyingKeys, WhenDown, X509,
};
use rollcall_cluster::CertificateState;
use rollcall_contracts::{DeviceRegistry, EnhancedAuthenticator};
use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

/// The least time between two fetches of a key set.
const FETCHES_APART: Duration = Duration::from_secs(10);

/// The methods of enhanced authentication that the configuration names. A client that names another is told so (0x8C).
pub(crate) fn offered(
    auth: &AuthConfig,
    admission: &Arc<Admission>,
) -> impl Iterator<Item = Arc<dyn EnhancedAuthenticator>> {
    let scram = auth.authenticators.contains(&config::Authenticator::Scram);
    scram.then(|| Arc::new(ScramSha256::new(Arc::clone(admission))) as Arc<dyn EnhancedAuthenticator>).into_iter()
}

/// The authenticators, and what has to run for them.
pub(crate) struct Authenticators {
    /// In their order.
    pub(crate) chain: Vec<Link>,
    /// Key sets to be kept.
    pub(crate) fetched: Vec<Arc<FetchedKeys>>,
}

impl Authenticators {
    /// Those that the configuration names. The metrics recorder must be installed before.
    pub(crate) fn of(auth: &AuthConfig, devices: &Arc<ReplicatedDevices>) -> Result<Self, StartError> {
        let mut all = Authenticators { chain: Vec::new(), fetched: Vec::new() };
        for named in &auth.authenticators {
            let link = match named {
                config::Authenticator::Users => Link::users(),
                config::Authenticator::Jwt => Link::other(Arc::new(in_section("auth.jwt", jwt(&auth.jwt))?)),
                config::Authenticator::Http => Link::other(Arc::new(in_section("auth.http", http(&auth.http))?)),
                config::Authenticator::X509 => Link::other(Arc::new(x509(&auth.x509, devices))),
                // Asked by its name, in AUTH packets.
                config::Authenticator::Scram => continue,
                config::Authenticator::Jwks => Link::other(Arc::new(in_section("auth.jwks", all.jwks(&auth.jwks))?)),
            };
            all.chain.push(link);
        }
        Ok(all)
    }

    fn jwks(&mut self, jwks: &JwksConfig) -> Result<Jwt, Problem> {
        let field = token_field(jwks.from);
        let rules = rules(field, &jwks.claims, &jwks.username_claim, &jwks.acl_claim, jwks.leeway_s)?;
        let keys = match (jwks.url.is_empty(), jwks.inline.is_empty()) {
            (true, false) => Keys::Fixed(Arc::new(VerifyingKeys::set(jwks.inline.as_bytes())?)),
            (false, true) => {
                let every = Duration::from_secs(u64::from(jwks.refresh_s));
                let tls = OutboundTls { authorities: jwks.ca_file.as_deref().map(read).transpose()? };
                let fetch = KeyFetch { url: jwks.url.clone(), every, at_least_apart: FETCHES_APART, tls };
                let fetched = Arc::new(FetchedKeys::new(&fetch)?);
                self.fetched.push(Arc::clone(&fetched));
                Keys::Fetched(fetched)
            }
            _ => return Err(Problem("set one of url and inline".to_owned())),
        };
        Ok(Jwt::new("jwks", keys, rules))
    }
}

/// What is wrong in a section, and what to set.
struct Problem(String);

impl From<SetupError> for Problem {
    fn from(error: SetupError) -> Self {
        Problem(error.to_string())
    }
}

fn in_section<T>(section: &str, made: Result<T, Problem>) -> Result<T, StartError> {
    made.map_err(|Problem(sentence)| StartError::Accounts(format!("[{section}]: {sentence}")))
}

fn jwt(jwt: &JwtConfig) -> Result<Jwt, Problem> {
    let field = token_field(jwt.from);
    let rules = rules(field, &jwt.claims, &jwt.username_claim, &jwt.acl_claim, jwt.leeway_s)?;
    let keys = match jwt.algorithm {
        JwtAlgorithm::Hmac => {
            let secret = jwt.secret.as_ref().ok_or_else(|| Problem("set secret or secret_file".to_owned()))?;
            let written = if jwt.secret_base64 { HmacSecret::Base64 } else { HmacSecret::Plain };
            VerifyingKeys::hmac(secret.reveal(), written)?
        }
        JwtAlgorithm::PublicKey => {
            let path = jwt.public_key_file.as_deref().ok_or_else(|| Problem("set public_key_file".to_owned()))?;
            VerifyingKeys::public_key(&read(path)?).map_err(|e| Problem(format!("{}: {e}", path.display())))?
        }
    };
    Ok(Jwt::new("jwt", Keys::Fixed(Arc::new(keys)), rules))
}

fn http(http: &HttpAuthConfig) -> Result<HttpAuthenticator, Problem> {
    if http.url.is_empty() {
        return Err(Problem("set url".to_owned()));
    }
    let settings = HttpSettings {
        method: match http.method {
            config::HttpMethod::Get => HttpMethod::Get,
            config::HttpMethod::Post => HttpMethod::Post,
        },
        url: http.url.clone(),
        headers: pairs("headers", &http.headers)?,
        body: pairs("body", &http.body)?,
        format: match http.body_format {
            HttpBodyFormat::Json => BodyFormat::Json,
            HttpBodyFormat::Form => BodyFormat::Form,
        },
        connect_within: Duration::from_secs(u64::from(http.connect_timeout_s)),
        answer_within: Duration::from_secs(u64::from(http.read_timeout_s)),
        requests_max: http.requests_max as usize,
        when_down: match http.when_down {
            HttpWhenDown::Refuse => WhenDown::Refuse,
            HttpWhenDown::Ignore => WhenDown::Ignore,
        },
        tls: OutboundTls { authorities: http.ca_file.as_deref().map(read).transpose()? },
    };
    Ok(HttpAuthenticator::new(&settings)?)
}

fn x509(x509: &X509Config, devices: &Arc<ReplicatedDevices>) -> X509 {
    let identity = match x509.username_from {
        UsernameFrom::CommonName => IdentityFrom::CommonName,
        UsernameFrom::DistinguishedName => IdentityFrom::DistinguishedName,
        UsernameFrom::AlternativeName => IdentityFrom::AlternativeName,
    };
    let just_in_time = match x509.devices {
        X509Devices::Any => return X509::new(identity, Devices::Any),
        X509Devices::Registered => None,
        X509Devices::JustInTime => Some(CertificateState::PendingActivation),
        X509Devices::JustInTimeActive => Some(CertificateState::Active),
    };
    X509::new(identity, Devices::Registered { registry: Arc::clone(devices) as Arc<dyn DeviceRegistry>, just_in_time })
}

fn token_field(from: TokenFrom) -> TokenField {
    match from {
        TokenFrom::Password => TokenField::Password,
        TokenFrom::Username => TokenField::Username,
    }
}

fn rules(
    field: TokenField,
    claims: &[String],
    username_claim: &str,
    acl_claim: &str,
    leeway_s: u32,
) -> Result<ClaimRules, Problem> {
    let claims = pairs("claims", claims)?.into_iter().collect::<BTreeMap<_, _>>();
    Ok(ClaimRules::new(field, &claims, username_claim, acl_claim, u64::from(leeway_s))?)
}

/// Texts such as `name=value`.
fn pairs(key: &str, texts: &[String]) -> Result<Vec<(String, String)>, Problem> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().to_owned())),
        _ => Err(Problem(format!("{key} has {text:?}, which is not of the form name=value"))),
    };
    texts.iter().map(pair).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    fs::read(path).map_err(|error| Problem(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{Authenticator, Secret};

    fn devices() -> Arc<ReplicatedDevices> {
        Arc::new(ReplicatedDevices::new("n1".to_owned()))
    }

    fn problem(change: impl FnOnce(&mut AuthConfig)) -> String {
        let mut auth = AuthConfig { authenticators: vec![Authenticator::Users], ..AuthConfig::default() };
        change(&mut auth);
        Authenticators::of(&auth, &devices()).map(|all| all.chain.len()).unwrap_err().to_string()
    }

    #[test]
    fn an_authenticator_that_lacks_something_says_what_to_set() {
        for (named, says) in [
            (Authenticator::Jwt, "[auth.jwt]: set secret"),
            (Authenticator::Jwks, "[auth.jwks]: set one of url"),
            (Authenticator::Http, "[auth.http]: set url"),
        ] {
            let problem = problem(|auth| auth.authenticators.push(named));
            assert!(problem.contains(says), "{problem}");
        }
        let with_secret = |auth: &mut AuthConfig| {
            auth.authenticators.push(Authenticator::Jwt);
            auth.jwt.secret = Some(Secret::new("a secret for tests that is long enough"));
        };
        let problem = problem(|auth| {
            with_secret(auth);
            auth.jwt.claims = vec!["aud".to_owned()];
        });
        assert!(problem.contains("not of the form name=value"), "{problem}");
        let mut auth = AuthConfig::default();
        with_secret(&mut auth);
        assert_eq!(Authenticators::of(&auth, &devices()).map(|all| all.chain.len()).map_err(|e| e.to_string()), Ok(2));
    }
}
