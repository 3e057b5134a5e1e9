//! A statement of a standard, and how it is seen from outside.

use crate::Outcome;
use crate::breakage::Breakage;
use crate::bytes::Version;
use crate::world::World;

/// A statement.
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    /// Its number, without brackets.
    pub number: &'static str,
    /// The standard it stands in.
    pub version: Version,
    /// What it asks for, in words of our own.
    pub says: &'static str,
    /// How it is seen.
    pub seen: Seen,
}

/// How a statement is seen.
#[derive(Clone, Copy, Debug)]
pub enum Seen {
    /// By a test, which a broker broken like this must fail.
    Test(fn(&World) -> Outcome, Breakage),
    /// Not from outside, for this reason.
    Not(&'static str),
}

/// A statement of 3.1.1 with a test.
pub(crate) const fn v3(
    number: &'static str,
    says: &'static str,
    test: fn(&World) -> Outcome,
    breakage: Breakage,
) -> Statement {
    Statement { number, version: Version::V311, says, seen: Seen::Test(test, breakage) }
}

/// A statement of 5.0 with a test.
pub(crate) const fn v5(
    number: &'static str,
    says: &'static str,
    test: fn(&World) -> Outcome,
    breakage: Breakage,
) -> Statement {
    Statement { number, version: Version::V5, says, seen: Seen::Test(test, breakage) }
}

/// A statement that cannot be seen from outside.
pub(crate) const fn unseen(
    version: Version,
    number: &'static str,
    says: &'static str,
    reason: &'static str,
) -> Statement {
    Statement { number, version, says, seen: Seen::Not(reason) }
}

impl Statement {
    /// Number and version, as reports write them.
    #[must_use]
    pub fn title(&self) -> String {
        format!("[{}] of {}", self.number, version_name(self.version))
    }
}

/// The version as people write it.
#[must_use]
pub fn version_name(version: Version) -> &'static str {
    match version {
        Version::V31 => "3.1",
        Version::V311 => "3.1.1",
        Version::V5 => "5.0",
    }
}
