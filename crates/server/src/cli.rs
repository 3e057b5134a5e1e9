//! The command line: every verb with its options. What they do is elsewhere.

use crate::management::arguments::{ClientsArguments, DrainArguments, KickArguments, PoliciesCommand, UsersCommand};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::{num::NonZeroU32, path::PathBuf};

/// A cluster of MQTT brokers that knows which clients are online, and says so on any node.
#[derive(Parser, Debug)]
#[command(
    name = "rollcall",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run one node.
    Server(ServerArguments),
    /// Three nodes on loopback with devices that come and go, and one node killed.
    ///
    /// Starts three real processes with data directories in a temporary folder, user `user0` with password `secret0`,
    /// connects MQTT devices, and prints how each node answers over its own HTTP port. Then it kills a node, shows the
    /// answers turning right on the others, and starts it again.
    Demo(DemoArguments),
    /// Ask whether clients are online.
    Status(StatusArguments),
    /// Follow who comes and goes, without a gap.
    ///
    /// One line for each event: time, client, online or offline, node, reason. When a stream breaks off it goes on where it
    /// was, at the next of the nodes given. Where events are no longer kept it says so and goes on from then. It runs until
    /// it is ended, or until a node refuses it.
    Watch(WatchArguments),
    /// List clients with their state, node and account.
    Clients(ClientsArguments),
    /// End the connection of a client, on whichever node it is.
    ///
    /// A client of MQTT 5 is told so (DISCONNECT 0x98). It may connect again: a block rule keeps it out.
    Kick(KickArguments),
    /// List the members of the cluster.
    Nodes(NodesArguments),
    /// Tell a member to serve no clients and to lead nothing, or to serve again.
    ///
    /// Its clients are asked to go elsewhere in waves. It stays a member, and stays drained until it is told otherwise, also
    /// over a restart.
    Drain(DrainArguments),
    /// List, add, change and remove users.
    #[command(subcommand)]
    Users(UsersCommand),
    /// List, change and remove policies, and say what they decide.
    #[command(subcommand)]
    Policies(PoliciesCommand),
    /// Tell a member to leave the cluster, alive or dead.
    ///
    /// A living node asks its clients to go elsewhere, hands over what it holds, and ends. A dead one is replaced by
    /// others as far as there are enough. Its data directory can join again only when it is emptied.
    Leave(LeaveArguments),
    /// Print what the data directory of a stopped node says about who connected and left.
    ///
    /// One JSON object a line: for each partition the last log entry on this disk, then every transition that is kept,
    /// in the order of the log. The entries at the very end of a log may not be committed. Nothing is changed.
    Inspect(InspectArguments),
    /// Measure: a load generator for any MQTT broker and any status URL.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Look at a configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the completion script of a shell.
    Completions(CompletionsArguments),
}

#[derive(Args, Debug)]
pub(crate) struct ServerArguments {
    /// Configuration file; without one, a single-node cluster on loopback.
    #[arg(long, value_name = "FILE", env = "ROLLCALL_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Stop when standard input, a pipe, ends.
    #[arg(long, hide = true)]
    pub(crate) stop_with_stdin: bool,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArguments {
    /// End when all was shown: with 0 when all of it held, with 1 when not. Without it, the cluster stays up until
    /// Ctrl-C.
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Args, Debug)]
pub(crate) struct StatusArguments {
    /// Client ids; `-` reads more of them from standard input, one a line.
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<String>,
    /// Any node's HTTP address.
    #[arg(long, value_name = "URL", env = "ROLLCALL_URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) account: AccountArguments,
    /// Print one JSON object a line instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Questions under way at the same time.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) concurrency: u16,
    /// How often to ask again after 429 or 503, each time after the wait the node asks for.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) retries: u8,
    /// How long one question may take, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(crate) timeout_ms: u64,
}

#[derive(Args, Debug)]
pub(crate) struct WatchArguments {
    /// Only this client.
    #[arg(long, value_name = "ID")]
    pub(crate) client: Option<String>,
    /// Only clients whose id begins with this.
    #[arg(long, value_name = "PREFIX", conflicts_with = "client")]
    pub(crate) prefix: Option<String>,
    /// Go on behind this id, as `--json` prints it; without it, from now on.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) from: Option<String>,
    /// HTTP addresses of nodes; when one fails the next is taken.
    #[arg(long, value_name = "URL", env = "ROLLCALL_URL", value_delimiter = ',')]
    #[arg(default_value = "http://127.0.0.1:8080")]
    pub(crate) url: Vec<String>,
    #[command(flatten)]
    pub(crate) account: AccountArguments,
    /// Print every event as one JSON object a line, with its id; also those that only say how far the stream is.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct AccountArguments {
    /// User name for Basic authentication.
    #[arg(long, value_name = "NAME", env = "ROLLCALL_USER")]
    pub(crate) user: Option<String>,
    /// Its password; better in the variable, since others can read a command line.
    #[arg(long, value_name = "PASSWORD", env = "ROLLCALL_PASSWORD", hide_env_values = true)]
    pub(crate) password: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ManagementArguments {
    /// Any node's admin address.
    #[arg(long, value_name = "URL", env = "ROLLCALL_ADMIN_URL", default_value = "http://127.0.0.1:8081")]
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) account: AccountArguments,
}

#[derive(Args, Debug)]
pub(crate) struct InspectArguments {
    /// The directory, as in node.data_dir.
    #[arg(value_name = "DATA_DIR")]
    pub(crate) data_dir: PathBuf,
    /// Only transitions of this client.
    #[arg(long, value_name = "ID")]
    pub(crate) client: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct NodesArguments {
    #[command(flatten)]
    pub(crate) api: ManagementArguments,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct LeaveArguments {
    /// The node's name.
    #[arg(value_name = "NAME", value_parser = node_name)]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) api: ManagementArguments,
}

/// Names need no encoding in a path.
pub(crate) fn node_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.is_empty() || !text.chars().all(fits) || text.starts_with('.') {
        return Err("a node's name consists of A-Z a-z 0-9 . _ -".to_owned());
    }
    Ok(text.to_owned())
}

#[derive(Subcommand, Debug)]
pub(crate) enum BenchCommand {
    /// Ask for the status of random clients, as fast as answers come or at a fixed rate.
    Status(BenchStatusArguments),
    /// Open MQTT connections and hold them.
    Connect(BenchConnectArguments),
    /// Send messages from publishers to subscribers, as fast as they are delivered or at a fixed rate.
    Publish(BenchPublishArguments),
}

/// Who sends to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// Each publisher has a subscriber of its own.
    Pairs,
    /// One publisher, every client subscribes to its topic.
    FanOut,
    /// Every client publishes, one subscriber takes all through a shared subscription.
    FanIn,
}

impl Shape {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Shape::Pairs => "pairs",
            Shape::FanOut => "fan-out",
            Shape::FanIn => "fan-in",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum Method {
    /// GET
    Get,
    /// POST
    Post,
}

#[derive(Args, Debug)]
pub(crate) struct BenchStatusArguments {
    /// Where to ask; several are spread over the connections. Plain http only.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) url: Vec<String>,
    #[command(flatten)]
    pub(crate) account: AccountArguments,
    /// Send no Authorization header, whatever the environment says.
    #[arg(long)]
    pub(crate) no_auth: bool,
    /// Connections, each with one question under way.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) connections: u32,
    /// How long to measure, in seconds.
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) duration_s: u32,
    /// How long to ask before that without measuring, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(0..=600_000))]
    pub(crate) warm_up_ms: u32,
    /// Questions per second over all connections; each latency then counts from the moment the question was due, so
    /// that a stall is seen by all that had to wait. Without it, every connection asks as soon as it has its answer.
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<NonZeroU32>,
    #[command(flatten)]
    pub(crate) ids: IdArguments,
    /// How many ids there are; each question takes one of them at random.
    #[arg(long = "ids", value_name = "N", default_value = "15000")]
    pub(crate) count: NonZeroU32,
    /// Seed of the random choice, to ask the same questions again.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Ask for so many ids in one question, by `POST /client-ids/status`: those from a random one on.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    #[arg(conflicts_with_all = ["path_template", "method", "body_template"])]
    pub(crate) batch: Option<u16>,
    /// Path asked: `{id}` is the id URL-encoded, `{id_base64}` its Base64.
    #[arg(long, value_name = "PATH", default_value = "/client-id/{id}/status")]
    pub(crate) path_template: String,
    /// Method.
    #[arg(long, value_enum, value_name = "METHOD", default_value = "GET")]
    pub(crate) method: Method,
    /// Body sent: `{id}` is the id as JSON writes it inside quotes, `{id_base64}` its Base64.
    #[arg(long, value_name = "BODY")]
    pub(crate) body_template: Option<String>,
    /// How long one question may take, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(crate) timeout_ms: u64,
    #[command(flatten)]
    pub(crate) measured: MeasuredArguments,
}

#[derive(Args, Debug)]
pub(crate) struct BenchConnectArguments {
    /// Broker addresses; connections are spread over them in turn.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1883")]
    pub(crate) target: Vec<String>,
    /// How many connections to open.
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) count: NonZeroU32,
    /// How many may wait for their CONNACK at the same time.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) inflight: u32,
    /// One after another: the same as `--inflight 1`.
    #[arg(long, conflicts_with_all = ["inflight", "rate"])]
    pub(crate) serial: bool,
    /// Connections opened per second; latencies then count from the moment each was due.
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<NonZeroU32>,
    /// How long to hold the connections after the last CONNACK, in seconds.
    #[arg(long, value_name = "S", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub(crate) hold_s: u32,
    #[command(flatten)]
    pub(crate) ids: IdArguments,
    /// Keep-alive announced, in seconds; pings keep the connections open. 0 is none.
    #[arg(long, value_name = "S", default_value_t = 60)]
    pub(crate) keep_alive: u16,
    /// MQTT user name.
    #[arg(long, value_name = "NAME")]
    pub(crate) username: Option<String>,
    /// MQTT password.
    #[arg(long, value_name = "PASSWORD", env = "ROLLCALL_PASSWORD", hide_env_values = true)]
    pub(crate) password: Option<String>,
    /// How long the TCP connection and the CONNACK may take together, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(crate) timeout_ms: u64,
    #[command(flatten)]
    pub(crate) measured: MeasuredArguments,
}

#[derive(Args, Debug)]
pub(crate) struct BenchPublishArguments {
    /// Broker that the publishers connect to.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1883")]
    pub(crate) target: String,
    /// Broker that the subscribers connect to, if it is another.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) subscribe_target: Option<String>,
    /// Who sends to whom.
    #[arg(long, value_enum, value_name = "SHAPE", default_value = "pairs")]
    pub(crate) shape: Shape,
    /// How many pairs, subscribers of the one publisher, or publishers to the one subscriber.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) clients: u32,
    /// QoS of publishes and subscriptions.
    #[arg(long, value_name = "QOS", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(crate) qos: u8,
    /// Bytes of each payload, at least 12.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub(crate) payload_bytes: u32,
    /// Without a rate: messages of a publisher under way at the same time.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub(crate) window: u32,
    /// Messages published per second over all publishers; latencies then count from the moment each was due.
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<NonZeroU32>,
    /// How long to measure, in seconds.
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) duration_s: u32,
    /// How long to send before that without measuring, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(0..=600_000))]
    pub(crate) warm_up_ms: u32,
    /// What every topic begins with, and every client id; a number follows.
    #[arg(long, value_name = "TEXT", default_value = "bench")]
    pub(crate) topic_prefix: String,
    /// MQTT user name.
    #[arg(long, value_name = "NAME")]
    pub(crate) username: Option<String>,
    /// MQTT password.
    #[arg(long, value_name = "PASSWORD", env = "ROLLCALL_PASSWORD", hide_env_values = true)]
    pub(crate) password: Option<String>,
    #[command(flatten)]
    pub(crate) measured: MeasuredArguments,
}

#[derive(Args, Debug)]
pub(crate) struct IdArguments {
    /// What every id begins with; a number follows.
    #[arg(long, value_name = "TEXT", default_value = "VIN")]
    pub(crate) id_prefix: String,
    /// Digits of the number, filled up with zeros; 0 fills nothing up.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u8).range(0..=20))]
    pub(crate) id_digits: u8,
    /// The first number.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) id_start: u64,
}

#[derive(Args, Debug)]
pub(crate) struct MeasuredArguments {
    /// Server processes on this machine whose processor time and memory are reported as well.
    #[arg(long, value_name = "PID", num_args = 1.., value_delimiter = ',')]
    pub(crate) server_pid: Vec<u32>,
    /// Threads of the load generator; with one it takes at most one core.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: u16,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ConfigCommand {
    /// Say whether a file is valid, and everything that is not.
    Check(CheckArguments),
    /// Print what is in effect and where each value came from; secrets are hidden.
    Show(ShowArguments),
}

#[derive(Args, Debug)]
pub(crate) struct CheckArguments {
    /// Configuration file.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct ShowArguments {
    /// Configuration file; without one, defaults and environment only.
    #[arg(long, value_name = "FILE", env = "ROLLCALL_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct CompletionsArguments {
    /// Shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}
