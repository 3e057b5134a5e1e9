//! What a seed decides before anything happens: how large the world is, how bad its network, which faults it meets. Each
//! seed switches kinds of faults off, so that some runs meet one kind alone and others many at once.

use crate::chance::Chance;

/// Milliseconds of simulated time.
pub type Ms = u64;

/// The kinds of faults.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// A process dies and comes back with its data directory.
    Crash,
    /// All processes die at once, as when the power fails.
    CrashAll,
    /// A process stands still, and goes on as if nothing had happened.
    Pause,
    /// One node is cut off from all others, in both directions or in one.
    CutNode,
    /// The nodes fall into two parts.
    CutParts,
    /// Two nodes do not reach each other, but all others.
    CutPair,
    /// The network loses and delays much.
    BadNetwork,
    /// A group gets another leader, or many one after the other.
    Election,
    /// A node is stopped in order and started again.
    Drain,
    /// A follower applies nothing for a while.
    SlowApply,
}

/// All kinds.
pub const FAULTS: [Fault; 10] = [
    Fault::Crash,
    Fault::CrashAll,
    Fault::Pause,
    Fault::CutNode,
    Fault::CutParts,
    Fault::CutPair,
    Fault::BadNetwork,
    Fault::Election,
    Fault::Drain,
    Fault::SlowApply,
];

/// How the network treats messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quality {
    /// Least delay of a message.
    pub delay_us: u64,
    /// What may come on top of it.
    pub jitter_us: u64,
    /// Messages in a thousand that are lost.
    pub lost_per_mille: u64,
    /// Messages in a thousand that come once more, up to seconds later.
    pub doubled_per_mille: u64,
    /// Messages in a thousand that are late.
    pub late_per_mille: u64,
}

/// The longest a late or doubled message is under way.
pub const LATE_MS_MAX: Ms = 4000;

impl Quality {
    /// A network without faults.
    #[must_use]
    pub fn good(chance: &Chance) -> Self {
        let delay_us = chance.between(100, 3000);
        Quality {
            delay_us,
            jitter_us: chance.between(50, 2000),
            lost_per_mille: 0,
            doubled_per_mille: 0,
            late_per_mille: 0,
        }
    }
}

/// What the seed decided.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Nodes of the cluster.
    pub nodes: u64,
    /// Partitions.
    pub partitions: u16,
    /// Replicas of each.
    pub replicas: u8,
    /// The lease of all nodes.
    pub lease_ms: u32,
    /// Client ids.
    pub clients: usize,
    /// Devices that share each client id, and take it over from one another.
    pub devices_per_client: usize,
    /// Askers of status.
    pub askers: usize,
    /// Longest time a device does nothing.
    pub idle_ms_max: Ms,
    /// Longest time a device stays connected.
    pub stay_ms_max: Ms,
    /// How long faults happen.
    pub faults_ms: Ms,
    /// Kinds that happen.
    pub faults: Vec<Fault>,
    /// Longest pause between two faults.
    pub fault_every_ms_max: Ms,
    /// The network in good times.
    pub quality: Quality,
    /// The network in the fault phase, where no fault makes it worse.
    pub quality_in_faults: Quality,
    /// Rates of the nodes' clocks, in millionths of ideal time.
    pub clock_rates_ppm: Vec<u64>,
    /// Entries a partition's feed keeps.
    pub feed_entries_max: u32,
    /// Entries between two snapshots of a group.
    pub snapshot_every: u64,
    /// Entries a follower may lack before it gets a snapshot.
    pub log_kept: u64,
    /// Offline records are forgotten after this.
    pub offline_record_keep_ms: Ms,
}

/// Two clocks may differ by ten in a thousand; each is within half of that of ideal time.
const RATE_ERROR_PPM: u64 = 4950;
const PPM: u64 = 1_000_000;

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // Its own chance, so that a change of the plan does not change what chance decides later.
        let chance = Chance::new(seed ^ 0x005e_ed0f_9a17);
        let nodes = [3, 3, 3, 4, 5][chance.below(5)];
        let extreme = chance.per_mille(400);
        let rates = (0..nodes).map(|_| match (extreme, chance.per_mille(500)) {
            (true, true) => PPM + RATE_ERROR_PPM,
            (true, false) => PPM - RATE_ERROR_PPM,
            (false, _) => chance.between(PPM - RATE_ERROR_PPM, PPM + RATE_ERROR_PPM),
        });
        let clock_rates_ppm = rates.collect();
        let quality = Quality::good(&chance);
        let doubles = chance.per_mille(500);
        let mut quality_in_faults = quality;
        if chance.per_mille(500) {
            quality_in_faults.lost_per_mille = chance.between(0, 30);
            quality_in_faults.late_per_mille = chance.between(0, 50);
        }
        quality_in_faults.doubled_per_mille = if doubles { chance.between(5, 100) } else { 0 };
        let wanted = chance.between(150, 800);
        let mut faults: Vec<Fault> = FAULTS.into_iter().filter(|_| chance.per_mille(wanted)).collect();
        if faults.is_empty() {
            faults.extend(chance.one_of(&FAULTS));
        }
        Plan {
            seed,
            nodes,
            partitions: u16::try_from(chance.between(1, 3)).unwrap_or(1),
            replicas: if chance.per_mille(850) { 3 } else { 5 },
            lease_ms: [1000, 2000, 3000, 3000, 5000][chance.below(5)],
            clients: chance.below(8) + 2,
            devices_per_client: chance.below(3) + 1,
            askers: chance.below(4) + 2,
            idle_ms_max: chance.between(100, 3000),
            stay_ms_max: chance.between(200, 8000),
            faults_ms: chance.between(8000, 25_000),
            faults,
            fault_every_ms_max: chance.between(300, 5000),
            quality,
            quality_in_faults,
            clock_rates_ppm,
            feed_entries_max: u32::try_from(chance.between(100, 2000)).unwrap_or(100),
            snapshot_every: chance.between(20, 400),
            log_kept: chance.between(10, 300),
            offline_record_keep_ms: chance.between(500, 60_000),
        }
    }

    /// Whether this kind of fault happens.
    #[must_use]
    pub fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }
}
