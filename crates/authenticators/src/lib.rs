//! Authenticators beside the users that the cluster stores: signed tokens, an HTTP service, certificates. Each is one link
//! of the chain that `admission` asks in order.
//!
//! What belongs here: how credentials of a kind are verified, and the libraries that do it. What does not: the order,
//! limits on guessing, stored users (`admission`); which keys of the configuration lead to which settings (`node`).
//!
//! No secret, token or name of a client is ever shown by `Debug`, nor logged above `debug`.

#![forbid(unsafe_code)]

mod claims;
mod error;
mod fetched_keys;
mod http;
mod jwt;
mod outbound;
mod template;
mod verifying_keys;
mod x509;

pub use claims::{ClaimRules, TokenField};
pub use error::SetupError;
pub use fetched_keys::{FetchedKeys, KeyFetch};
pub use http::{BodyFormat, HttpAuthenticator, HttpMethod, HttpSettings, WhenDown};
pub use jwt::{Jwt, Keys};
pub use outbound::OutboundTls;
pub use template::{Template, TemplateError};
pub use verifying_keys::{HmacSecret, VerifyingKeys};
pub use x509::{Devices, IdentityFrom, X509};
