//! What a client's certificate says (RFC 5280), read from its DER. Only certificates that were verified come here; one
//! that cannot be read is not admitted.

use crate::entry::verifier;
use rollcall_cluster::CertificateFields;
use rollcall_contracts::{ClientCertificate, FINGERPRINT_BYTES};
use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
};
use sha2::{Digest, Sha256};
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};
use x509_parser::{
    oid_registry::Oid,
    parse_x509_certificate,
    prelude::{GeneralName, X509Certificate, X509Name},
};

/// Most alternative names that are kept.
const ALTERNATIVE_NAMES_MAX: usize = 32;
/// `serialNumber` of a subject.
const SERIAL_NUMBER: &[u64] = &[2, 5, 4, 5];
/// The attributes whose names RFC 4514 (3) spells out.
const SHORT_NAMES: [(&[u64], &str); 9] = [
    (&[2, 5, 4, 3], "CN"),
    (&[2, 5, 4, 7], "L"),
    (&[2, 5, 4, 8], "ST"),
    (&[2, 5, 4, 10], "O"),
    (&[2, 5, 4, 11], "OU"),
    (&[2, 5, 4, 6], "C"),
    (&[2, 5, 4, 9], "STREET"),
    (&[0, 9, 2342, 19200300, 100, 1, 25], "DC"),
    (&[0, 9, 2342, 19200300, 100, 1, 1], "UID"),
];

/// Reads the certificate; `None` when it is none.
pub(crate) fn read(der: &CertificateDer<'_>) -> Option<ClientCertificate> {
    let (_, certificate) = parse_x509_certificate(der.as_ref()).ok()?;
    let validity = certificate.validity();
    Some(ClientCertificate {
        fingerprint: fingerprint(der),
        serial: hex(certificate.raw_serial()),
        fields: Arc::new(fields(certificate.subject())),
        distinguished_name: distinguished_name(certificate.subject()),
        alternative_names: alternative_names(&certificate),
        authority: None,
        not_before_s: u64::try_from(validity.not_before.timestamp()).unwrap_or(0),
        not_after_s: u64::try_from(validity.not_after.timestamp()).unwrap_or(0),
    })
}

/// What a certificate is known by.
pub(crate) fn fingerprint(der: &CertificateDer<'_>) -> [u8; FINGERPRINT_BYTES] {
    Sha256::digest(der.as_ref()).into()
}

/// A certificate that somebody registers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GivenCertificate {
    /// Its DER.
    pub der: Vec<u8>,
    /// What it says.
    pub certificate: ClientCertificate,
    /// It may sign others.
    pub is_authority: bool,
}

/// Reads the one certificate of a PEM text; `None` when it is no such text.
#[must_use]
pub fn given_certificate(pem: &str) -> Option<GivenCertificate> {
    let mut all = CertificateDer::pem_slice_iter(pem.as_bytes());
    let (Some(Ok(der)), None) = (all.next(), all.next()) else { return None };
    let certificate = read(&der)?;
    let is_authority = parse_x509_certificate(der.as_ref()).is_ok_and(|(_, parsed)| parsed.is_ca());
    Some(GivenCertificate { der: der.to_vec(), certificate, is_authority })
}

/// Whether an authority signed a certificate, both as DER. Their times are not looked at.
#[must_use]
pub fn is_signed_by(certificate: &[u8], authority: &[u8]) -> bool {
    let provider = Arc::new(ring::default_provider());
    let authority = CertificateDer::from(authority.to_vec());
    let Ok(Some(verifier)) = verifier(std::slice::from_ref(&authority), &provider) else { return false };
    let certificate = CertificateDer::from(certificate.to_vec());
    let Some(read) = read(&certificate) else { return false };
    // At a moment at which it counts, so that one for later can be registered before.
    let moment = UnixTime::since_unix_epoch(Duration::from_secs(read.not_before_s.max(1)));
    let now = UnixTime::now();
    [now, moment].into_iter().any(|at| verifier.verify_client_cert(&certificate, &[], at).is_ok())
}

fn fields(subject: &X509Name<'_>) -> CertificateFields {
    let of = |arcs: &[u64]| -> Option<Box<str>> {
        let oid = Oid::from(arcs).ok()?;
        // The last one is the most specific.
        subject
            .iter_attributes()
            .filter(|one| *one.attr_type() == oid)
            .filter_map(|one| one.as_str().ok())
            .last()
            .map(Into::into)
    };
    CertificateFields {
        common_name: of(&[2, 5, 4, 3]),
        country: of(&[2, 5, 4, 6]),
        organization: of(&[2, 5, 4, 10]),
        organizational_unit: of(&[2, 5, 4, 11]),
        state: of(&[2, 5, 4, 8]),
        serial_number: of(SERIAL_NUMBER),
    }
}

/// As RFC 4514 writes it: the most specific part first.
fn distinguished_name(subject: &X509Name<'_>) -> String {
    let parts: Vec<String> = subject
        .iter_rdn()
        .map(|part| {
            let attributes: Vec<String> = part
                .iter()
                .map(|one| {
                    let short =
                        SHORT_NAMES.iter().find(|(arcs, _)| Oid::from(arcs).is_ok_and(|oid| oid == *one.attr_type()));
                    match (short, one.as_str()) {
                        (Some((_, name)), Ok(value)) => format!("{name}={}", escaped(value)),
                        (None, Ok(value)) => format!("{}={}", one.attr_type(), escaped(value)),
                        (_, Err(_)) => format!("{}=#{}", one.attr_type(), hex(one.as_slice())),
                    }
                })
                .collect();
            attributes.join("+")
        })
        .collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

/// RFC 4514, 2.4.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::with_capacity(value.len());
    for (place, letter) in value.chars().enumerate() {
        let at_an_end = (place == 0 && matches!(letter, ' ' | '#')) || (place == last && letter == ' ');
        if at_an_end || matches!(letter, '"' | '+' | ',' | ';' | '<' | '>' | '\\') {
            text.push('\\');
        }
        if letter == '\0' {
            text.push_str("\\00");
        } else {
            text.push(letter);
        }
    }
    text
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => Some((*text).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(|bytes| Ipv4Addr::from(bytes).to_string());
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(|bytes| Ipv6Addr::from(bytes).to_string())).ok()
        }
        _ => None,
    });
    names.take(ALTERNATIVE_NAMES_MAX).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType, SerialNumber};

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CountryName, "DE");
        params.distinguished_name.push(DnType::OrganizationName, "Works, Inc.");
        params.distinguished_name.push(DnType::OrganizationalUnitName, "Line 1");
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    fn made(params: CertificateParams) -> CertificateDer<'static> {
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn subject_and_names_are_read() {
        let mut params = params("device-1");
        params.serial_number = Some(SerialNumber::from(vec![0x0a, 0xff]));
        params.subject_alt_names = vec![
            SanType::DnsName("device-1.example".try_into().unwrap()),
            SanType::URI("urn:dev:1".try_into().unwrap()),
            SanType::IpAddress("192.0.2.1".parse().unwrap()),
        ];
        let der = made(params);
        let certificate = read(&der).unwrap();
        assert_eq!(certificate.serial, "0aff");
        assert_eq!(certificate.distinguished_name, "CN=device-1,OU=Line 1,O=Works\\, Inc.,C=DE");
        assert_eq!(certificate.alternative_names, ["device-1.example", "urn:dev:1", "192.0.2.1"]);
        assert_eq!(certificate.fields.common_name.as_deref(), Some("device-1"));
        assert_eq!(certificate.fields.organization.as_deref(), Some("Works, Inc."));
        assert_eq!(certificate.fields.organizational_unit.as_deref(), Some("Line 1"));
        assert_eq!((certificate.fields.country.as_deref(), &certificate.fields.state), (Some("DE"), &None));
        assert_eq!(certificate.fingerprint, <[u8; 32]>::from(Sha256::digest(&der)));
        assert!(certificate.not_before_s < certificate.not_after_s);
    }

    #[test]
    fn the_common_name_is_read_whatever_its_letters() {
        for name in ["device-1", "Gerät 7", &"n".repeat(200)] {
            assert_eq!(read(&made(params(name))).unwrap().fields.common_name.as_deref(), Some(name));
        }
        assert_eq!(escaped(" a+b\\ #\0 "), "\\ a\\+b\\\\ #\\00\\ ");
    }

    #[test]
    fn what_is_cut_short_is_not_admitted_and_does_not_panic() {
        let whole = made(params("device-1"));
        for len in 0..whole.len() {
            assert_eq!(read(&CertificateDer::from(whole[..len].to_vec())), None, "{len}");
        }
        assert_eq!(read(&CertificateDer::from(vec![0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF])), None);
    }
}
