//! A connection claims once, however often its claim was sent: a retry under its number never claims again.

use super::{Violation, holds};
use crate::oracle::Oracle;
use rollcall_presence::{FeedEntry, PartitionState, Transition};

pub(crate) fn check(oracle: &mut Oracle, after: &PartitionState, entry: &FeedEntry) -> Result<(), Violation> {
    if entry.transition != Transition::Connected {
        return Ok(());
    }
    // The record tells whose claim it was, unless a later one is there already.
    let Some(record) = after.record(entry.client_id.as_str()).filter(|record| record.epoch() == entry.epoch) else {
        return Ok(());
    };
    let claims = oracle.claims.entry(record.peer().to_owned()).or_default();
    *claims += 1;
    let claims = *claims;
    holds("claims_apply_once", claims == 1, || format!("connection {} claimed {claims} times", record.peer()))
}
