//! What a verified token says: whether it holds for this client now, for which account, and under which rules. Pure: the
//! time comes in.

use crate::{SetupError, Template};
use rollcall_cluster::{AclClaim, OwnRules};
use rollcall_contracts::{Account, Presented, Role};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, sync::Arc};

/// Most entries of an ACL claim.
const ACL_ENTRIES_MAX: usize = 64;

/// How far ahead the clock of an issuer may be that says nothing but when it issued a token, in seconds.
const ISSUED_AHEAD_S: u64 = 60;

/// Which field of CONNECT holds the token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenField {
    /// The password.
    Password,
    /// The user name.
    Username,
}

/// What tokens must say, and what they may.
#[derive(Clone, Debug)]
pub struct ClaimRules {
    /// Where the token is.
    pub(crate) field: TokenField,
    required: Vec<(String, Template)>,
    username_claim: String,
    acl_claim: String,
    leeway_s: u64,
}

impl ClaimRules {
    /// Tokens in this field. `required` names claims with the value each must have; `username_claim` the claim that is the
    /// account's name, empty where CONNECT's user name is taken as it is; `acl_claim` the one with rules, empty for
    /// none; `leeway_s` how far clocks may differ.
    ///
    /// # Errors
    /// When a value has something unknown in it, or tokens cannot say whose they are.
    pub fn new(
        field: TokenField,
        required: &BTreeMap<String, String>,
        username_claim: &str,
        acl_claim: &str,
        leeway_s: u64,
    ) -> Result<Self, SetupError> {
        let required = required.iter().map(|(name, value)| {
            let template =
                Template::parse(value).map_err(|error| SetupError::new(format!("claims.{name}: {error}")))?;
            Ok((name.clone(), template))
        });
        let required = required.collect::<Result<Vec<_>, SetupError>>()?;
        if field == TokenField::Username && username_claim.is_empty() {
            return Err(SetupError::new(
                "where the token is the user name, it has to say the account's: set username_claim, such as \"sub\"",
            ));
        }
        if field == TokenField::Username && required.iter().any(|(_, value)| value.says_username()) {
            return Err(SetupError::new("where the token is the user name, no claim can be ${Username}"));
        }
        let (username_claim, acl_claim) = (username_claim.to_owned(), acl_claim.to_owned());
        Ok(ClaimRules { field, required, username_claim, acl_claim, leeway_s })
    }

    /// The account of a token with a right signature, or why there is none.
    pub(crate) fn account(
        &self,
        claims: &Map<String, Value>,
        presented: &Presented<'_>,
        now_s: u64,
    ) -> Result<Account, &'static str> {
        let expires_at = time(claims, "exp")?.map(|at| at.saturating_add(self.leeway_s));
        if expires_at.is_some_and(|at| now_s >= at) {
            return Err("it has expired");
        }
        if time(claims, "nbf")?.is_some_and(|at| now_s.saturating_add(self.leeway_s) < at) {
            return Err("it does not hold yet");
        }
        if time(claims, "iat")?.is_some_and(|at| now_s.saturating_add(self.leeway_s.max(ISSUED_AHEAD_S)) < at) {
            return Err("it was issued in the future");
        }
        for (name, value) in &self.required {
            let wanted = value.filled_in(presented).ok_or("a claim is to be what the client did not present")?;
            if !claims.get(name).is_some_and(|claim| says(claim, &wanted)) {
                return Err("a claim is not what it must be");
            }
        }
        let name = self.name(claims, presented)?;
        let own_rules = self.own_rules(claims)?;
        let expires_at_ms = expires_at.map(|at| at.saturating_mul(1000));
        Ok(Account { own_rules, expires_at_ms, ..Account::new(name, Role::Client) })
    }

    /// Whose it is. A user name that a client merely says is none, or it could act for any account.
    fn name(&self, claims: &Map<String, Value>, presented: &Presented<'_>) -> Result<String, &'static str> {
        let claimed = claims.get(&self.username_claim).and_then(Value::as_str).filter(|name| !name.is_empty());
        let is_proved =
            || self.username_claim.is_empty() || self.required.iter().any(|(_, value)| value.says_username());
        match claimed {
            Some(name) => Ok(name.to_owned()),
            None if self.field == TokenField::Password && is_proved() => {
                Ok(presented.username.unwrap_or_default().to_owned())
            }
            None => {
                Err("it does not say whose it is: it needs the claim of username_claim, or one that is ${Username}")
            }
        }
    }

    fn own_rules(&self, claims: &Map<String, Value>) -> Result<Option<Arc<OwnRules>>, &'static str> {
        let Some(acl) = claims.get(&self.acl_claim).filter(|acl| !acl.is_null()) else { return Ok(None) };
        if acl.as_array().is_some_and(|entries| entries.len() > ACL_ENTRIES_MAX) {
            return Err("its acl has too many entries");
        }
        let entries: Vec<AclClaim> =
            serde_json::from_value(acl.clone()).map_err(|_| "its acl is none that is known")?;
        let rules = OwnRules::of_claims(&entries).map_err(|_| "its acl cannot be used")?;
        Ok(Some(Arc::new(rules)))
    }
}

/// A NumericDate (RFC 7519, 2), in whole seconds; one that is no number makes the token unusable.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, &'static str> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => {
            let whole = number.as_u64().or_else(|| number.as_f64().filter(|at| *at >= 0.0).map(|at| at as u64));
            whole.map(Some).ok_or("one of its times is before 1970")
        }
        Some(_) => Err("one of its times is no number"),
    }
}

/// A claim says a text when it is it, or a list that holds it (as `aud` may be).
fn says(claim: &Value, wanted: &str) -> bool {
    match claim {
        Value::String(text) => text == wanted,
        Value::Array(values) => values.iter().any(|value| value.as_str() == Some(wanted)),
        Value::Number(number) => number.to_string() == wanted,
        Value::Bool(truth) => truth.to_string() == wanted,
        Value::Null | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;
    use std::net::IpAddr;

    const NOW: u64 = 1_800_000_000;

    fn rules(required: &[(&str, &str)], username_claim: &str) -> ClaimRules {
        let required = required.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ClaimRules::new(TokenField::Password, &required, username_claim, "acl", 10).unwrap()
    }

    fn client() -> Presented<'static> {
        let source = IpAddr::from([127, 0, 0, 1]);
        Presented { client_id: "c-1", username: Some("ada"), password: None, source, certificate: None }
    }

    fn account(rules: &ClaimRules, claims: Value) -> Result<Account, &'static str> {
        rules.account(claims.as_object().unwrap(), &client(), NOW)
    }

    #[test]
    fn times_hold_with_leeway_and_an_expiry_is_the_accounts() {
        let rules = rules(&[], "sub");
        for (claims, holds) in [
            (json!({"sub": "a"}), true),
            (json!({"sub": "a", "exp": NOW + 1, "nbf": NOW - 1, "iat": NOW}), true),
            (json!({"sub": "a", "exp": NOW - 9}), true),
            (json!({"sub": "a", "exp": NOW - 10}), false),
            (json!({"sub": "a", "nbf": NOW + 10}), true),
            (json!({"sub": "a", "nbf": NOW + 11}), false),
            (json!({"sub": "a", "iat": NOW + 60}), true),
            (json!({"sub": "a", "iat": NOW + 61}), false),
            (json!({"sub": "a", "exp": NOW as f64 + 0.5}), true),
            (json!({"sub": "a", "exp": "soon"}), false),
            (json!({"sub": "a", "exp": null}), false),
            (json!({"sub": "a", "nbf": "never"}), false),
            (json!({"sub": "a", "exp": -1}), false),
            (json!({"sub": "a", "exp": u64::MAX}), true),
        ] {
            assert_eq!(account(&rules, claims.clone()).is_ok(), holds, "{claims}");
        }
        let expires = account(&rules, json!({"sub": "a", "exp": NOW + 60})).unwrap().expires_at_ms;
        assert_eq!(expires, Some((NOW + 70) * 1000));
        assert_eq!(account(&rules, json!({"sub": "a"})).unwrap().expires_at_ms, None);
    }

    #[test]
    fn required_claims_are_compared_with_what_the_client_presents() {
        let rules = rules(&[("cid", "${ClientId}"), ("aud", "rollcall"), ("n", "7")], "sub");
        let good = json!({"sub": "a", "cid": "c-1", "aud": ["other", "rollcall"], "n": 7});
        assert!(account(&rules, good.clone()).is_ok());
        for (name, value) in [("cid", json!("c-2")), ("cid", json!({})), ("aud", json!(["x"])), ("n", json!(8))] {
            let mut wrong = good.clone();
            wrong[name] = value;
            assert!(account(&rules, wrong.clone()).is_err(), "{wrong}");
        }
        let mut absent = good;
        absent.as_object_mut().unwrap().remove("cid");
        assert!(account(&rules, absent).is_err());
    }

    #[test]
    fn an_account_has_the_name_that_the_token_says_or_proves() {
        assert_eq!(account(&rules(&[], "sub"), json!({"sub": "device-1"})).unwrap().username, "device-1");
        // The user name of CONNECT proves nothing by itself.
        for claims in [json!({}), json!({"sub": ""}), json!({"sub": 7})] {
            assert!(account(&rules(&[], "sub"), claims).is_err());
        }
        let proved = rules(&[("name", "${Username}")], "sub");
        assert_eq!(account(&proved, json!({"name": "ada"})).unwrap().username, "ada");
        assert!(account(&proved, json!({"name": "eve"})).is_err());
        assert_eq!(
            account(&rules(&[], ""), json!({})).unwrap().username,
            "ada",
            "taken as it is, where that is wanted"
        );
    }

    #[test]
    fn an_acl_becomes_rules_or_the_token_is_refused() {
        let rules = rules(&[], "sub");
        let acl = json!([{"permission": "allow", "action": "publish", "topic": "a/${clientid}"}]);
        assert!(account(&rules, json!({"sub": "a", "acl": acl})).unwrap().own_rules.is_some());
        let entry = acl[0].clone();
        let many: Vec<Value> = std::iter::repeat_n(entry, ACL_ENTRIES_MAX + 1).collect();
        for wrong in [json!("all"), json!([{"permission": "allow", "action": "publish"}]), json!([{}]), json!(many)] {
            assert!(account(&rules, json!({"sub": "a", "acl": wrong})).is_err(), "{wrong}");
        }
        assert!(account(&rules, json!({"sub": "a", "acl": null})).unwrap().own_rules.is_none());
    }

    #[test]
    fn rules_that_cannot_work_are_refused() {
        let new = |field, required: &[(&str, &str)], name: &str| {
            let required = required.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            ClaimRules::new(field, &required, name, "acl", 0).map(drop)
        };
        assert!(new(TokenField::Username, &[], "").unwrap_err().to_string().contains("set username_claim"));
        assert!(new(TokenField::Username, &[("n", "${Username}")], "sub").is_err());
        assert!(new(TokenField::Password, &[("n", "${Nobody}")], "sub").unwrap_err().to_string().contains("claims.n"));
        assert!(new(TokenField::Username, &[("n", "${ClientId}")], "sub").is_ok());
    }
}
