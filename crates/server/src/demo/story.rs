//! What happens in the demo, in order, and what every node must say after each step.

use super::{
    LEASE_MS, PASSWORD, USERNAME,
    asking::{self, ROUND_EVERY},
    devices::Devices,
    node_process::NodeProcess,
    verdict::{Seen, Truth, Verdict},
};
use crate::{failure::Failure, http::basic, output};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval};

/// An answer after a CONNACK is right at once; only a 503 may stand between.
const AT_ONCE_MAX: Duration = Duration::from_secs(10);
/// A clean DISCONNECT is an offline answer as soon as its release is committed.
const RELEASE_MAX: Duration = Duration::from_secs(5);
/// The lease, one second, and one election where the dead node led.
const FENCE_MAX: Duration = Duration::from_millis(LEASE_MS + 1_000 + 3_000);
/// How long a node that comes back may take until it answers.
const RETURN_MAX: Duration = Duration::from_secs(60);
/// How often a stay looks whether all nodes are still there.
const STAY_LOOK_EVERY: Duration = Duration::from_millis(500);
/// The node that is killed.
const VICTIM: usize = 2;
/// Every client of the table; the last connects late.
const IDS: [&str; 7] =
    ["VIN0000001", "VIN0000002", "VIN0000003", "VIN0000004", "VIN0000005", "VIN0000006", "VIN0000007"];

/// The nodes, the devices, and where each device is.
pub(super) struct Story {
    nodes: Vec<NodeProcess>,
    devices: Devices,
    truth: BTreeMap<String, Truth>,
}

impl Story {
    pub(super) fn new(nodes: Vec<NodeProcess>) -> Story {
        Story { nodes, devices: Devices::default(), truth: BTreeMap::new() }
    }

    /// Tells it from beginning to end; the first answer that is wrong or too late ends it.
    pub(super) async fn tell(&mut self) -> Result<(), Failure> {
        output::line("\nSix devices connect, two to each node.")?;
        for (place, id) in IDS[..6].iter().enumerate() {
            self.arrive(id, place % self.nodes.len()).await?;
        }
        self.judge(&self.truth.clone(), AT_ONCE_MAX).await?;

        output::line(format_args!("\n{} leaves, {} moves from n1 to n2, {} comes to n3.", IDS[1], IDS[3], IDS[6]))?;
        self.arrive(IDS[3], 1).await?;
        self.arrive(IDS[6], VICTIM).await?;
        let before = self.truth.clone();
        self.devices.disconnect(IDS[1]);
        self.truth.insert(IDS[1].to_owned(), None);
        self.judge(&before, RELEASE_MAX).await?;

        let before = self.truth.clone();
        let victim = self.nodes[VICTIM].name().to_owned();
        let pid = self.nodes[VICTIM].pid_text();
        let lost: Vec<&str> = IDS.into_iter().filter(|id| self.truth.get(*id) == Some(&Some(victim.clone()))).collect();
        output::line(format_args!("\nkill -9 {pid}: {victim} is gone, and with it {}.", lost.join(", ")))?;
        let killed = Instant::now();
        self.nodes[VICTIM].kill()?;
        self.devices.forget(&lost);
        for id in &lost {
            self.truth.insert((*id).to_owned(), None);
        }
        self.judge(&before, FENCE_MAX).await?;
        output::line(format_args!(
            "Right on the surviving nodes {:.1} s after the kill (the lease is {:.0} s).",
            killed.elapsed().as_secs_f64(),
            Duration::from_millis(LEASE_MS).as_secs_f64()
        ))?;

        self.nodes[VICTIM].start()?;
        let pid = self.nodes[VICTIM].pid_text();
        output::line(format_args!("\n{victim} starts again (process {pid}) and its devices come back."))?;
        asking::wait_until_all_answer(&mut self.nodes, RETURN_MAX).await?;
        for id in &lost {
            self.arrive(id, VICTIM).await?;
        }
        self.judge(&self.truth.clone(), AT_ONCE_MAX).await?;

        output::line("\nAsk yourself, any node:")?;
        for node in &self.nodes {
            output::line(format_args!(
                "  curl --header \"Authorization: {}\" http://127.0.0.1:{}/client-id/{}/status",
                basic(USERNAME, PASSWORD),
                node.ports().http,
                IDS[0]
            ))?;
        }
        output::line("")
    }

    /// Stays until a node ends by itself.
    pub(super) async fn stay(&mut self) -> Result<(), Failure> {
        let mut looks = interval(STAY_LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.nodes.iter_mut().try_for_each(NodeProcess::check)?;
        }
    }

    /// Drains all nodes at once.
    pub(super) async fn end(mut self, longest: Duration) {
        let deadline = Instant::now() + longest;
        self.nodes.iter().for_each(NodeProcess::ask_to_stop);
        for node in &mut self.nodes {
            node.wait(deadline).await;
        }
    }

    async fn arrive(&mut self, id: &str, node: usize) -> Result<(), Failure> {
        self.devices.connect(id, &self.nodes[node]).await?;
        self.truth.insert(id.to_owned(), Some(self.nodes[node].name().to_owned()));
        Ok(())
    }

    /// Asks every node that is up about every client, again and again, until all of it is right, and prints the last
    /// round.
    async fn judge(&mut self, before: &BTreeMap<String, Truth>, longest: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + longest;
        let mut verdict = Verdict::new(before.clone(), self.truth.clone());
        let mut rounds = interval(ROUND_EVERY);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            self.nodes.iter_mut().try_for_each(NodeProcess::check)?;
            let begun = Instant::now();
            let mut table: Vec<Vec<Option<Seen>>> = vec![Vec::new(); IDS.len()];
            let mut all_right = true;
            let mut wrong = None;
            for node in &self.nodes {
                for (place, id) in IDS.iter().enumerate() {
                    if !node.is_up() {
                        table[place].push(None);
                        continue;
                    }
                    let seen = asking::ask(node.ports().http, id).await;
                    match verdict.take(node.name(), id, &seen) {
                        Ok(right) => all_right &= right,
                        Err(sentence) => wrong = wrong.or(Some(sentence)),
                    }
                    table[place].push(Some(seen));
                }
            }
            if let Some(sentence) = wrong {
                self.print(&table)?;
                return Err(Failure::new(sentence));
            }
            if all_right {
                return self.print(&table);
            }
            // A round that began in time counts, however long it took.
            if begun >= deadline {
                self.print(&table)?;
                return Err(Failure::new(format!("after {:.1} s the answers are not right", longest.as_secs_f64())));
            }
        }
    }

    fn print(&self, table: &[Vec<Option<Seen>>]) -> Result<(), Failure> {
        let titles: Vec<String> =
            self.nodes.iter().map(|node| format!("{} :{}", node.name(), node.ports().http)).collect();
        let mut header = vec!["client id"];
        header.extend(titles.iter().map(String::as_str));
        let rows: Vec<Vec<String>> = IDS
            .iter()
            .zip(table)
            .map(|(id, row)| {
                let cells = row.iter().map(|seen| match seen {
                    None => "(down)".to_owned(),
                    Some(Seen::Online { node }) => format!("online ({node})"),
                    Some(Seen::Offline) => "offline".to_owned(),
                    Some(Seen::Unknown(why)) => format!("? {why}"),
                });
                std::iter::once((*id).to_owned()).chain(cells).collect()
            })
            .collect();
        output::print(output::table(&header, &rows, &mut Vec::new(), true))
    }
}
