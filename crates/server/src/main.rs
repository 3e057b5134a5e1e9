//! The program `rollcall`: reads the command line, does one thing, and ends with 0 (done), 1 (failed) or 2 (wrong
//! usage). What a node is lives in `rollcall-node`; here are only the ways in.

#![forbid(unsafe_code)]

mod bench;
mod cli;
mod completions;
mod configuration;
mod demo;
mod failure;
mod http;
mod inspect;
mod management;
mod mqtt;
mod open_files;
mod output;
mod process_usage;
mod serve;
mod signals;
mod status;
mod telemetry;
mod watch;
mod web_client;

#[cfg(test)]
mod in_test_server;

use clap::Parser;
use cli::{BenchCommand, Cli, Command, ConfigCommand};
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    // A wrong command line ends here, with code 2.
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for sentence in failure.sentences() {
                output::complain(sentence);
            }
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Server(arguments) => serve::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Watch(arguments) => watch::run(&arguments),
        Command::Nodes(arguments) => management::nodes(&arguments),
        Command::Clients(arguments) => management::clients::list(&arguments),
        Command::Kick(arguments) => management::clients::kick(&arguments),
        Command::Leave(arguments) => management::leave(&arguments),
        Command::Drain(arguments) => management::drain(&arguments),
        Command::Users(command) => management::users::run(&command),
        Command::Policies(command) => management::policies::run(&command),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Bench(BenchCommand::Status(arguments)) => bench::status::run(&arguments),
        Command::Bench(BenchCommand::Connect(arguments)) => bench::connect::run(&arguments),
        Command::Bench(BenchCommand::Publish(arguments)) => bench::publish::run(&arguments),
        Command::Config(ConfigCommand::Check(arguments)) => configuration::check(&arguments),
        Command::Config(ConfigCommand::Show(arguments)) => configuration::show(&arguments),
        Command::Completions(arguments) => completions::print(arguments.shell),
    }
}
