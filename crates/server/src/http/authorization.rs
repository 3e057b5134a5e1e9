//! Basic authentication (RFC 7617).

use base64::{Engine, engine::general_purpose::STANDARD};

/// The value of an Authorization header.
pub(crate) fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

#[cfg(test)]
mod tests {
    #[test]
    fn user0_and_secret0_give_the_value_of_the_reference() {
        assert_eq!(super::basic("user0", "secret0"), "Basic dXNlcjA6c2VjcmV0MA==");
    }
}
