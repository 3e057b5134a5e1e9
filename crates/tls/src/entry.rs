//! One certificate with its key, and what it is for: read from files and checked.

use rustls::{
    RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::CertifiedKey,
};
use std::{fs, io, path::PathBuf, sync::Arc};

/// Where one certificate is, and whom it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CertificateFiles {
    /// PEM file with the certificate chain, leaf first.
    pub cert_file: PathBuf,
    /// PEM file with its private key.
    pub key_file: PathBuf,
    /// The names clients ask for, `*.example.com` for all of one level; empty for whoever asks for no other.
    pub server_names: Vec<String>,
    /// PEM file with the authorities of clients: who connects under these names must show a certificate of theirs.
    pub client_ca_file: Option<PathBuf>,
    /// Authorities that are registered while the node runs count as well.
    pub client_ca_registered: bool,
    /// Clients of these names may show no certificate.
    pub client_certificate_optional: bool,
}

impl CertificateFiles {
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.cert_file, &self.key_file].into_iter().chain(&self.client_ca_file)
    }
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should, or certificate and key do not belong together.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// No certificate is configured.
    #[error("no certificate is configured")]
    None,
    /// The thread that looks for changed files cannot be started.
    #[error("changed certificates cannot be watched for: {0}")]
    Watch(io::Error),
}

/// One certificate, ready to be shown.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Arc<CertifiedKey>,
    pub(crate) server_names: Vec<String>,
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    /// What clients of these names must show; `None`: they need no certificate.
    pub(crate) demand: Option<Demand>,
}

/// Whose certificate a client is to show.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    pub(crate) is_optional: bool,
    /// Registered authorities count as well.
    pub(crate) registered: bool,
    /// `None` while there is no authority at all.
    pub(crate) verifier: Option<Arc<dyn ClientCertVerifier>>,
}

impl Entry {
    pub(crate) fn load(
        files: &CertificateFiles,
        registered: &[CertificateDer<'static>],
        provider: &Arc<CryptoProvider>,
    ) -> Result<Entry, LoadError> {
        let chain = certificates(&files.cert_file)?;
        let content = |path: &PathBuf, problem: String| LoadError::Content { path: path.clone(), problem };
        let key = PrivateKeyDer::from_pem_slice(&read(&files.key_file)?)
            .map_err(|error| content(&files.key_file, error.to_string()))?;
        let key = CertifiedKey::from_der(chain, key, provider)
            .map_err(|error| content(&files.cert_file, error.to_string()))?;
        let authorities = files.client_ca_file.as_ref().map_or(Ok(Vec::new()), certificates)?;
        let demand = if files.client_ca_file.is_some() || files.client_ca_registered {
            let none = PathBuf::new();
            let path = files.client_ca_file.as_ref().unwrap_or(&none);
            let all = authorities_of(&authorities, files.client_ca_registered, registered);
            Some(Demand {
                is_optional: files.client_certificate_optional,
                registered: files.client_ca_registered,
                verifier: verifier(&all, provider).map_err(|problem| content(path, problem))?,
            })
        } else {
            None
        };
        let server_names = files.server_names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Ok(Entry { key: Arc::new(key), server_names, authorities, demand })
    }

    /// The same with other registered authorities.
    pub(crate) fn with_registered(
        &self,
        registered: &[CertificateDer<'static>],
        provider: &Arc<CryptoProvider>,
    ) -> Result<Entry, String> {
        let demand = match &self.demand {
            None => None,
            Some(demand) => {
                let all = authorities_of(&self.authorities, demand.registered, registered);
                Some(Demand { verifier: verifier(&all, provider)?, ..demand.clone() })
            }
        };
        let (key, server_names) = (self.key.clone(), self.server_names.clone());
        Ok(Entry { key, server_names, authorities: self.authorities.clone(), demand })
    }

    /// Exact names count before wildcards.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.server_names.iter().any(|own| own == name)
    }

    pub(crate) fn has_wildcard_for(&self, name: &str) -> bool {
        let Some((_, parent)) = name.split_once('.') else { return false };
        self.server_names.iter().any(|own| own.strip_prefix("*.") == Some(parent))
    }
}

fn authorities_of(
    own: &[CertificateDer<'static>],
    with_registered: bool,
    registered: &[CertificateDer<'static>],
) -> Vec<CertificateDer<'static>> {
    let registered = if with_registered { registered } else { &[] };
    own.iter().chain(registered).cloned().collect()
}

/// Demands a certificate that one of the authorities signed; `None` where there is none.
pub(crate) fn verifier(
    authorities: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    if authorities.is_empty() {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(|error| error.to_string())?;
    }
    let built = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    built.map(Some).map_err(|error| error.to_string())
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let content = |problem: String| LoadError::Content { path: path.clone(), problem };
    let found = CertificateDer::pem_slice_iter(&read(path)?).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| content(error.to_string()))?;
    if found.is_empty() { Err(content("no certificate in it".into())) } else { Ok(found) }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, LoadError> {
    fs::read(path).map_err(|source| LoadError::Read { path: path.clone(), source })
}
