//! Requests to servers that the configuration names: nowhere else, by no proxy, within bounds.

use crate::SetupError;
use reqwest::{Certificate, Client, Response, Url, redirect::Policy};
use std::time::Duration;

/// Idle connections kept to a server.
const IDLE_MAX: usize = 16;
/// How long they are kept.
const IDLE_FOR: Duration = Duration::from_secs(60);

/// Whom a server is taken for, where it is asked over TLS.
#[derive(Clone, Debug, Default)]
pub struct OutboundTls {
    /// PEM with the authorities that may have signed its certificate; the public ones where there is none.
    pub authorities: Option<Vec<u8>>,
}

/// How long a request may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Within {
    pub(crate) connect: Duration,
    pub(crate) whole: Duration,
}

/// Redirects are not followed: who answers is whom the configuration names.
pub(crate) fn client(tls: &OutboundTls, within: Within) -> Result<Client, SetupError> {
    let mut builder = Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(within.connect)
        .timeout(within.whole)
        .pool_max_idle_per_host(IDLE_MAX)
        .pool_idle_timeout(IDLE_FOR)
        .user_agent("rollcall");
    if let Some(pem) = &tls.authorities {
        let authorities = Certificate::from_pem_bundle(pem).ok().filter(|list| !list.is_empty());
        let authorities = authorities.ok_or_else(|| SetupError::new("ca_file has no certificate in PEM in it"))?;
        builder = authorities
            .into_iter()
            .fold(builder.tls_built_in_root_certs(false), |builder, authority| builder.add_root_certificate(authority));
    }
    builder.build().map_err(|error| SetupError::new(format!("no HTTP client can be made: {error}")))
}

/// A URL of HTTP or HTTPS.
pub(crate) fn url(text: &str) -> Result<Url, SetupError> {
    let url = Url::parse(text).map_err(|error| SetupError::new(format!("{text:?} is no URL: {error}")))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(SetupError::new(format!("{text:?} must begin with http:// or https:// and a host"))),
    }
}

/// The body of an answer; `None` when it is longer than this, or breaks off.
pub(crate) async fn body(mut response: Response, bytes_max: usize) -> Option<Vec<u8>> {
    if response.content_length().is_some_and(|len| len > bytes_max as u64) {
        return None;
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > bytes_max {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}
