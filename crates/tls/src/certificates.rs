//! What is loaded now, and the configuration of rustls that looks there at each handshake.

use crate::{
    client::read,
    entry::{CertificateFiles, Entry, LoadError, verifier},
    metrics::reloaded,
    verifier::CurrentVerifier,
    watch::{FileWatch, WATCH_EVERY},
};
use arc_swap::ArcSwap;
use rollcall_contracts::ClientCertificate;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, UnixTime},
    server::{ClientHello, ResolvesServerCert, danger::ClientCertVerifier},
    sign::CertifiedKey,
};
use std::{fmt, sync::Arc, time::Duration};

/// The certificates of one node. Files that change are read again by a thread that ends with it; new files that
/// cannot be used leave what was loaded in force.
pub struct Certificates {
    config: Arc<ServerConfig>,
    loaded: Arc<ArcSwap<Loaded>>,
    _watch: FileWatch,
}

/// All entries together.
pub(crate) struct Loaded {
    pub(crate) entries: Vec<Entry>,
    /// Accepts a client of any entry's authorities; `None` when no entry has any.
    pub(crate) any_verifier: Option<Arc<dyn ClientCertVerifier>>,
}

/// A client whose handshake is done, and who may come in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Admitted {
    /// The client's certificate, where one was demanded.
    pub certificate: Option<Arc<ClientCertificate>>,
}

/// The client showed no certificate where one is demanded, or one of other authorities.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no certificate of an authority that may sign clients here")]
pub struct ClientRefused;

impl Certificates {
    /// Reads all files and watches them.
    ///
    /// # Errors
    /// When a file cannot be used, or the watching thread cannot be started.
    pub fn load(files: Vec<CertificateFiles>) -> Result<Self, LoadError> {
        Certificates::load_watching(files, WATCH_EVERY)
    }

    /// The same, looking for changes this often.
    ///
    /// # Errors
    /// As [`Certificates::load`].
    pub fn load_watching(files: Vec<CertificateFiles>, every: Duration) -> Result<Self, LoadError> {
        let provider = Arc::new(ring::default_provider());
        let loaded = Arc::new(ArcSwap::from_pointee(Loaded::load(&files, &provider)?));
        let current = CurrentVerifier { loaded: loaded.clone(), provider: provider.clone() };
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| LoadError::Content { path: "rustls".into(), problem: error.to_string() })?
            .with_client_cert_verifier(Arc::new(current))
            .with_cert_resolver(Arc::new(Resolver(loaded.clone())));
        let target = loaded.clone();
        let paths = files.iter().flat_map(CertificateFiles::files).cloned().collect();
        let watch = FileWatch::start(paths, every, move || match Loaded::load(&files, &provider) {
            Ok(fresh) => {
                target.store(Arc::new(fresh));
                reloaded(true);
                tracing::info!("changed certificates are in force");
            }
            Err(error) => {
                reloaded(false);
                tracing::error!(%error, "changed certificates cannot be used; the old ones stay in force");
            }
        })
        .map_err(LoadError::Watch)?;
        Ok(Certificates { config: Arc::new(config), loaded, _watch: watch })
    }

    /// The configuration for a server. It stays the same; certificates are looked up at each handshake.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// Whether a client may stay after its handshake: the entry of the server name it asked for may demand a
    /// certificate that the handshake alone did not.
    ///
    /// # Errors
    /// When it may not.
    pub fn admit(
        &self,
        server_name: Option<&str>,
        chain: Option<&[CertificateDer<'_>]>,
    ) -> Result<Admitted, ClientRefused> {
        let loaded = self.loaded.load();
        let entry = loaded.entry(server_name).ok_or(ClientRefused)?;
        let Some(verifier) = &entry.verifier else { return Ok(Admitted::default()) };
        let (end_entity, intermediates) = chain.and_then(<[_]>::split_first).ok_or(ClientRefused)?;
        verifier.verify_client_cert(end_entity, intermediates, UnixTime::now()).map_err(|_| ClientRefused)?;
        let certificate = read(end_entity).ok_or(ClientRefused)?;
        Ok(Admitted { certificate: Some(Arc::new(certificate)) })
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates(..)")
    }
}

impl Loaded {
    fn load(files: &[CertificateFiles], provider: &Arc<CryptoProvider>) -> Result<Loaded, LoadError> {
        if files.is_empty() {
            return Err(LoadError::None);
        }
        let entries = files.iter().map(|files| Entry::load(files, provider)).collect::<Result<Vec<_>, _>>()?;
        let authorities: Vec<_> = entries.iter().flat_map(|entry| entry.authorities.clone()).collect();
        let any_verifier = if authorities.is_empty() {
            None
        } else {
            let path = files.iter().find_map(|files| files.client_ca_file.clone()).unwrap_or_default();
            Some(verifier(&authorities, provider).map_err(|problem| LoadError::Content { path, problem })?)
        };
        Ok(Loaded { entries, any_verifier })
    }

    /// By exact name, then by wildcard, then the one without names, then the first.
    fn entry(&self, server_name: Option<&str>) -> Option<&Entry> {
        let entries = &self.entries;
        let named = server_name.map(str::to_ascii_lowercase).and_then(|name| {
            let exact = entries.iter().find(|entry| entry.has_name(&name));
            exact.or_else(|| entries.iter().find(|entry| entry.has_wildcard_for(&name)))
        });
        named.or_else(|| entries.iter().find(|entry| entry.server_names.is_empty())).or_else(|| entries.first())
    }
}

struct Resolver(Arc<ArcSwap<Loaded>>);

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver(..)")
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().entry(hello.server_name()).map(|entry| entry.key.clone())
    }
}
