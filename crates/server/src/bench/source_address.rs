//! Where connections to loopback come from. Beyond some 10 000 connections between two addresses the kernel's search
//! for a free port slows the client down, and the figures would be the client's.

use std::net::{IpAddr, Ipv4Addr};

/// Connections from one address.
const PER_ADDRESS: u64 = 2_000;
/// Addresses used, 127.1.0.1 to 127.1.249.250; then they come round again.
const ADDRESSES: u64 = 250 * 250;

/// The source of the connection with this number, where the target is in 127.0.0.0/8; elsewhere the system chooses.
pub(super) fn source_of(number: u64, target: IpAddr) -> Option<IpAddr> {
    let IpAddr::V4(target) = target else { return None };
    if !target.is_loopback() {
        return None;
    }
    let address = number / PER_ADDRESS % ADDRESSES;
    let (third, fourth) = ((address / 250) as u8, (address % 250) as u8 + 1);
    Some(Ipv4Addr::new(127, 1, third, fourth).into())
}

#[cfg(test)]
mod tests {
    use super::source_of;

    #[test]
    fn addresses_change_every_two_thousand_connections_and_only_on_loopback() {
        let loopback = "127.0.0.1".parse().unwrap();
        let source = |number| source_of(number, loopback).unwrap().to_string();
        assert_eq!(source(0), "127.1.0.1");
        assert_eq!(source(1_999), "127.1.0.1");
        assert_eq!(source(2_000), "127.1.0.2");
        assert_eq!(source(2_000 * 250), "127.1.1.1");
        assert_eq!(source(2_000 * 62_499), "127.1.249.250");
        assert_eq!(source(2_000 * 62_500), "127.1.0.1");
        assert_eq!(source_of(0, "10.0.0.1".parse().unwrap()), None);
        assert_eq!(source_of(0, "::1".parse().unwrap()), None);
    }
}
