//! The table of statements. Each module holds the tests of one part of the standards and the rows of both.

mod connect;
mod disconnect;
mod malformed;
mod publish;
mod quality;
mod retain;
mod session;
mod subscribe;
mod topics;
mod unseen;
mod will;

use crate::statement::Statement;

/// Every statement that is known here, in the order of the standards: 3.1.1 first.
#[must_use]
pub fn all() -> Vec<Statement> {
    let mut all: Vec<Statement> = [
        malformed::ROWS,
        connect::ROWS,
        will::ROWS,
        session::ROWS,
        publish::ROWS,
        retain::ROWS,
        quality::ROWS,
        subscribe::ROWS,
        disconnect::ROWS,
        topics::ROWS,
        unseen::ROWS,
    ]
    .concat();
    all.sort_by_key(|row| (row.version as u8, sections(row.number)));
    all
}

/// The numbers in a statement's number: `MQTT-3.10.4-2` is 3, 10, 4, 2.
fn sections(number: &str) -> Vec<u32> {
    number.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}
