//! The cluster secret: what is proved with it, and how a proof is checked. The secret itself never leaves this module.
//!
//! A proof is HMAC-SHA256 (RFC 2104) over a purpose, the protocol version, both challenges and all that was claimed,
//! each part with its length before it. The purposes differ by direction, so that no proof can be turned around, and
//! the node that is called is part of it, so that a proof given to one node opens no other. Nothing is encrypted: who
//! can change what passes on the wire can take a proved connection over. Only TLS helps against that.

use hmac::{Hmac, Mac};
use rand::RngCore as _;
use rollcall_proto::{Claim, PROTOCOL_VERSION, Welcome};
use sha2::{Digest as _, Sha256};

/// Size of a challenge in bytes.
pub(crate) const NONCE_BYTES: usize = 32;

/// Block size of SHA-256 in bytes, which is the key size HMAC pads to.
const BLOCK_BYTES: usize = 64;

const CALLER: &[u8] = b"rollcall mesh: the caller proves";
const CALLEE: &[u8] = b"rollcall mesh: the callee proves";

/// A random challenge.
pub(crate) fn nonce() -> [u8; NONCE_BYTES] {
    let mut bytes = [0; NONCE_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// The key made of the configured secret.
#[derive(Clone)]
pub(crate) struct Secret(Hmac<Sha256>);

impl Secret {
    pub(crate) fn new(secret: &str) -> Self {
        let digest = Sha256::digest(secret.as_bytes());
        let mut key = [0; BLOCK_BYTES];
        key[..digest.len()].copy_from_slice(&digest);
        Secret(Hmac::new(&key.into()))
    }

    /// The caller's proof for its claim (whose proof field does not count).
    pub(crate) fn prove_claim(&self, claim: &Claim, challenge: &[u8]) -> Vec<u8> {
        self.over_claim(CALLER, claim, challenge).finalize().into_bytes().to_vec()
    }

    /// Whether the claim's proof holds. Takes the same time for every wrong proof.
    pub(crate) fn accepts_claim(&self, claim: &Claim, challenge: &[u8]) -> bool {
        self.over_claim(CALLER, claim, challenge).verify_slice(&claim.proof).is_ok()
    }

    /// The callee's proof for its answer to a claim (the proof fields do not count).
    pub(crate) fn prove_welcome(&self, claim: &Claim, challenge: &[u8], welcome: &Welcome) -> Vec<u8> {
        self.over_welcome(claim, challenge, welcome).finalize().into_bytes().to_vec()
    }

    /// Whether the answer's proof holds. Takes the same time for every wrong proof.
    pub(crate) fn accepts_welcome(&self, claim: &Claim, challenge: &[u8], welcome: &Welcome) -> bool {
        self.over_welcome(claim, challenge, welcome).verify_slice(&welcome.proof).is_ok()
    }

    fn over_claim(&self, purpose: &[u8], claim: &Claim, challenge: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        part(&mut mac, purpose);
        part(&mut mac, &PROTOCOL_VERSION.to_be_bytes());
        part(&mut mac, claim.cluster_name.as_bytes());
        part(&mut mac, claim.cluster_id.as_bytes());
        part(&mut mac, &claim.node.to_be_bytes());
        part(&mut mac, &claim.target.to_be_bytes());
        part(&mut mac, &claim.nonce);
        part(&mut mac, challenge);
        mac
    }

    fn over_welcome(&self, claim: &Claim, challenge: &[u8], welcome: &Welcome) -> Hmac<Sha256> {
        let mut mac = self.over_claim(CALLEE, claim, challenge);
        part(&mut mac, &welcome.node.to_be_bytes());
        part(&mut mac, welcome.cluster_id.as_bytes());
        part(&mut mac, &welcome.hello);
        mac
    }
}

/// The length first: no two lists of parts give the same bytes.
fn part(mac: &mut Hmac<Sha256>, bytes: &[u8]) {
    mac.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
    mac.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> Claim {
        Claim {
            cluster_name: "lab".to_owned(),
            cluster_id: "c1".to_owned(),
            node: 1,
            target: 2,
            nonce: vec![7; NONCE_BYTES].into(),
            proof: Default::default(),
        }
    }

    fn welcome() -> Welcome {
        Welcome { node: 2, cluster_id: "c1".to_owned(), hello: b"hello".to_vec().into(), proof: Default::default() }
    }

    #[test]
    fn a_claim_is_accepted_with_the_same_secret_and_challenge_only() {
        let secret = Secret::new("change-me");
        let mut claim = claim();
        claim.proof = secret.prove_claim(&claim, b"challenge").into();
        assert!(secret.accepts_claim(&claim, b"challenge"));
        assert!(!secret.accepts_claim(&claim, b"another"));
        assert!(!Secret::new("change-mf").accepts_claim(&claim, b"challenge"));
    }

    #[test]
    fn every_field_of_a_claim_is_proved() {
        let secret = Secret::new("change-me");
        let mut good = claim();
        good.proof = secret.prove_claim(&good, b"challenge").into();
        let changes: [fn(&mut Claim); 7] = [
            |c| c.cluster_name = "lax".to_owned(),
            |c| c.cluster_id = "c2".to_owned(),
            |c| c.node = 3,
            |c| c.target = 3,
            |c| c.nonce = vec![8; NONCE_BYTES].into(),
            |c| c.proof = Default::default(),
            |c| {
                c.cluster_name = "labc".to_owned();
                c.cluster_id = "1".to_owned();
            },
        ];
        for change in changes {
            let mut changed = good.clone();
            change(&mut changed);
            assert!(!secret.accepts_claim(&changed, b"challenge"), "{changed:?}");
        }
    }

    #[test]
    fn a_welcome_proves_the_hello_and_is_no_claim_turned_around() {
        let secret = Secret::new("change-me");
        let claim = claim();
        let mut good = welcome();
        good.proof = secret.prove_welcome(&claim, b"challenge", &good).into();
        assert!(secret.accepts_welcome(&claim, b"challenge", &good));
        let changes: [fn(&mut Welcome); 4] = [
            |w| w.node = 3,
            |w| w.cluster_id = "c2".to_owned(),
            |w| w.hello = b"hellp".to_vec().into(),
            |w| w.proof = Default::default(),
        ];
        for change in changes {
            let mut changed = good.clone();
            change(&mut changed);
            assert!(!secret.accepts_welcome(&claim, b"challenge", &changed), "{changed:?}");
        }
        let mut reflected = good.clone();
        reflected.proof = secret.prove_claim(&claim, b"challenge").into();
        assert!(!secret.accepts_welcome(&claim, b"challenge", &reflected));
    }

    #[test]
    fn challenges_do_not_repeat() {
        assert_ne!(nonce(), nonce());
    }
}
