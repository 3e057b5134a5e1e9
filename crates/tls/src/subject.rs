//! The common name of a certificate's subject (RFC 5280, 4.1), read from its DER. Only certificates that were verified
//! come here; whatever is not as expected gives no name.

use rustls::pki_types::CertificateDer;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0C;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
/// The explicit version, where there is one.
const VERSION: u8 = 0xA0;
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The last common name of the subject: the most specific one.
pub(crate) fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let mut certificate = inside(certificate.as_ref(), SEQUENCE)?;
    let mut fields = inside_next(&mut certificate, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        next(&mut fields)?;
    }
    for _serial_algorithm_issuer_validity in 0..4 {
        next(&mut fields)?;
    }
    let mut subject = inside_next(&mut fields, SEQUENCE)?;
    let mut found = None;
    while !subject.is_empty() {
        let mut set = inside_next(&mut subject, SET)?;
        while !set.is_empty() {
            let mut attribute = inside_next(&mut set, SEQUENCE)?;
            let kind = inside_next(&mut attribute, OBJECT_IDENTIFIER)?;
            let (tag, value) = next(&mut attribute)?;
            if kind == COMMON_NAME && matches!(tag, UTF8_STRING | PRINTABLE_STRING | IA5_STRING) {
                found = std::str::from_utf8(value).ok().map(str::to_owned);
            }
        }
    }
    found
}

/// The value of the one element that `bytes` begin with.
fn inside(mut bytes: &[u8], tag: u8) -> Option<&[u8]> {
    inside_next(&mut bytes, tag)
}

fn inside_next<'a>(bytes: &mut &'a [u8], wanted: u8) -> Option<&'a [u8]> {
    let (tag, value) = next(bytes)?;
    (tag == wanted).then_some(value)
}

/// Takes one element off: tag and value.
fn next<'a>(bytes: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let len = match first {
        0..=0x7F => usize::from(*first),
        0x81..=0x83 => {
            let (digits, after) = rest.split_at_checked(usize::from(first & 0x7F))?;
            rest = after;
            digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit))
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(len)?;
    *bytes = rest;
    Some((*tag, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> CertificateDer<'static> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Works");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn the_common_name_is_read() {
        for name in ["device-1", "Gerät 7", &"n".repeat(200)] {
            assert_eq!(common_name(&named(name)).as_deref(), Some(name));
        }
    }

    #[test]
    fn what_is_cut_short_gives_no_name_and_no_panic() {
        let whole = named("device-1");
        for len in 0..whole.len() {
            // The subject may lie before the cut; what matters is that nothing breaks.
            let cut = CertificateDer::from(whole[..len].to_vec());
            assert_eq!(common_name(&cut), None, "{len}: the outer length does not fit");
        }
        assert_eq!(common_name(&CertificateDer::from(vec![0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF])), None);
    }
}
