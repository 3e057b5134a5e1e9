//! Why a configuration is not accepted, in sentences that say what to set.

use std::path::PathBuf;

/// Why a configuration was not loaded. Nothing has happened; change what the sentence names and try again.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The configuration file is not TOML. The line itself is not shown, since it may hold a secret.
    #[error("{}, line {line}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// 1-based.
        line: usize,
        /// What the parser says.
        reason: String,
    },
    /// A file that should hold a secret does not.
    #[error("cannot read the file that {key} names, {}: {reason}", path.display())]
    SecretFile {
        /// The key or variable that names it.
        key: String,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Keys are unknown, values are of the wrong kind, or settings contradict each other.
    #[error("{}", problems.join("\n"))]
    Refused {
        /// One sentence for each.
        problems: Vec<String>,
    },
}

impl ConfigError {
    /// Each thing that is wrong, a sentence each; never empty.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        match self {
            ConfigError::Refused { problems } => problems.clone(),
            other => vec![other.to_string()],
        }
    }
}
