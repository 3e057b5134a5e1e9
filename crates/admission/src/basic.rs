//! Reads `Authorization: Basic …` (RFC 7617).

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Clients exist that leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A decoded user name and password.
pub(crate) struct Credentials {
    text: Vec<u8>,
    colon: usize,
}

impl Credentials {
    /// Reads a whole header value, scheme included; `None` when it is no Basic credentials. The first colon ends the
    /// user name, the password may hold more; the user name is UTF-8, the password any bytes.
    pub(crate) fn parse(header: &[u8]) -> Option<Credentials> {
        let (scheme, rest) = header.split_at_checked(b"basic ".len())?;
        if !scheme.eq_ignore_ascii_case(b"basic ") {
            return None;
        }
        let text = BASE64.decode(rest.trim_ascii()).ok()?;
        let colon = text.iter().position(|byte| *byte == b':')?;
        std::str::from_utf8(&text[..colon]).ok()?;
        Some(Credentials { text, colon })
    }

    /// The user name.
    pub(crate) fn username(&self) -> &str {
        std::str::from_utf8(&self.text[..self.colon]).unwrap_or_default()
    }

    /// The password.
    pub(crate) fn password(&self) -> &[u8] {
        &self.text[self.colon + 1..]
    }
}
