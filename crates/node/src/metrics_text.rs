//! The process's metrics as Prometheus text.

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use rollcall_http_gateway::RenderMetrics;
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

/// Bounds of every histogram in seconds: 50 us to 10 s.
const SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Bounds of histograms that count things.
const COUNTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0];

static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// How often samples are drained into the histograms: they are kept until then.
pub(crate) const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Drains the samples taken since the last call.
pub(crate) fn upkeep() {
    if let Some(Some(handle)) = RECORDER.get() {
        handle.run_upkeep();
    }
}

/// Installs the recorder, once a process, and returns what renders it.
pub(crate) fn renderer() -> RenderMetrics {
    let handle = RECORDER.get_or_init(|| match install() {
        Ok(handle) => Some(handle),
        Err(error) => {
            tracing::error!(%error, "no metrics: the recorder cannot be installed");
            None
        }
    });
    Arc::new(move || handle.as_ref().map(PrometheusHandle::render).unwrap_or_default())
}

fn install() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets(COUNTS)?
        .install_recorder()
}
