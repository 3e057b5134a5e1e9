//! The HTTP edge: answers "is this client online?" and larger questions on the data plane, and health and metrics on the admin listener.
//!
//! What belongs here: the HTTP protocol, the raw request path, the mapping of every refusal to a status and a stable
//! code. What does not: credentials, policies and quotas (`Admission`), the answer itself (`PresenceStore`), what
//! readiness means (`Readiness`), configuration files.
//!
//! Start reading at [`Gateway`], then `status` (one query from head to answer) and `error_response`.

#![forbid(unsafe_code)]

mod admin;
mod authentication;
mod batch;
mod client_id_path;
mod clients;
mod config;
mod cursor;
mod desk;
mod error;
mod error_response;
mod gateway;
mod in_runtime;
mod management;
mod metrics;
mod parameters;
mod presence;
mod request_body;
mod response;
mod route;
mod seats;
mod status;
mod wait;

pub use config::{GatewayConfig, GatewayParts, Listen, RenderMetrics};
pub use error::GatewayError;
pub use gateway::{Addresses, Gateway};
