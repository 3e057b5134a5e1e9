//! `rollcall bench connect`: MQTT connections opened as fast as CONNACKs come, at a fixed rate, or one after another,
//! and then held.

use super::{
    ids::IdSpace,
    latency::{Latencies, LatencySummary, round},
    pace::{PreciseTimer, Schedule},
    progress, report, runtime,
    source_address::source_of,
    target::resolve,
};
use crate::{
    cli::BenchConnectArguments,
    failure::Failure,
    mqtt::{Connect, MqttConnection},
    open_files,
    process_usage::Usage,
};
use indicatif::ProgressBar;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep_until},
};

/// Files the process needs beside its connections.
const OTHER_FILES: u64 = 64;

/// What is reported.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    bench: &'static str,
    targets: Vec<String>,
    threads: u16,
    mode: &'static str,
    rate_per_s: Option<u32>,
    inflight: u32,
    count: u64,
    keep_alive_s: u16,
    pub(super) connected: u64,
    pub(super) failed: u64,
    /// By CONNACK code, or by what came instead of one.
    pub(super) failures: BTreeMap<String, u64>,
    ramp_s: f64,
    pub(super) connects_per_s: f64,
    /// From the TCP connection's beginning to the CONNACK; with a fixed rate, from the moment it was due.
    pub(super) connack: LatencySummary,
    hold_s: u32,
    /// Connections that the other side ended although nobody asked for it.
    pub(super) lost_while_held: u64,
    client_cpu_us_per_connect: f64,
    server_cpu_us_per_connect: Option<f64>,
    server_rss_growth_bytes: Option<i64>,
    server_rss_growth_bytes_per_connection: Option<f64>,
    server_rss_growth_after_hold_bytes: Option<i64>,
}

pub(crate) fn run(arguments: &BenchConnectArguments) -> Result<(), Failure> {
    let report = runtime::run(arguments.measured.threads, measure(arguments))?;
    report::show(&report, arguments.measured.json, Report::text)?;
    match report.connected {
        0 => Err(Failure::new(format!("nothing connected: {}", counts(&report.failures)))),
        _ => Ok(()),
    }
}

struct Shared {
    targets: Vec<SocketAddr>,
    ids: IdSpace,
    keep_alive_s: u16,
    username: Option<String>,
    password: Option<String>,
    timeout: Duration,
    tally: Mutex<Tally>,
}

struct Tally {
    connack: Latencies,
    connected: u64,
    failures: BTreeMap<String, u64>,
    lost: u64,
    last_outcome: Instant,
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the whole measurement.
pub(super) async fn measure(arguments: &BenchConnectArguments) -> Result<Report, Failure> {
    let count = u64::from(arguments.count.get());
    if let Some(limit) = open_files::raise_limit().filter(|limit| *limit < count + OTHER_FILES) {
        return Err(Failure::new(format!(
            "{count} connections are more than the {limit} open files allowed (ulimit -n)"
        )));
    }
    let mut targets = Vec::with_capacity(arguments.target.len());
    for target in &arguments.target {
        targets.push(resolve(target).await?);
    }
    let begin = Instant::now();
    let shared = Arc::new(Shared {
        targets,
        ids: IdSpace::new(&arguments.ids, count),
        keep_alive_s: arguments.keep_alive,
        username: arguments.username.clone(),
        password: arguments.password.clone(),
        timeout: Duration::from_millis(arguments.timeout_ms),
        tally: Mutex::new(Tally {
            connack: Latencies::new()?,
            connected: 0,
            failures: BTreeMap::new(),
            lost: 0,
            last_outcome: begin,
        }),
    });
    let pids = &arguments.measured.server_pid;
    let (own_before, servers_before) = (Usage::own_cpu_us(), Usage::of(pids)?);
    let (leave, left) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let bar = progress::bar(count, "connects");
    open_all(arguments, &shared, &left, &mut tasks, &bar).await?;
    bar.finish_and_clear();
    let (own, ramp) = (Usage::own_cpu_us() - own_before, Usage::of(pids)? - servers_before);
    hold(arguments.hold_s, &shared).await;
    let held = Usage::of(pids)? - servers_before;
    let lost_while_held = shared.tally().lost;
    // Everybody holds a receiver until here.
    let _ = leave.send(true);
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| Failure::new(format!("a connection's task failed: {error}")))?;
    }
    let tally = shared.tally();
    let ramp_s = (tally.last_outcome - begin).as_secs_f64();
    let each = |amount: f64| if tally.connected == 0 { 0.0 } else { round(amount / tally.connected as f64) };
    let with_servers = !pids.is_empty();
    Ok(Report {
        bench: "connect",
        targets: arguments.target.clone(),
        threads: arguments.measured.threads,
        mode: match (arguments.rate, arguments.serial) {
            (Some(_), _) => "fixed_rate",
            (None, true) => "serial",
            (None, false) => "closed_loop",
        },
        rate_per_s: arguments.rate.map(u32::from),
        inflight: inflight(arguments),
        count,
        keep_alive_s: arguments.keep_alive,
        connected: tally.connected,
        failed: tally.failures.values().sum(),
        failures: tally.failures.clone(),
        ramp_s: round(ramp_s),
        connects_per_s: round(tally.connected as f64 / ramp_s.max(1e-6)),
        connack: tally.connack.summary(),
        hold_s: arguments.hold_s,
        lost_while_held,
        client_cpu_us_per_connect: each(own as f64),
        server_cpu_us_per_connect: with_servers.then(|| each(ramp.cpu_us as f64)),
        server_rss_growth_bytes: with_servers.then_some(ramp.rss_bytes),
        server_rss_growth_bytes_per_connection: with_servers.then(|| each(ramp.rss_bytes as f64)),
        server_rss_growth_after_hold_bytes: with_servers.then_some(held.rss_bytes),
    })
}

fn inflight(arguments: &BenchConnectArguments) -> u32 {
    if arguments.serial { 1 } else { arguments.inflight }
}

/// Opens all connections and returns when each has its CONNACK or has failed.
async fn open_all(
    arguments: &BenchConnectArguments,
    shared: &Arc<Shared>,
    left: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let inflight = inflight(arguments);
    let permits = Arc::new(Semaphore::new(inflight as usize));
    let closed = |_| Failure::new("the connections' count was closed");
    let schedule = arguments.rate.map(|rate| Schedule::new(Instant::now(), rate));
    let timer = PreciseTimer::new()?;
    for number in 0..shared.ids.count() {
        // With a fixed rate, waiting for a permit is part of the latency; without, it is not.
        let due = match &schedule {
            Some(schedule) => {
                let due = schedule.take();
                timer.sleep_until(due).await?;
                Some(due)
            }
            None => None,
        };
        let permit = Arc::clone(&permits).acquire_owned().await.map_err(closed)?;
        let due = due.unwrap_or_else(Instant::now);
        tasks.spawn(device(Arc::clone(shared), number, due, permit, left.clone()));
        bar.set_position(number);
    }
    // All permits are back when nobody waits for a CONNACK any more.
    permits.acquire_many(inflight).await.map_err(closed).map(|_| ())
}

/// One connection, from its beginning to its end.
async fn device(
    shared: Arc<Shared>,
    number: u64,
    due: Instant,
    permit: OwnedSemaphorePermit,
    mut left: watch::Receiver<bool>,
) {
    let target = shared.targets[number as usize % shared.targets.len()];
    let client_id = shared.ids.id(number);
    let connect = Connect {
        client_id: &client_id,
        keep_alive_s: shared.keep_alive_s,
        username: shared.username.as_deref(),
        password: shared.password.as_deref(),
    };
    let deadline = Instant::now() + shared.timeout;
    let opened = MqttConnection::open(target, source_of(number, target.ip()), &connect, deadline.into()).await;
    let now = Instant::now();
    let connection = {
        let mut tally = shared.tally();
        tally.last_outcome = tally.last_outcome.max(now);
        match opened {
            Ok(connection) => {
                tally.connack.record(now - due);
                tally.connected += 1;
                connection
            }
            Err(error) => {
                *tally.failures.entry(error.name()).or_default() += 1;
                return;
            }
        }
    };
    drop(permit);
    let left_by_itself = connection
        .hold(async move {
            // The sender outlives all connections.
            let _ = left.wait_for(|leave| *leave).await;
        })
        .await;
    if !left_by_itself {
        shared.tally().lost += 1;
    }
}

async fn hold(hold_s: u32, shared: &Shared) {
    let begin = Instant::now();
    let end = begin + Duration::from_secs(hold_s.into());
    let bar = progress::bar(hold_s.into(), "s held");
    let mut ticks = interval(progress::EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = sleep_until(end.into()) => break,
            _ = ticks.tick(), if !bar.is_hidden() => {
                bar.set_position(begin.elapsed().as_secs());
                bar.set_message(format!("{} lost", shared.tally().lost));
            }
        }
    }
    bar.finish_and_clear();
}

impl Report {
    fn text(&self) -> String {
        let mut text = format!(
            "{} of {} connected in {:.2} s: {:.0}/s ({})\nCONNACK  {}\n",
            self.connected,
            self.count,
            self.ramp_s,
            self.connects_per_s,
            self.mode.replace('_', " "),
            self.connack.line()
        );
        if self.failed > 0 {
            text.push_str(&format!("failed   {}\n", counts(&self.failures)));
        }
        if self.hold_s > 0 || self.lost_while_held > 0 {
            text.push_str(&format!("held     {} s, {} lost\n", self.hold_s, self.lost_while_held));
        }
        text.push_str(&format!("client   {:.2} us of processor time a connect\n", self.client_cpu_us_per_connect));
        if let (Some(cpu_us), Some(bytes)) =
            (self.server_cpu_us_per_connect, self.server_rss_growth_bytes_per_connection)
        {
            text.push_str(&format!(
                "servers  {cpu_us:.2} us of processor time a connect, {bytes:.0} bytes a connection\n"
            ));
        }
        text
    }
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    counts.iter().map(|(key, count)| format!("{key}: {count}")).collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::measure;
    use crate::{
        cli::{BenchCommand, BenchConnectArguments, Cli, Command},
        in_test_server::{InTestServer, serve},
    };
    use clap::Parser;
    use std::{
        collections::BTreeSet,
        sync::{Arc, Mutex, atomic::AtomicU64, atomic::Ordering},
    };
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn arguments(server: &InTestServer, more: &str) -> BenchConnectArguments {
        let line = format!("rollcall bench connect --target {} {more}", server.address);
        match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
            Command::Bench(BenchCommand::Connect(arguments)) => arguments,
            _ => unreachable!(),
        }
    }

    /// Gives each client id the CONNACK code that `code` says, and hangs up on those of 200.
    async fn broker(code: impl Fn(&str) -> u8 + Clone + Send + Sync + 'static) -> InTestServer {
        serve(move |mut stream| {
            let code = code.clone();
            async move {
                let mut head = [0; 2];
                stream.read_exact(&mut head).await.unwrap();
                let mut rest = vec![0; head[1].into()];
                stream.read_exact(&mut rest).await.unwrap();
                let id_bytes = usize::from(u16::from_be_bytes([rest[10], rest[11]]));
                let code = code(std::str::from_utf8(&rest[12..12 + id_bytes]).unwrap());
                let hang_up = code == 200;
                stream.write_all(&[0x20, 2, 0, if hang_up { 0 } else { code }]).await.unwrap();
                let mut ignored = Vec::new();
                if !hang_up {
                    let _ = stream.read_to_end(&mut ignored).await;
                }
            }
        })
        .await
    }

    #[tokio::test]
    async fn every_id_connects_once_and_failures_are_counted_by_their_code() {
        let seen = Arc::new(Mutex::new(BTreeSet::new()));
        let into = Arc::clone(&seen);
        let server = broker(move |id| {
            assert!(into.lock().unwrap().insert(id.to_owned()), "{id} came twice");
            match id {
                "d7" => 5,
                "d8" | "d9" => 3,
                _ => 0,
            }
        })
        .await;
        let report = measure(&arguments(&server, "--count 40 --inflight 8 --id-prefix d --id-digits 0")).await.unwrap();
        assert_eq!(seen.lock().unwrap().len(), 40);
        assert_eq!((report.connected, report.failed), (37, 3));
        assert_eq!(report.failures["connack_5"], 1);
        assert_eq!(report.failures["connack_3"], 2);
        assert_eq!(report.connack.count, 37);
        assert!(report.connects_per_s > 10.0, "{report:?}");
        assert_eq!(report.lost_while_held, 0);
    }

    #[tokio::test]
    async fn connections_that_the_broker_ends_while_they_are_held_are_lost() {
        let server = broker(|id| if id == "VIN0000002" { 200 } else { 0 }).await;
        let report = measure(&arguments(&server, "--count 5 --hold-s 1 --keep-alive 1")).await.unwrap();
        assert_eq!((report.connected, report.lost_while_held), (5, 1));
    }

    #[tokio::test]
    async fn serial_connects_never_overlap() {
        let (open, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (inside, peak) = (Arc::clone(&open), Arc::clone(&most));
        let server = serve(move |mut stream| {
            let (inside, peak) = (Arc::clone(&inside), Arc::clone(&peak));
            async move {
                let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                peak.fetch_max(now, Ordering::SeqCst);
                let mut packet = [0; 512];
                let _ = stream.read(&mut packet).await.unwrap();
                inside.fetch_sub(1, Ordering::SeqCst);
                stream.write_all(&[0x20, 2, 0, 0]).await.unwrap();
                let _ = stream.read(&mut packet).await;
            }
        })
        .await;
        let report = measure(&arguments(&server, "--count 10 --serial")).await.unwrap();
        assert_eq!(report.connected, 10);
        assert_eq!(most.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_fixed_rate_takes_its_time() {
        let server = broker(|_| 0).await;
        let report = measure(&arguments(&server, "--count 51 --rate 100")).await.unwrap();
        assert_eq!(report.connected, 51);
        assert!((60.0..=103.0).contains(&report.connects_per_s), "{report:?}");
    }
}
