//! Statements that the broker does not keep yet. Their tests run like all others; one that holds although it stands here
//! is reported, so that the lists only shrink.

/// Of 3.1.1.
pub const V311: &[&str] = &[];

/// Of 5.0.
pub const V5: &[&str] = &[];
