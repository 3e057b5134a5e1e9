//! The options of the operator's verbs about clients, nodes, users and policies.

use crate::cli::{ManagementArguments, node_name};
use clap::{Args, Subcommand, ValueEnum};
use std::{net::IpAddr, path::PathBuf};

#[derive(Args, Debug)]
pub(crate) struct ClientsArguments {
    /// Only clients whose id begins with this.
    #[arg(long, value_name = "PREFIX")]
    pub(crate) prefix: Option<String>,
    /// Only clients online on this node.
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// Only clients of this account.
    #[arg(long, value_name = "NAME")]
    pub(crate) username: Option<String>,
    /// Only clients that are online; with `=false`, only those that are not.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) online: Option<bool>,
    /// So many at most.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    #[command(flatten)]
    pub(crate) api: ManagementArguments,
    /// Print one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct KickArguments {
    /// The client id.
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// End its session as well: what waits for it is gone.
    #[arg(long)]
    pub(crate) delete_session: bool,
    #[command(flatten)]
    pub(crate) api: ManagementArguments,
}

#[derive(Args, Debug)]
pub(crate) struct DrainArguments {
    /// The node's name.
    #[arg(value_name = "NODE", value_parser = node_name)]
    pub(crate) name: String,
    /// Let it serve again.
    #[arg(long)]
    pub(crate) undo: bool,
    #[command(flatten)]
    pub(crate) api: ManagementArguments,
}

#[derive(Subcommand, Debug)]
pub(crate) enum UsersCommand {
    /// List users with their roles.
    List(ListArguments),
    /// Add a user.
    Add(UserAddArguments),
    /// Remove a user; its connections are closed on all nodes.
    Remove(NamedArguments),
    /// Give a user another password.
    Password(UserPasswordArguments),
}

#[derive(Args, Debug)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    pub(crate) api: ManagementArguments,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct NamedArguments {
    /// Its name.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) api: ManagementArguments,
}

#[derive(Args, Debug)]
pub(crate) struct UserAddArguments {
    /// The user's name.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// What it may do.
    #[arg(long, value_enum, value_name = "ROLE", default_value = "client")]
    pub(crate) role: UserRole,
    #[command(flatten)]
    pub(crate) new: NewPasswordArguments,
    #[command(flatten)]
    pub(crate) api: ManagementArguments,
}

#[derive(Args, Debug)]
pub(crate) struct UserPasswordArguments {
    /// The user's name.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) new: NewPasswordArguments,
    #[command(flatten)]
    pub(crate) api: ManagementArguments,
}

#[derive(Args, Debug)]
pub(crate) struct NewPasswordArguments {
    /// The user's password; without it, the first line of standard input.
    #[arg(long, value_name = "PASSWORD", env = "ROLLCALL_NEW_PASSWORD", hide_env_values = true)]
    pub(crate) new_password: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum UserRole {
    /// MQTT and the status query, as policies allow.
    Client,
    /// Reads the management API.
    Viewer,
    /// Operates clients and nodes.
    Operator,
    /// Everything.
    Admin,
}

#[derive(Subcommand, Debug)]
pub(crate) enum PoliciesCommand {
    /// List policies in the order they are tried.
    List(ListArguments),
    /// Print one policy as JSON.
    Show(NamedArguments),
    /// Put policies from a file: each replaces the one of its name where it stands, or is added at the end.
    Set(PolicySetArguments),
    /// Remove a policy.
    Remove(NamedArguments),
    /// Say which rule decides about a request that somebody might make.
    Explain(PolicyExplainArguments),
}

#[derive(Args, Debug)]
pub(crate) struct PolicySetArguments {
    /// JSON: one policy, several in an array, or what `list --json` prints; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) api: ManagementArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AskedAction {
    /// To connect.
    Connect,
    /// To publish.
    Pub,
    /// To subscribe.
    Sub,
}

#[derive(Args, Debug)]
pub(crate) struct PolicyExplainArguments {
    /// What somebody wants to do.
    #[arg(value_enum, value_name = "ACTION")]
    pub(crate) action: AskedAction,
    /// The topic or the filter, of `pub` and `sub`.
    #[arg(value_name = "TOPIC", required_if_eq_any = [("action", "pub"), ("action", "sub")])]
    pub(crate) topic: Option<String>,
    /// As which client; `pub` and `sub` need one.
    #[arg(long, value_name = "ID", required_if_eq_any = [("action", "pub"), ("action", "sub")])]
    pub(crate) client_id: Option<String>,
    /// As which account.
    #[arg(long, value_name = "NAME")]
    pub(crate) username: Option<String>,
    /// From which address.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip: Option<IpAddr>,
    /// With this QoS.
    #[arg(long, value_name = "QOS", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(crate) qos: u8,
    /// With the RETAIN flag.
    #[arg(long)]
    pub(crate) retain: bool,
    #[command(flatten)]
    pub(crate) api: ManagementArguments,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
