//! The parameters of a query string: form-encoded, so a plus is a space. Of several with one name, all must agree with
//! the first: what is done must not depend on who reads the query.

use crate::client_id_path::{BadClientId, percent_decoded};
use std::{borrow::Cow, collections::BTreeMap};

/// Why the query string is not understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BadParameter {
    /// The value of `client_id` is no client id.
    ClientId(BadClientId),
    /// A name with several values.
    Repeated(&'static str),
    /// A value that cannot be what the name asks for, said in a sentence.
    Value(&'static str),
    /// A name that means nothing here.
    Unknown,
}

/// The parameters that mean something, by name.
#[derive(Debug)]
pub(crate) struct Parameters<'a>(BTreeMap<&'static str, Cow<'a, str>>);

impl<'a> Parameters<'a> {
    /// Reads those of `known` names. Others are left aside, or refused where a filter that is not understood would give
    /// an answer that nobody asked for.
    pub(crate) fn of(
        query: Option<&'a str>,
        known: &'static [&'static str],
        others_are_refused: bool,
    ) -> Result<Parameters<'a>, BadParameter> {
        Parameters::with(query, known, |_| others_are_refused)
    }

    /// The same; whether another name is refused depends on it.
    pub(crate) fn with(
        query: Option<&'a str>,
        known: &'static [&'static str],
        is_refused: impl Fn(&str) -> bool,
    ) -> Result<Parameters<'a>, BadParameter> {
        let mut found = BTreeMap::new();
        for (name, value) in pairs(query) {
            let Some(name) = known.iter().copied().find(|known| *known == name) else {
                if is_refused(name) {
                    return Err(BadParameter::Unknown);
                }
                continue;
            };
            let bad = |error| match name {
                "client_id" => BadParameter::ClientId(error),
                _ => BadParameter::Value("a query parameter has a bad percent-escape or is not UTF-8"),
            };
            let value = percent_decoded(value, true).map_err(bad)?;
            if found.insert(name, value.clone()).is_some_and(|first| first != value) {
                return Err(BadParameter::Repeated(name));
            }
        }
        Ok(Parameters(found))
    }

    /// The value of a name, if it is there.
    pub(crate) fn get(&self, name: &'static str) -> Option<&str> {
        self.0.get(name).map(|value| &**value)
    }

    /// The value as a whole number within bounds; `sentence` says which there are.
    pub(crate) fn number(
        &self,
        name: &'static str,
        bounds: std::ops::RangeInclusive<u64>,
        sentence: &'static str,
    ) -> Result<Option<u64>, BadParameter> {
        let Some(text) = self.get(name) else { return Ok(None) };
        // `parse` would take a sign.
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && bounds.contains(number));
        number.map(Some).ok_or(BadParameter::Value(sentence))
    }
}

/// Names and values of a query string in their order, still encoded.
pub(crate) fn pairs(query: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const KNOWN: &[&str] = &["a", "client_id"];

    #[test]
    fn what_is_known_is_read_once_decoded() {
        let read = Parameters::of(Some("a=x+y%2B&other=%zz&&a=x%20y%2b"), KNOWN, false).unwrap();
        assert_eq!(read.get("a"), Some("x y+"));
        assert_eq!(read.get("client_id"), None);
        assert_eq!(Parameters::of(Some("a"), KNOWN, true).unwrap().get("a"), Some(""));
        assert_eq!(Parameters::of(None, KNOWN, true).unwrap().get("a"), None);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let refused = |query| Parameters::of(Some(query), KNOWN, true).unwrap_err();
        assert_eq!(refused("a=1&a=2"), BadParameter::Repeated("a"));
        assert_eq!(refused("b=1"), BadParameter::Unknown);
        assert!(matches!(refused("a=%2"), BadParameter::Value(_)));
        assert_eq!(refused("client_id=%ff"), BadParameter::ClientId(BadClientId::NotUtf8));
    }

    #[test]
    fn a_number_has_only_digits_and_bounds() {
        let number = |text: &str| {
            let query = format!("a={text}");
            Parameters::of(Some(&query), KNOWN, true).unwrap().number("a", 1..=60, "1 to 60")
        };
        assert_eq!(number("60"), Ok(Some(60)));
        assert_eq!(number("007"), Ok(Some(7)));
        for bad in ["", "0", "61", "%2B5", "-1", "1.5", "1e1", "99999999999999999999999"] {
            assert_eq!(number(bad), Err(BadParameter::Value("1 to 60")), "{bad}");
        }
        assert_eq!(Parameters::of(None, KNOWN, true).unwrap().number("a", 1..=60, "1 to 60"), Ok(None));
    }
}
