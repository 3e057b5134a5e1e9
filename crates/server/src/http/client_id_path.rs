//! A client id as one segment of a path.

/// Percent-encodes all but unreserved characters (RFC 3986, 2.3). Dots are encoded where the whole segment is `.` or
/// `..`, since clients and proxies take those for steps in a tree.
pub(crate) fn encode_segment(id: &str) -> String {
    let only_dots = id == "." || id == "..";
    let mut segment = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => segment.push(char::from(byte)),
            b'.' if !only_dots => segment.push('.'),
            _ => {
                segment.push('%');
                for digit in [byte >> 4, byte & 15] {
                    segment.push(char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase());
                }
            }
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::encode_segment;

    #[test]
    fn every_id_becomes_one_segment() {
        for (id, segment) in [
            ("VIN0000001", "VIN0000001"),
            ("a.b-c_d~e", "a.b-c_d~e"),
            ("..", "%2E%2E"),
            (".", "%2E"),
            ("...", "..."),
            ("a/b%c+d e", "a%2Fb%25c%2Bd%20e"),
            ("😀?#", "%F0%9F%98%80%3F%23"),
        ] {
            assert_eq!(encode_segment(id), segment);
        }
    }
}
