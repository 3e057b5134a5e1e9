//! `…/status?wait=SECONDS&for=online|offline`: what a long poll asks for.

use crate::parameters::{BadParameter, Parameters};
use std::time::Duration;

/// Longest wait, in seconds: below what proxies allow a request that says nothing.
const WAIT_S_MAX: u64 = 60;

const KNOWN: &[&str] = &["wait", "for"];
const WAIT: &str = "wait is a whole number of seconds from 0 to 60";
const FOR: &str = "wait needs for=online or for=offline, and for needs wait";

/// The state that is waited for, and how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Wait {
    pub(crate) online: bool,
    pub(crate) within: Duration,
}

/// `None` for a question that is answered at once.
pub(crate) fn wait(query: Option<&str>) -> Result<Option<Wait>, BadParameter> {
    if query.is_none() {
        return Ok(None);
    }
    let parameters = Parameters::of(query, KNOWN, false)?;
    let seconds = parameters.number("wait", 0..=WAIT_S_MAX, WAIT)?;
    let online = match parameters.get("for") {
        None => None,
        Some("online") => Some(true),
        Some("offline") => Some(false),
        Some(_) => return Err(BadParameter::Value(FOR)),
    };
    match (seconds, online) {
        (None, None) => Ok(None),
        (Some(seconds), Some(online)) => Ok(Some(Wait { online, within: Duration::from_secs(seconds) })),
        _ => Err(BadParameter::Value(FOR)),
    }
}
