//! The client ids of a measurement: a prefix and a number.

use crate::{cli::IdArguments, http::encode_segment};
use base64::{Engine, engine::general_purpose::STANDARD};

/// A row of ids, made without allocating.
#[derive(Clone, Debug)]
pub(super) struct IdSpace {
    prefix: String,
    prefix_in_path: String,
    prefix_in_json: String,
    digits: usize,
    start: u64,
    count: u64,
}

impl IdSpace {
    pub(super) fn new(arguments: &IdArguments, count: u64) -> IdSpace {
        let in_json = serde_json::Value::String(arguments.id_prefix.clone()).to_string();
        IdSpace {
            prefix: arguments.id_prefix.clone(),
            prefix_in_path: encode_segment(&arguments.id_prefix),
            prefix_in_json: in_json.trim_start_matches('"').strip_suffix('"').unwrap_or_default().to_owned(),
            digits: usize::from(arguments.id_digits),
            start: arguments.id_start,
            count,
        }
    }

    /// How many ids there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The id at a place, counted from 0.
    pub(super) fn id(&self, place: u64) -> String {
        let mut id = Vec::with_capacity(self.prefix.len() + self.digits);
        self.push_raw(place, &mut id);
        String::from_utf8_lossy(&id).into_owned()
    }

    /// URL-encoded.
    pub(super) fn push_in_path(&self, place: u64, into: &mut Vec<u8>) {
        into.extend_from_slice(self.prefix_in_path.as_bytes());
        self.push_number(place, into);
    }

    /// As JSON writes it inside quotes.
    pub(super) fn push_in_json(&self, place: u64, into: &mut Vec<u8>) {
        into.extend_from_slice(self.prefix_in_json.as_bytes());
        self.push_number(place, into);
    }

    /// In Base64.
    pub(super) fn push_base64(&self, place: u64, into: &mut Vec<u8>) {
        let mut raw = Vec::with_capacity(self.prefix.len() + self.digits);
        self.push_raw(place, &mut raw);
        into.extend_from_slice(STANDARD.encode(raw).as_bytes());
    }

    fn push_raw(&self, place: u64, into: &mut Vec<u8>) {
        into.extend_from_slice(self.prefix.as_bytes());
        self.push_number(place, into);
    }

    fn push_number(&self, place: u64, into: &mut Vec<u8>) {
        push_decimal(self.start.saturating_add(place), self.digits, into);
    }
}

/// A number in decimal, filled up with zeros to at least so many digits.
pub(super) fn push_decimal(number: u64, digits: usize, into: &mut Vec<u8>) {
    // 20 digits are the longest number there is.
    let mut reversed = [b'0'; 20];
    let mut used = 0;
    let mut rest = number;
    while rest > 0 || used == 0 {
        reversed[used] = b'0' + (rest % 10) as u8;
        rest /= 10;
        used += 1;
    }
    into.extend(reversed[..used.max(digits.min(reversed.len()))].iter().rev());
}

#[cfg(test)]
mod tests {
    use super::IdSpace;
    use crate::cli::IdArguments;

    fn space(prefix: &str, digits: u8, start: u64) -> IdSpace {
        IdSpace::new(&IdArguments { id_prefix: prefix.to_owned(), id_digits: digits, id_start: start }, 10)
    }

    #[test]
    fn numbers_are_filled_up_and_never_cut() {
        assert_eq!(space("VIN", 7, 1).id(0), "VIN0000001");
        assert_eq!(space("VIN", 7, 1).id(14_999), "VIN0015000");
        assert_eq!(space("c", 0, 0).id(0), "c0");
        assert_eq!(space("c", 2, 0).id(12_345), "c12345");
        assert_eq!(space("", 20, u64::MAX).id(5), "18446744073709551615");
        assert_eq!(space("x", 20, 0).id(0), "x00000000000000000000");
    }

    #[test]
    fn each_form_fits_the_place_it_goes_to() {
        let space = space("a/\"", 0, 7);
        let mut path = Vec::new();
        space.push_in_path(0, &mut path);
        assert_eq!(path, b"a%2F%227");
        let mut json = Vec::new();
        space.push_in_json(0, &mut json);
        assert_eq!(json, b"a/\\\"7");
        let mut base64 = Vec::new();
        space.push_base64(0, &mut base64);
        assert_eq!(base64, b"YS8iNw==");
    }
}
