//! Passwords and shared secrets: kept from every log and every listing, and read from the files that hold them.

use super::{Config, ConfigError, FILE_BYTES_MAX};
use serde::{Deserialize, Serialize, Serializer};
use std::{fmt, fs, io::Read, path::Path};

/// What stands for a secret wherever a configuration is shown.
const HIDDEN: &str = "***";

/// A value that neither `Debug` nor serialization shows.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The secret itself, for whoever has to use it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

/// Reads the secret files that the configuration and the environment name. A secret that is both written down and
/// named by a file is refused, since nobody could tell which of the two is in force.
pub(super) fn read_files(config: &mut Config, admin_password_file: Option<&Path>) -> Result<(), ConfigError> {
    let cluster = &mut config.cluster;
    fill(&mut cluster.secret, cluster.secret_file.as_deref(), "cluster.secret", "cluster.secret_file")?;
    for (index, user) in config.auth.bootstrap_users.iter_mut().enumerate() {
        let place = format!("auth.bootstrap_users[{index}].password");
        fill(&mut user.password, user.password_file.as_deref(), &place, &format!("{place}_file"))?;
    }
    let jwt = &mut config.auth.jwt;
    fill(&mut jwt.secret, jwt.secret_file.as_deref(), "auth.jwt.secret", "auth.jwt.secret_file")?;
    let admin = &mut config.auth.admin_password;
    fill(admin, admin_password_file, "ROLLCALL_ADMIN_PASSWORD", "ROLLCALL_ADMIN_PASSWORD_FILE")
}

fn fill(secret: &mut Option<Secret>, file: Option<&Path>, key: &str, file_key: &str) -> Result<(), ConfigError> {
    let Some(path) = file else { return Ok(()) };
    if secret.is_some() {
        return Err(ConfigError::Refused {
            problems: vec![format!("{key} and {file_key} are both set; set one of them")],
        });
    }
    *secret = Some(read(file_key, path)?);
    Ok(())
}

/// The content of a secret file, without the line end that editors add.
fn read(named_by: &str, path: &Path) -> Result<Secret, ConfigError> {
    let failed = |reason: String| ConfigError::SecretFile { key: named_by.to_owned(), path: path.to_owned(), reason };
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| failed(error.to_string()))?;
    let secret = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if secret.is_empty() {
        return Err(failed("it is empty".to_owned()));
    }
    Ok(Secret::new(secret))
}
