//! The whole HTTP client, TLS included, of verbs that ask a node. Measuring uses the small one of `http`.

use crate::failure::Failure;
use std::time::Duration;
use ureq::{Agent, config::ConfigBuilder, typestate::AgentScope};

/// A client for this base address, which must name its scheme.
pub(crate) fn agent(url: &str, within: Duration) -> Result<Agent, Failure> {
    built(url, |config| config.timeout_global(Some(within)))
}

/// The same for an answer without an end: given up where nothing comes for so long.
pub(crate) fn streaming(url: &str, silence: Duration) -> Result<Agent, Failure> {
    built(url, |config| config.timeout_connect(Some(silence)).timeout_per_read(Some(silence)))
}

fn built(
    url: &str,
    timeouts: impl FnOnce(ConfigBuilder<AgentScope>) -> ConfigBuilder<AgentScope>,
) -> Result<Agent, Failure> {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(Failure::new(format!("--url must begin with http:// or https://, not {url:?}")));
    }
    // No proxy: the nodes of a cluster are asked directly, and the demo's are on loopback.
    let config = Agent::config_builder().http_status_as_error(false).proxy(None).max_redirects(0);
    Ok(timeouts(config).build().into())
}
