//! An address or CIDR block.

use super::PolicyError;
use std::net::IpAddr;

/// A block of addresses of one family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Network {
    bits: u128,
    mask: u128,
    v4: bool,
}

impl Network {
    pub(super) fn parse(text: &str) -> Result<Self, PolicyError> {
        let wrong = || PolicyError::Address(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let (bits, width) = bits_of(address);
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| wrong())?,
            Some(_) => return Err(wrong()),
            None => width,
        };
        if prefix > width {
            return Err(wrong());
        }
        let mask = u128::MAX.checked_shl(width - prefix).unwrap_or(0);
        Ok(Network { bits: bits & mask, mask, v4: address.is_ipv4() })
    }

    /// Whether the address lies in the block. An IPv4 address mapped into IPv6 counts as what it is.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.v4 == address.is_ipv4() && bits_of(address).0 & self.mask == self.bits
    }
}

fn bits_of(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn contains(block: &str, address: &str) -> bool {
        Network::parse(block).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn blocks_contain_the_addresses_of_their_family() {
        assert!(contains("10.1.0.0/16", "10.1.255.3"));
        assert!(contains("10.1.77.1/16", "10.1.255.3"), "host bits of the block do not matter");
        assert!(!contains("10.1.0.0/16", "10.2.0.1"));
        assert!(contains("10.1.2.3", "10.1.2.3"));
        assert!(!contains("10.1.2.3", "10.1.2.4"));
        assert!(contains("0.0.0.0/0", "203.0.113.9"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("::/0", "2001:db8::1"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(contains("10.0.0.0/8", "::ffff:10.3.4.5"), "a mapped address is an IPv4 address");
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/+8", "10.0.0", "::/129", "lab.example"] {
            assert_eq!(Network::parse(text), Err(PolicyError::Address(text.to_owned())), "{text}");
        }
    }
}
