//! `rollcall bench publish`: messages from publishers to subscribers, in a closed loop or at a fixed rate, over one broker
//! or from one node to another.
//!
//! In the closed loop a publisher has at most so many messages under way that are not delivered to all of their
//! subscribers; so the broker is never asked for more than it gives, and the rate is what it can do.

mod flow;
mod frames;
mod measured;

mod tasks;

use super::{
    latency::{Latencies, round},
    pace::Schedule,
    progress, report, runtime,
    source_address::source_of,
    target::resolve,
};
use crate::{
    cli::{BenchPublishArguments, Shape},
    failure::Failure,
    mqtt::{Connect, MqttConnection},
    open_files,
    process_usage::Usage,
};
use flow::{STAMP_BYTES, Shared};
use measured::Report;
use std::{
    net::SocketAddr,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep_until},
};

/// Files the process needs beside its connections.
const OTHER_FILES: u64 = 64;
/// From connecting the first client to the first message.
const STARTS_WITHIN: Duration = Duration::from_secs(30);
/// What is still under way at the end is waited for so long.
const LATE_WITHIN: Duration = Duration::from_secs(5);

pub(crate) fn run(arguments: &BenchPublishArguments) -> Result<(), Failure> {
    let report = runtime::run(arguments.measured.threads, measure(arguments))?;
    report::show(&report, arguments.measured.json, Report::text)?;
    match report.deliveries {
        0 => Err(Failure::new("nothing was delivered")),
        _ => Ok(()),
    }
}

/// Who talks to whom.
struct Plan {
    publishers: u32,
    /// One for each subscriber.
    filters: Vec<String>,
    /// Deliveries that each message makes.
    copies: u64,
}

impl Plan {
    fn new(arguments: &BenchPublishArguments) -> Plan {
        let (count, prefix) = (arguments.clients, &arguments.topic_prefix);
        match arguments.shape {
            Shape::Pairs => {
                Plan { publishers: count, filters: (0..count).map(|n| format!("{prefix}/{n}")).collect(), copies: 1 }
            }
            Shape::FanOut => Plan {
                publishers: 1,
                filters: (0..count).map(|_| format!("{prefix}/0")).collect(),
                copies: u64::from(count),
            },
            Shape::FanIn => Plan { publishers: count, filters: vec![format!("$share/bench/{prefix}/+")], copies: 1 },
        }
    }
}

async fn measure(arguments: &BenchPublishArguments) -> Result<Report, Failure> {
    let plan = Plan::new(arguments);
    let connections = u64::from(plan.publishers) + plan.filters.len() as u64;
    if open_files::raise_limit().is_some_and(|limit| limit < connections * 2 + OTHER_FILES) {
        return Err(Failure::new(format!(
            "{connections} connections are more than the open files allowed (ulimit -n)"
        )));
    }
    let payload_bytes = arguments.payload_bytes as usize;
    if payload_bytes < STAMP_BYTES {
        return Err(Failure::new(format!("--payload-bytes must be at least {STAMP_BYTES}: each message is stamped")));
    }
    let to = resolve(&arguments.target).await?;
    let from = match &arguments.subscribe_target {
        Some(target) => resolve(target).await?,
        None => to,
    };
    let mut subscribers = Vec::with_capacity(plan.filters.len());
    for (number, filter) in plan.filters.iter().enumerate() {
        let mut stream = open(arguments, from, &format!("s{number}"), number as u64).await?;
        tasks::subscribe(&mut stream, filter, arguments.qos).await?;
        subscribers.push(stream);
    }
    let mut publishers = Vec::with_capacity(plan.publishers as usize);
    for number in 0..plan.publishers {
        publishers.push(open(arguments, to, &format!("p{number}"), u64::from(number)).await?);
    }

    let begin = Instant::now();
    let measured_from = begin + Duration::from_millis(arguments.warm_up_ms.into());
    let end = measured_from + Duration::from_secs(arguments.duration_s.into());
    let shared = Arc::new(Shared::new(
        (begin, measured_from, end),
        publishers.len(),
        (plan.copies, arguments.window.into()),
        (arguments.qos, payload_bytes),
        Latencies::new()?,
    ));
    let (stop, stopped) = watch::channel(false);
    let mut running = JoinSet::new();
    for stream in subscribers {
        running.spawn(tasks::take(Arc::clone(&shared), stream, stopped.clone()));
    }
    for (number, stream) in (0..).zip(publishers) {
        let topic = format!("{}/{number}", arguments.topic_prefix);
        let schedule = arguments.rate.map(|rate| paced(begin, rate, number, plan.publishers));
        running.spawn(tasks::give(Arc::clone(&shared), number, topic, schedule, stream, stopped.clone()));
    }
    let pids = &arguments.measured.server_pid;
    sleep_until(measured_from.into()).await;
    let (own_before, servers_before) = (Usage::own_cpu_us(), Usage::of(pids)?);
    show_progress(&shared, arguments.duration_s, &mut running).await?;
    let (own, servers) = (Usage::own_cpu_us() - own_before, Usage::of(pids)? - servers_before);
    let missing = late(&shared).await;
    // Everybody holds a receiver until here.
    let _ = stop.send(true);
    while let Some(ended) = running.join_next().await {
        ended.map_err(|error| Failure::new(format!("a connection's task failed: {error}")))??;
    }
    let measured = shared.measured();
    let each = |us: u64| if measured.deliveries == 0 { 0.0 } else { round(us as f64 / measured.deliveries as f64) };
    Ok(Report {
        bench: "publish",
        target: arguments.target.clone(),
        subscribe_target: arguments.subscribe_target.clone(),
        shape: arguments.shape.name(),
        mode: if arguments.rate.is_some() { "fixed_rate" } else { "closed_loop" },
        rate_per_s: arguments.rate.map(u32::from),
        threads: arguments.measured.threads,
        clients: arguments.clients,
        qos: arguments.qos,
        payload_bytes: arguments.payload_bytes,
        window: arguments.window,
        duration_s: arguments.duration_s,
        deliveries: measured.deliveries,
        deliveries_per_s: round(measured.deliveries as f64 / f64::from(arguments.duration_s)),
        missing: missing.0,
        unacknowledged: missing.1,
        latency: measured.latencies.summary(),
        client_cpu_us_per_delivery: each(own),
        server_cpu_us_per_delivery: (!pids.is_empty()).then(|| each(servers.cpu_us)),
    })
}

/// The share of one publisher; the shares of all interleave.
fn paced(begin: Instant, rate: NonZeroU32, number: u32, publishers: u32) -> Schedule {
    let phase = Duration::from_secs_f64(f64::from(number) / f64::from(rate.get()));
    Schedule::shared(begin + phase, rate, publishers)
}

async fn open(
    arguments: &BenchPublishArguments,
    target: SocketAddr,
    name: &str,
    number: u64,
) -> Result<TcpStream, Failure> {
    let client_id = format!("{}-{name}", arguments.topic_prefix.replace('/', "-"));
    let connect = Connect {
        client_id: &client_id,
        // No pings are sent: a measurement is shorter than the longest keep-alive, and idle clients cost nothing.
        keep_alive_s: 0,
        username: arguments.username.as_deref(),
        password: arguments.password.as_deref(),
    };
    let deadline = Instant::now() + STARTS_WITHIN;
    let opened = MqttConnection::open(target, source_of(number, target.ip()), &connect, deadline.into()).await;
    opened
        .map(MqttConnection::into_stream)
        .map_err(|error| Failure::new(format!("{client_id} cannot connect to {target}: {error}")))
}

/// Waits for the end; a task that ends before it has failed.
async fn show_progress(
    shared: &Shared,
    duration_s: u32,
    running: &mut JoinSet<Result<(), Failure>>,
) -> Result<(), Failure> {
    let bar = progress::bar(duration_s.into(), "s");
    let mut ticks = interval(progress::EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = sleep_until(shared.end.into()) => break,
            Some(ended) = running.join_next() => {
                ended.map_err(|error| Failure::new(format!("a connection's task failed: {error}")))??;
            }
            _ = ticks.tick(), if !bar.is_hidden() => bar.set_position(shared.measured_from.elapsed().as_secs()),
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// Waits for what is under way; what is still missing then.
async fn late(shared: &Shared) -> (u64, u64) {
    let mut ticks = interval(Duration::from_millis(20));
    while shared.missing() != (0, 0) && shared.end.elapsed() < LATE_WITHIN {
        ticks.tick().await;
    }
    shared.missing()
}

#[cfg(test)]
mod tests;
