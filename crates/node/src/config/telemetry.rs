//! `[telemetry]`: what the node tells about itself. Setting it up is the program's business.

use serde::{Deserialize, Serialize};

/// `[telemetry]`: logs and traces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// How a log line looks.
    pub log_format: LogFormat,
    /// A level, or directives such as `info,rollcall_raft=debug`.
    pub log_level: String,
    /// Where traces go (OTLP over gRPC or HTTP); empty is nowhere.
    pub otlp_endpoint: String,
    /// Seconds between two messages of a topic under `$SYS/broker/`; 0 = only at subscribe time.
    pub sys_interval_s: u32,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        TelemetryConfig {
            log_format: LogFormat::Text,
            log_level: "info".to_owned(),
            otlp_endpoint: String::new(),
            sys_interval_s: 10,
        }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
