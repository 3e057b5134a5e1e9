//! What is loaded now, and the configuration of rustls that looks there at each handshake.

use crate::{
    client::{fingerprint, read},
    entry::{CertificateFiles, Entry, LoadError, verifier},
    metrics::reloaded,
    verifier::CurrentVerifier,
    watch::{FileWatch, WATCH_EVERY},
};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rollcall_contracts::{ClientCertificate, FINGERPRINT_BYTES};
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
    provider: Arc<CryptoProvider>,
    registered: Arc<Mutex<Vec<CertificateDer<'static>>>>,
    loaded: Arc<ArcSwap<Loaded>>,
    _watch: FileWatch,
}

/// All entries together.
pub(crate) struct Loaded {
    pub(crate) entries: Vec<Entry>,
    /// Accepts a client of any entry's authorities; `None` when no entry has any.
    pub(crate) any_verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// Each registered authority by itself, by its fingerprint.
    registered: Vec<([u8; FINGERPRINT_BYTES], Arc<dyn ClientCertVerifier>)>,
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
        let registered = Arc::<Mutex<Vec<CertificateDer<'static>>>>::default();
        let loaded = Arc::new(ArcSwap::from_pointee(Loaded::load(&files, &[], &provider)?));
        let current = CurrentVerifier { loaded: loaded.clone(), provider: provider.clone() };
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| LoadError::Content { path: "rustls".into(), problem: error.to_string() })?
            .with_client_cert_verifier(Arc::new(current))
            .with_cert_resolver(Arc::new(Resolver(loaded.clone())));
        let (target, known, used) = (loaded.clone(), registered.clone(), provider.clone());
        let paths = files.iter().flat_map(CertificateFiles::files).cloned().collect();
        let watch = FileWatch::start(paths, every, move || {
            // Held, so that authorities registered meanwhile come after.
            let known = known.lock();
            match Loaded::load(&files, &known, &used) {
                Ok(fresh) => {
                    target.store(Arc::new(fresh));
                    reloaded(true);
                    tracing::info!("changed certificates are in force");
                }
                Err(error) => {
                    reloaded(false);
                    tracing::error!(%error, "changed certificates cannot be used; the old ones stay in force");
                }
            }
        })
        .map_err(LoadError::Watch)?;
        Ok(Certificates { config: Arc::new(config), provider, registered, loaded, _watch: watch })
    }

    /// The authorities that are registered from now on, as DER. One that cannot be used is left out.
    pub fn set_registered(&self, authorities: Vec<Vec<u8>>) {
        let usable = |der: Vec<u8>| {
            let authority = CertificateDer::from(der);
            let usable = verifier(std::slice::from_ref(&authority), &self.provider);
            usable.inspect_err(|error| tracing::error!(%error, "a registered authority cannot be used")).ok()?;
            Some(authority)
        };
        let usable: Vec<_> = authorities.into_iter().filter_map(usable).collect();
        let mut registered = self.registered.lock();
        if *registered == usable {
            return;
        }
        match self.loaded.load().with_registered(&usable, &self.provider) {
            Ok(fresh) => self.loaded.store(Arc::new(fresh)),
            Err(error) => tracing::error!(%error, "the registered authorities cannot be used"),
        }
        *registered = usable;
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
        let Some(demand) = &entry.demand else { return Ok(Admitted::default()) };
        let (end_entity, intermediates) = match chain.and_then(<[_]>::split_first) {
            None if demand.is_optional => return Ok(Admitted::default()),
            shown => shown.ok_or(ClientRefused)?,
        };
        let now = UnixTime::now();
        let signed_by =
            |verifier: &dyn ClientCertVerifier| verifier.verify_client_cert(end_entity, intermediates, now).is_ok();
        if !demand.verifier.as_deref().is_some_and(signed_by) {
            return Err(ClientRefused);
        }
        let authority =
            loaded.registered.iter().filter(|_| demand.registered).find(|(_, verifier)| signed_by(&**verifier));
        let authority = authority.map(|(fingerprint, _)| *fingerprint);
        let certificate = read(end_entity).ok_or(ClientRefused)?;
        Ok(Admitted { certificate: Some(Arc::new(ClientCertificate { authority, ..certificate })) })
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates(..)")
    }
}

impl Loaded {
    fn load(
        files: &[CertificateFiles],
        registered: &[CertificateDer<'static>],
        provider: &Arc<CryptoProvider>,
    ) -> Result<Loaded, LoadError> {
        if files.is_empty() {
            return Err(LoadError::None);
        }
        let entries =
            files.iter().map(|files| Entry::load(files, registered, provider)).collect::<Result<Vec<_>, _>>()?;
        let path = files.iter().find_map(|files| files.client_ca_file.clone()).unwrap_or_default();
        Loaded::of(entries, registered, provider).map_err(|problem| LoadError::Content { path, problem })
    }

    fn with_registered(
        &self,
        registered: &[CertificateDer<'static>],
        provider: &Arc<CryptoProvider>,
    ) -> Result<Loaded, String> {
        let entries = self.entries.iter().map(|entry| entry.with_registered(registered, provider));
        Loaded::of(entries.collect::<Result<_, _>>()?, registered, provider)
    }

    fn of(
        entries: Vec<Entry>,
        registered: &[CertificateDer<'static>],
        provider: &Arc<CryptoProvider>,
    ) -> Result<Loaded, String> {
        let mut authorities: Vec<_> = entries.iter().flat_map(|entry| entry.authorities.clone()).collect();
        if entries.iter().any(|entry| entry.demand.as_ref().is_some_and(|demand| demand.registered)) {
            authorities.extend(registered.iter().cloned());
        }
        let by_itself = |authority: &CertificateDer<'static>| {
            let verifier = verifier(std::slice::from_ref(authority), provider)?;
            Ok(verifier.map(|verifier| (fingerprint(authority), verifier)))
        };
        let each = registered.iter().map(by_itself).collect::<Result<Vec<_>, String>>()?;
        let any_verifier = verifier(&authorities, provider)?;
        Ok(Loaded { entries, any_verifier, registered: each.into_iter().flatten().collect() })
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
