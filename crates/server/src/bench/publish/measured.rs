//! What `rollcall bench publish` reports.

use crate::bench::latency::LatencySummary;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) bench: &'static str,
    pub(super) target: String,
    pub(super) subscribe_target: Option<String>,
    pub(super) shape: &'static str,
    pub(super) mode: &'static str,
    pub(super) rate_per_s: Option<u32>,
    pub(super) threads: u16,
    pub(super) clients: u32,
    pub(super) qos: u8,
    pub(super) payload_bytes: u32,
    pub(super) window: u32,
    pub(super) duration_s: u32,
    /// Within the measured time.
    pub(super) deliveries: u64,
    pub(super) deliveries_per_s: f64,
    /// Of all sent, warm-up included: not delivered some seconds after the end.
    pub(super) missing: u64,
    /// Of all sent at QoS 1 and 2: not acknowledged some seconds after the end.
    pub(super) unacknowledged: u64,
    /// From the moment a message was due to its delivery.
    pub(super) latency: LatencySummary,
    pub(super) client_cpu_us_per_delivery: f64,
    pub(super) server_cpu_us_per_delivery: Option<f64>,
}

impl Report {
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{} deliveries in {} s: {:.0}/s, {} of {} at QoS {} ({})\nlatency  {}\n",
            self.deliveries,
            self.duration_s,
            self.deliveries_per_s,
            self.shape,
            self.clients,
            self.qos,
            self.mode.replace('_', " "),
            self.latency.line()
        );
        if (self.missing, self.unacknowledged) != (0, 0) {
            text.push_str(&format!("missing  {} deliveries, {} acknowledgements\n", self.missing, self.unacknowledged));
        }
        text.push_str(&format!("client   {:.2} us of processor time a delivery\n", self.client_cpu_us_per_delivery));
        if let Some(cpu_us) = self.server_cpu_us_per_delivery {
            text.push_str(&format!("servers  {cpu_us:.2} us of processor time a delivery\n"));
        }
        text
    }
}
