//! Shell completions.

use crate::{cli::Cli, failure::Failure, output};
use clap::CommandFactory;
use clap_complete::Shell;

/// Prints the completion script of a shell.
pub(crate) fn print(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rollcall", &mut script);
    output::print(String::from_utf8_lossy(&script))
}
