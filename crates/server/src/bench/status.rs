//! `rollcall bench status`: random clients' status, asked over HTTP/1.1, in a closed loop or at a fixed rate.

use super::{
    ids::IdSpace,
    latency::{LatencySummary, round},
    pace::{PreciseTimer, Schedule},
    progress, report,
    request::{RequestTemplate, Wanted},
    runtime,
    tally::{Said, Tally},
};
use crate::{
    cli::BenchStatusArguments,
    failure::Failure,
    http::{ExchangeError, HttpConnection, PlainUrl, basic},
    open_files,
    process_usage::Usage,
};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, sleep_until},
};

/// Wait before a connection that was refused is tried again, so that an absent server is not a busy loop.
const RECONNECT_PAUSE: Duration = Duration::from_millis(10);
/// Files the process needs beside its connections.
const OTHER_FILES: u64 = 64;

/// What is reported.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    bench: &'static str,
    urls: Vec<String>,
    connections: u32,
    threads: u16,
    mode: &'static str,
    rate_per_s: Option<u32>,
    ids: u64,
    warm_up_ms: u32,
    duration_s: u32,
    pub(super) answers: u64,
    pub(super) answers_per_s: f64,
    /// Ids in one question; 1 where no batches are asked.
    batch: u16,
    /// Ids answered, per second: those that some 200 spoke of.
    pub(super) ids_per_s: f64,
    pub(super) codes: BTreeMap<u16, u64>,
    pub(super) bodies: BTreeMap<&'static str, u64>,
    pub(super) errors: BTreeMap<&'static str, u64>,
    /// Questions of a fixed rate that were due and never sent, because every connection was waiting.
    pub(super) not_started: u64,
    reconnects: u64,
    pub(super) latency: LatencySummary,
    client_cpu_us_per_answer: f64,
    server_cpu_us_per_answer: Option<f64>,
    server_rss_growth_bytes: Option<i64>,
}

pub(crate) fn run(arguments: &BenchStatusArguments) -> Result<(), Failure> {
    let report = runtime::run(arguments.measured.threads, measure(arguments))?;
    report::show(&report, arguments.measured.json, Report::text)?;
    match report.answers {
        0 => Err(Failure::new(format!("no answer came; errors: {:?}", report.errors))),
        _ => Ok(()),
    }
}

struct Target {
    address: SocketAddr,
    template: RequestTemplate,
}

struct Shared {
    targets: Vec<Target>,
    ids: IdSpace,
    schedule: Option<Schedule>,
    measured_from: Instant,
    end: Instant,
    timeout: Duration,
    in_batches: bool,
    tally: Mutex<Tally>,
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        // A count is whole after every step, whatever happened to the task that took it.
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the whole measurement.
pub(super) async fn measure(arguments: &BenchStatusArguments) -> Result<Report, Failure> {
    let connections = arguments.connections;
    if open_files::raise_limit().is_some_and(|limit| limit < u64::from(connections) * 2 + OTHER_FILES) {
        return Err(Failure::new(format!(
            "{connections} connections are more than the open files allowed (ulimit -n)"
        )));
    }
    let authorization = match &arguments.account.user {
        Some(user) if !arguments.no_auth => {
            Some(basic(user, arguments.account.password.as_deref().unwrap_or_default()))
        }
        _ => None,
    };
    let wanted = Wanted {
        method: arguments.method,
        path: &arguments.path_template,
        body: arguments.body_template.as_deref(),
        authorization: authorization.as_deref(),
    };
    let mut targets = Vec::with_capacity(arguments.url.len());
    for url in &arguments.url {
        let url = PlainUrl::parse(url)?;
        let template = match arguments.batch {
            None => RequestTemplate::new(&url, wanted)?,
            Some(ids) => RequestTemplate::batch(&url, ids, authorization.as_deref())?,
        };
        targets.push(Target { address: url.resolve().await?, template });
    }
    let begin = Instant::now();
    let measured_from = begin + Duration::from_millis(arguments.warm_up_ms.into());
    let end = measured_from + Duration::from_secs(arguments.duration_s.into());
    let shared = Arc::new(Shared {
        targets,
        ids: IdSpace::new(&arguments.ids, arguments.count.get().into()),
        schedule: arguments.rate.map(|rate| Schedule::new(begin, rate)),
        measured_from,
        end,
        timeout: Duration::from_millis(arguments.timeout_ms),
        in_batches: arguments.batch.is_some(),
        tally: Mutex::new(Tally::new()?),
    });
    let mut tasks = JoinSet::new();
    for number in 0..connections {
        tasks.spawn(drive(Arc::clone(&shared), number, arguments.seed.wrapping_add(number.into())));
    }
    let pids = &arguments.measured.server_pid;
    sleep_until(measured_from.into()).await;
    let (own_before, servers_before) = (Usage::own_cpu_us(), Usage::of(pids)?);
    show_progress(&shared, arguments.duration_s).await;
    let (own, servers) = (Usage::own_cpu_us() - own_before, Usage::of(pids)? - servers_before);
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| Failure::new(format!("a connection's task failed: {error}")))??;
    }
    let mut tally = shared.tally();
    // What was due and not even sent waited at least until now; leaving it out would hide the worst of a stall.
    let mut not_started = 0;
    for due in shared.schedule.iter().flat_map(|schedule| schedule.untaken(end)) {
        if due >= measured_from {
            tally.latencies.record(end - due);
            not_started += 1;
        }
    }
    let answers = tally.answers();
    let each = |us: u64| if answers == 0 { 0.0 } else { round(us as f64 / answers as f64) };
    Ok(Report {
        bench: "status",
        urls: arguments.url.clone(),
        connections,
        threads: arguments.measured.threads,
        mode: if arguments.rate.is_some() { "fixed_rate" } else { "closed_loop" },
        rate_per_s: arguments.rate.map(u32::from),
        ids: shared.ids.count(),
        warm_up_ms: arguments.warm_up_ms,
        duration_s: arguments.duration_s,
        answers,
        answers_per_s: round(answers as f64 / f64::from(arguments.duration_s)),
        batch: arguments.batch.unwrap_or(1),
        ids_per_s: round(tally.bodies().values().sum::<u64>() as f64 / f64::from(arguments.duration_s)),
        codes: tally.codes.clone(),
        bodies: tally.bodies(),
        errors: tally.errors.clone(),
        not_started: not_started + tally.not_started,
        reconnects: tally.reconnects,
        latency: tally.latencies.summary(),
        client_cpu_us_per_answer: each(own),
        server_cpu_us_per_answer: (!pids.is_empty()).then(|| each(servers.cpu_us)),
        server_rss_growth_bytes: (!pids.is_empty()).then_some(servers.rss_bytes),
    })
}

async fn show_progress(shared: &Shared, duration_s: u32) {
    let bar = progress::bar(duration_s.into(), "s");
    let mut ticks = interval(progress::EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = sleep_until(shared.end.into()) => break,
            _ = ticks.tick(), if !bar.is_hidden() => {
                let passed = shared.measured_from.elapsed();
                let answers = shared.tally().answers();
                bar.set_position(passed.as_secs());
                bar.set_message(format!("{:.0} answers/s", answers as f64 / passed.as_secs_f64().max(0.001)));
            }
        }
    }
    bar.finish_and_clear();
}

/// One connection: asks, waits for the answer, asks again.
async fn drive(shared: Arc<Shared>, number: u32, seed: u64) -> Result<(), Failure> {
    let target = &shared.targets[number as usize % shared.targets.len()];
    let timer = shared.schedule.as_ref().map(|_| PreciseTimer::new()).transpose()?;
    let mut random = SmallRng::seed_from_u64(seed);
    let mut connection: Option<HttpConnection> = None;
    let mut connected_before = false;
    let (mut request, mut scratch) = (Vec::with_capacity(512), Vec::new());
    let mut now = Instant::now();
    loop {
        let mut due = now;
        if let (Some(schedule), Some(timer)) = (&shared.schedule, &timer) {
            due = schedule.take();
            if due >= shared.end {
                return Ok(());
            }
            timer.sleep_until(due).await?;
            now = Instant::now();
        }
        if now >= shared.end {
            if due < shared.end && due >= shared.measured_from {
                let mut tally = shared.tally();
                tally.latencies.record(shared.end - due);
                tally.not_started += 1;
            }
            return Ok(());
        }
        let place = random.random_range(0..shared.ids.count());
        target.template.write(&shared.ids, place, &mut request, &mut scratch);
        let deadline = now + shared.timeout;
        let outcome = async {
            let link = match connection.take().filter(HttpConnection::is_usable) {
                Some(link) => connection.insert(link),
                None => {
                    let link = HttpConnection::open(target.address, deadline).await?;
                    if std::mem::replace(&mut connected_before, true) {
                        shared.tally().reconnects += 1;
                    }
                    connection.insert(link)
                }
            };
            let response = link.exchange(&request, deadline).await?;
            // What is done with the answer here is no part of its latency.
            let arrived = Instant::now();
            let said = match shared.in_batches {
                true => Said::counts_in_batch(response.body),
                false => Said::by(response.body).counts(),
            };
            Ok::<_, ExchangeError>((response.status, said, arrived))
        }
        .await;
        now = Instant::now();
        // A closed loop ends on time; what a fixed rate began is part of it, however late its answer.
        let counts = due >= shared.measured_from && (now <= shared.end || shared.schedule.is_some());
        match outcome {
            Ok((status, said, arrived)) if counts => shared.tally().answered(status, said, arrived - due),
            Ok(_) => {}
            Err(error) => {
                if counts {
                    shared.tally().failed(&error);
                }
                if matches!(error, ExchangeError::Connect(_)) {
                    sleep(RECONNECT_PAUSE).await;
                    now = Instant::now();
                }
            }
        }
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = format!(
            "{} answers in {} s: {:.0}/s over {} connections ({})\nlatency  {}\n",
            self.answers,
            self.duration_s,
            self.answers_per_s,
            self.connections,
            self.mode.replace('_', " "),
            self.latency.line()
        );
        if self.batch > 1 {
            text.push_str(&format!("ids      {:.0}/s in batches of {}\n", self.ids_per_s, self.batch));
        }
        text.push_str(&format!("codes    {}\n", counts(&self.codes)));
        text.push_str(&format!("bodies   {}\n", counts(&self.bodies)));
        if !self.errors.is_empty() {
            text.push_str(&format!("errors   {}\n", counts(&self.errors)));
        }
        if self.not_started > 0 {
            text.push_str(&format!("late     {} were due and never sent\n", self.not_started));
        }
        text.push_str(&format!("client   {:.2} us of processor time an answer\n", self.client_cpu_us_per_answer));
        if let Some(cpu_us) = self.server_cpu_us_per_answer {
            text.push_str(&format!("servers  {cpu_us:.2} us of processor time an answer\n"));
        }
        text
    }
}

fn counts<K: std::fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    counts.iter().map(|(key, count)| format!("{key}: {count}")).collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests;
