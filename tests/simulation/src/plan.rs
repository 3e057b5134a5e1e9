//! What a seed decides before anything happens: how large the world is, which faults there are, and how clocks run.

use rollcall_cluster::LeaseTerms;

/// A rule that is broken on purpose, to prove that the oracle notices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broken {
    /// A node goes on serving after its lease ran out.
    LeaseIgnored,
    /// The leader retires an incarnation long before its lease can be over.
    RetiredTooEarly,
    /// A batch whose outcome is unknown is proposed anew under other numbers.
    NewNumbersOnRetry,
    /// Questions are answered from the replica at hand, without a read point.
    LocalReads,
    /// A retry uses the read point of an earlier question.
    ReadPointReused,
    /// A reader of the feed starts over when its partition's leader changes.
    FeedReadTwice,
}

/// The world of one seed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Nodes, 3 to 5.
    pub nodes: usize,
    /// Partitions, 1 to 3.
    pub partitions: u16,
    /// Clients, 3 to 10.
    pub clients: usize,
    /// The lease, in milliseconds.
    pub lease_ms: u32,
    /// Mean pause between two actions of a client, in milliseconds.
    pub client_pause_ms: u64,
    /// Pause between two questions, in milliseconds.
    pub question_pause_ms: u64,
    /// How fast each node's clock runs, in per mille; within what the lease margin covers.
    pub clock_rates: Vec<u64>,
    /// Mean pause between two faults, in milliseconds.
    pub fault_pause_ms: u64,
    /// Which kinds of faults there are.
    pub faults: Faults,
    /// A rule that does not hold in this world.
    pub broken: Option<Broken>,
}

/// Kinds of faults, each on or off.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    pub(crate) crash: bool,
    pub(crate) pause: bool,
    pub(crate) isolate: bool,
    pub(crate) one_way: bool,
    pub(crate) bridge: bool,
    pub(crate) loss: bool,
}

/// When faults begin, and when they are over.
pub(crate) const FAULTS_FROM_MS: u64 = 1_500;
pub(crate) const FAULTS_UNTIL_MS: u64 = 9_000;

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Plan {
        let mut random = fastrand::Rng::with_seed(seed ^ 0x005e_ed0f_91a5);
        let nodes = random.usize(3..=5);
        let mut on = || random.u8(0..3) > 0;
        let faults = Faults { crash: on(), pause: on(), isolate: on(), one_way: on(), bridge: on(), loss: on() };
        Plan {
            seed,
            nodes,
            partitions: random.u16(1..=3),
            clients: random.usize(3..=10),
            lease_ms: random.u32(600..=2_000),
            client_pause_ms: random.u64(30..=400),
            question_pause_ms: random.u64(5..=60),
            clock_rates: (0..nodes).map(|_| random.u64(996..=1_004)).collect(),
            fault_pause_ms: random.u64(200..=2_500),
            faults,
            broken: None,
        }
    }

    pub(crate) fn terms(&self) -> LeaseTerms {
        LeaseTerms::new(self.lease_ms).expect("a lease within the bounds")
    }

    /// From the end of the faults until everything must be right again: a lease and a second, and two elections.
    pub(crate) fn healed_after_ms(&self) -> u64 {
        2 * self.terms().retire_after_ms() + 1_000 + 2 * crate::group::ELECTION_MAX_MS
    }

    pub(crate) fn is_broken(&self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }
}
