//! A key set that is fetched by URL, again and again. The last good one stays in force when a fetch fails; before the
//! first nobody can be verified, and clients are told to come back.

use crate::{
    OutboundTls, SetupError, VerifyingKeys,
    outbound::{self, Within},
};
use arc_swap::ArcSwapOption;
use metrics::{Counter, counter, describe_counter};
use reqwest::{Client, StatusCode, Url};
use std::{fmt, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

/// The longest key set, in bytes.
const SET_BYTES_MAX: usize = 256 * 1024;
/// Longest time for one fetch.
const FETCH_WITHIN: Within = Within { connect: Duration::from_secs(3), whole: Duration::from_secs(5) };
/// Longest wait of a client for a fetch that its token asked for.
const WAIT_MAX: Duration = Duration::from_secs(6);
/// Fetches of key sets, by result (`ok`, `failed`).
const FETCHES_TOTAL: &str = "rollcall_jwks_fetches_total";

/// What is fetched, and when.
#[derive(Clone, Debug)]
pub struct KeyFetch {
    /// From where.
    pub url: String,
    /// How often.
    pub every: Duration,
    /// The least time between two fetches: a failed one is tried again after it, and tokens of unknown keys have a set
    /// fetched no more often.
    pub at_least_apart: Duration,
    /// Whom the server is taken for.
    pub tls: OutboundTls,
}

/// See the module.
pub struct FetchedKeys {
    url: Url,
    every: Duration,
    at_least_apart: Duration,
    client: Client,
    current: ArcSwapOption<VerifyingKeys>,
    wanted: Notify,
    /// Number and time of the last fetch that ended.
    ended: watch::Sender<(u64, Option<Instant>)>,
    succeeded: Counter,
    failed: Counter,
}

impl fmt::Debug for FetchedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchedKeys").field("url", &self.url.host_str()).finish_non_exhaustive()
    }
}

impl FetchedKeys {
    /// Nothing is fetched before [`FetchedKeys::keep`] runs. The metrics recorder must be installed before.
    ///
    /// # Errors
    /// When the URL or the authorities are unusable.
    pub fn new(fetch: &KeyFetch) -> Result<Self, SetupError> {
        describe_counter!(FETCHES_TOTAL, "fetches of key sets, by result");
        Ok(FetchedKeys {
            url: outbound::url(&fetch.url)?,
            every: fetch.every,
            at_least_apart: fetch.at_least_apart,
            client: outbound::client(&fetch.tls, FETCH_WITHIN)?,
            current: ArcSwapOption::empty(),
            wanted: Notify::new(),
            ended: watch::Sender::new((0, None)),
            succeeded: counter!(FETCHES_TOTAL, "result" => "ok"),
            failed: counter!(FETCHES_TOTAL, "result" => "failed"),
        })
    }

    /// Fetches for as long as it is polled. One caller.
    pub async fn keep(&self) {
        loop {
            let good = self.fetch().await;
            self.ended.send_modify(|(number, at)| (*number, *at) = (*number + 1, Some(Instant::now())));
            sleep(self.at_least_apart).await;
            if good {
                let rest = self.every.saturating_sub(self.at_least_apart);
                tokio::select! {
                    () = sleep(rest) => {}
                    () = self.wanted.notified() => {}
                }
            }
        }
    }

    /// The keys in force.
    pub(crate) fn current(&self) -> Option<Arc<VerifyingKeys>> {
        self.current.load_full()
    }

    /// Has the set fetched before its time, and waits for the outcome; at once where the last fetch is just over.
    pub(crate) async fn fetched_anew(&self) {
        let mut ended = self.ended.subscribe();
        let last = ended.borrow_and_update().1;
        self.wanted.notify_one();
        if last.is_some_and(|at| at.elapsed() < self.at_least_apart) {
            return;
        }
        let _outcome = timeout(WAIT_MAX, ended.changed()).await;
    }

    /// True when there is a good set.
    async fn fetch(&self) -> bool {
        match self.fetch_set().await {
            Ok(keys) => {
                self.succeeded.increment(1);
                self.current.store(Some(Arc::new(keys)));
                true
            }
            Err(error) => {
                self.failed.increment(1);
                let has_keys = self.current.load().is_some();
                tracing::warn!(%error, has_keys, "a key set was not fetched; the last good one stays in force");
                false
            }
        }
    }

    async fn fetch_set(&self) -> Result<VerifyingKeys, SetupError> {
        let unreachable = |error: reqwest::Error| SetupError::new(error.without_url().to_string());
        let response = self.client.get(self.url.clone()).send().await.map_err(unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(SetupError::new(format!("the server answered {}", response.status().as_u16())));
        }
        let body = outbound::body(response, SET_BYTES_MAX).await;
        let body =
            body.ok_or_else(|| SetupError::new(format!("the set breaks off, or is over {SET_BYTES_MAX} bytes")))?;
        VerifyingKeys::set(&body)
    }
}
