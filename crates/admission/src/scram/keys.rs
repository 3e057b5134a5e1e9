//! What of a password is stored for SCRAM-SHA-256 (RFC 5802, 3).

use super::SALT_BYTES;
use hmac::{Hmac, Mac};
use pbkdf2::pbkdf2_hmac;
use rand::RngCore;
use rollcall_cluster::{SCRAM_KEY_BYTES, ScramKeys};
use sha2::{Digest, Sha256};

/// Rounds of PBKDF2. Whoever stole the keys pays them for each guess, and so does each device at each connect.
pub(super) const ITERATIONS: u32 = 15_000;

/// The keys of a password under a fresh salt. Takes milliseconds: not for an async thread. Passwords are taken as they
/// are: those of ASCII are their own normal form, others should be sent composed (NFC).
#[must_use]
pub fn derive_scram_keys(password: &str) -> ScramKeys {
    let mut salt = [0; SALT_BYTES];
    rand::rng().fill_bytes(&mut salt);
    derived(password, &salt, ITERATIONS)
}

fn derived(password: &str, salt: &[u8], iterations: u32) -> ScramKeys {
    let mut salted = [0; SCRAM_KEY_BYTES];
    pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, iterations, &mut salted);
    let stored_key = Sha256::digest(hmac(&salted, b"Client Key")).into();
    ScramKeys { salt: salt.to_vec(), iterations, stored_key, server_key: hmac(&salted, b"Server Key") }
}

pub(super) fn hmac(key: &[u8], text: &[u8]) -> [u8; SCRAM_KEY_BYTES] {
    // A key of any length is one.
    let mut code = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()));
    code.update(text);
    code.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};

    /// The exchange that RFC 7677 (3) prints.
    #[test]
    fn the_keys_are_those_of_the_standards_example() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let keys = derived("pencil", &salt, 4096);
        let signed = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                      s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let proof = STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        let mut client_key = hmac(&keys.stored_key, signed.as_bytes());
        client_key.iter_mut().zip(&proof).for_each(|(byte, proof)| *byte ^= proof);
        assert_eq!(<[u8; 32]>::from(Sha256::digest(client_key)), keys.stored_key);
        let server = STANDARD.encode(hmac(&keys.server_key, signed.as_bytes()));
        assert_eq!(server, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn each_time_there_is_another_salt() {
        let (one, other) = (derive_scram_keys("secret0"), derive_scram_keys("secret0"));
        assert_ne!(one.salt, other.salt);
        assert_ne!(one.stored_key, other.stored_key);
        assert_eq!(derived("secret0", &one.salt, ITERATIONS), one);
    }
}
