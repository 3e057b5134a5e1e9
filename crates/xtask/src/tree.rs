//! The state of the work tree, so that a run that must not write can prove that it did not.

use std::process::Command;

/// What git sees: changed and new files, and the changes themselves. Empty where git is not there, as in an unpacked
/// archive; then nothing is proved.
pub(crate) fn fingerprint() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    };
    git(&["status", "--porcelain", "--untracked-files=all"]) + &git(&["diff", "HEAD"])
}
