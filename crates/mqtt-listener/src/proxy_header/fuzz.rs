//! Any bytes in place of a header: an address that stands in them, or a fault.

use super::{Fault, V1_SIGNATURE, V2_FIXED, V2_SIGNATURE, v1, v2};
use rollcall_test_fuzzing::{Effort, Plan, Target, run, search, shape};
use std::net::SocketAddr;

type Read = fn(&[u8]) -> Result<Option<SocketAddr>, Fault>;

/// As `read` divides them, without the socket.
fn header(bytes: &[u8]) -> Result<Option<SocketAddr>, Fault> {
    match bytes.split_at_checked(V2_FIXED) {
        Some((fixed, rest)) if fixed.starts_with(V2_SIGNATURE) => v2(fixed[12], fixed[13], rest),
        _ if bytes.starts_with(V1_SIGNATURE) => v1(bytes),
        _ => Err(Fault::Malformed),
    }
}

fn examples() -> Vec<Vec<u8>> {
    let second = |family: u8, rest: &[u8]| [&V2_SIGNATURE[..], &[0x21, family, 0, 12], rest].concat();
    let four = [192, 0, 2, 7, 10, 0, 0, 1, 0x1F, 0x90, 0x07, 0x5B];
    vec![
        b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 1883\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::1 ::1 80 1883\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        second(0x11, &four),
        second(0x11, &[&four[..], &[0x04, 0, 2, 1, 2]].concat()),
        second(0x21, &[7; 36]),
        second(0x00, b""),
    ]
}

/// An address that is read stands in the bytes, as digits or as it is.
fn check(input: &[u8], read: Read) -> Result<u64, String> {
    let result = read(input);
    if let Ok(Some(address)) = result {
        let stands = match std::str::from_utf8(input) {
            Ok(line) if line.starts_with("PROXY ") => {
                let words: Vec<&str> = line.split_whitespace().collect();
                words.get(2).and_then(|ip| ip.parse().ok()) == Some(address.ip())
                    && words.get(4).and_then(|port| port.parse().ok()) == Some(address.port())
            }
            _ => {
                let ip = match address {
                    SocketAddr::V4(four) => four.ip().octets().to_vec(),
                    SocketAddr::V6(six) => six.ip().octets().to_vec(),
                };
                let ports = V2_FIXED + 2 * ip.len();
                input.get(V2_FIXED..V2_FIXED + ip.len()) == Some(&ip)
                    && input.get(ports..ports + 2) == Some(&address.port().to_be_bytes())
            }
        };
        if !stands {
            return Err(format!("{address} does not stand in {input:02x?}"));
        }
    }
    Ok(shape(format!("{:?}", result.map(|address| address.map(|address| address.is_ipv4())))))
}

fn target(examples: &[Vec<u8>]) -> Target<'_> {
    Target { name: "fuzzed_proxy_headers", examples, bytes_max: 200, cases: 60_000 }
}

#[test]
fn fuzzed_proxy_headers_name_an_address_that_stands_in_them_or_none() {
    run(target(&examples()), |input| check(input, header));
}

#[test]
fn a_reader_that_takes_the_wrong_address_is_noticed() {
    let plan = Plan { seed: 1, effort: Effort::Cases(60_000) };
    // Where additions follow the addresses.
    let careless: Read = |bytes| match header(bytes) {
        Ok(Some(SocketAddr::V4(four))) if bytes.len() > 40 && bytes.starts_with(V2_SIGNATURE) => {
            Ok(Some(SocketAddr::from((*four.ip(), !four.port()))))
        }
        other => other,
    };
    let failure = search(target(&examples()), plan, |input| check(input, careless)).unwrap_err();
    assert!(failure.wrong.contains("does not stand"), "{failure:?}");
}
