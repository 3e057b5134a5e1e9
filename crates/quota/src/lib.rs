//! Limits: what each bounds, how an instance's limit is shared among nodes, and what a packet or a query costs.
//!
//! Start with [`Limits`]; the instance's messages are shared by [`GrantTable`]. What does not belong here: counting, waiting, clocks and rate limiters (they live in
//! `admission`), and the answer that a client gets when a limit is reached.

#![forbid(unsafe_code)]

mod cost;
mod grants;
mod keys;
mod limits;
mod share;

pub use cost::Charge;
pub use grants::{Grant, GrantTable, Use};
pub use keys::{LIMIT_KEYS, LimitKey, LimitScope};
pub use limits::{
    LIMIT_PER_SECOND_MAX, Limits, LimitsError, PACKET_BYTES_PROTOCOL_MAX, PRESET_CLIENT_FILTERS, PRESET_RATE_MIN,
    PRESET_WILL_CONNECTS_PER_SECOND, Preset,
};
pub use share::{burst, node_share, retry_after_s, shares_exceed_limit};
