//! The HTTP edge: answers "is this client online?" and larger questions on the data plane and takes messages there; health,
//! metrics, management and the console on the admin listener.
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
mod body;
mod client_id_path;
mod clients;
mod config;
mod connection_number;
mod console;
mod cursor;
mod desk;
mod error;
mod error_response;
mod event_json;
mod event_stream;
mod event_text;
mod event_token;
mod events;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test, a failure is the failure of the test")]
mod fuzz;
mod gateway;
mod in_runtime;
mod keep_alive;
mod management;
mod metrics;
mod parameters;
mod presence;
mod publish;
mod publish_parameters;
mod request_body;
mod response;
mod route;
mod seats;
mod status;
mod streams;
mod wait;

pub use config::{GatewayConfig, GatewayParts, Listen, PublishLimits, RenderMetrics};
pub use error::GatewayError;
pub use gateway::{Addresses, Gateway};
