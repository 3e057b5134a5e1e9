//! The messages of a client (RFC 5802, 7), read strictly: what is not as the grammar says is no message.

use base64::{Engine, engine::general_purpose::STANDARD};
use rollcall_cluster::SCRAM_KEY_BYTES;

/// The longest nonce of a client, in bytes.
const NONCE_BYTES_MAX: usize = 256;

/// `n,,n=user,r=nonce`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFirst {
    /// `n,,` or `y,,`, with an authorization identity where one is named.
    pub(super) gs2_header: String,
    pub(super) username: String,
    pub(super) nonce: String,
    /// All behind the header.
    pub(super) bare: String,
}

/// `c=biws,r=nonce,p=proof`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFinal {
    pub(super) gs2_header: Vec<u8>,
    pub(super) nonce: String,
    pub(super) proof: [u8; SCRAM_KEY_BYTES],
    pub(super) without_proof: String,
}

impl ClientFirst {
    /// `None` as well for one that wants channel binding, or to act for another user.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (flag, rest) = text.split_once(',')?;
        if !matches!(flag, "n" | "y") {
            return None;
        }
        let (identity, bare) = rest.split_once(',')?;
        let mut parts = bare.split(',');
        let username = unescaped(parts.next()?.strip_prefix("n=")?)?;
        let nonce = parts.next()?.strip_prefix("r=").filter(|nonce| is_nonce(nonce))?;
        let for_itself = identity.is_empty()
            || identity.strip_prefix("a=").and_then(unescaped).is_some_and(|identity| identity == username);
        if !for_itself || username.is_empty() {
            return None;
        }
        Some(ClientFirst {
            gs2_header: format!("{flag},{identity},"),
            username,
            nonce: nonce.to_owned(),
            bare: bare.to_owned(),
        })
    }
}

impl ClientFinal {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (without_proof, proof) = text.rsplit_once(",p=")?;
        let mut parts = without_proof.split(',');
        let gs2_header = STANDARD.decode(parts.next()?.strip_prefix("c=")?).ok()?;
        let nonce = parts.next()?.strip_prefix("r=")?.to_owned();
        let proof = STANDARD.decode(proof).ok()?.try_into().ok()?;
        Some(ClientFinal { gs2_header, nonce, proof, without_proof: without_proof.to_owned() })
    }
}

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Printable ASCII without a comma.
fn is_nonce(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= NONCE_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

/// `=2C` is a comma and `=3D` an equals sign; no other `=` may be in a name.
fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('=');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        name.push(match code {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        name.push_str(rest);
    }
    (!name.contains('\0')).then_some(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn first_messages_are_read_as_the_standard_writes_them() {
        let first = ClientFirst::parse("n,,n=user,r=rOprNGfwEbeRWgbNEkqO").unwrap();
        assert_eq!((first.username.as_str(), first.nonce.as_str()), ("user", "rOprNGfwEbeRWgbNEkqO"));
        assert_eq!((first.gs2_header.as_str(), first.bare.as_str()), ("n,,", "n=user,r=rOprNGfwEbeRWgbNEkqO"));
        let escaped = ClientFirst::parse("y,a=a=2Cb=3D,n=a=2Cb=3D,r=x,ext=1").unwrap();
        assert_eq!((escaped.username.as_str(), escaped.gs2_header.as_str()), ("a,b=", "y,a=a=2Cb=3D,"));
        for wrong in [
            "",
            "n",
            "n,,",
            "n,,n=user",
            "n,,r=x,n=user",
            "n,,n=,r=x",
            "n,,n=user,r=",
            "n,,n=us=er,r=x",
            "n,,n=us=2,r=x",
            "n,,m=1,n=user,r=x",
            "p=tls-unique,,n=user,r=x",
            "n,a=other,n=user,r=x",
            "n,,n=user,r=x\u{7f}",
        ] {
            assert_eq!(ClientFirst::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn last_messages_have_a_proof_of_the_right_length() {
        let last = ClientFinal::parse("c=biws,r=ab,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        assert_eq!((last.gs2_header.as_slice(), last.nonce.as_str()), (&b"n,,"[..], "ab"));
        assert_eq!(last.without_proof, "c=biws,r=ab");
        for wrong in ["", "c=biws,r=ab", "c=biws,r=ab,p=AA==", "c=*,r=ab,p=AA==", "r=ab,c=biws,p=AA=="] {
            assert_eq!(ClientFinal::parse(wrong), None, "{wrong}");
        }
    }
}
