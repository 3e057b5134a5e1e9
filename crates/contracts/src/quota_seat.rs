//! A node's part of the instance's quota, as it travels with heartbeats. What does not belong here: who gets how much
//! (`quota`), and what is done with it (`admission`).

/// What a heartbeat says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QuotaUse {
    /// The rate that this node may admit at most, in units a second; 0 for none.
    pub in_use: u32,
    /// The units a second that it was asked for lately, admitted or not.
    pub demand: u32,
}

/// What the answer brings.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QuotaGranted {
    /// The rate that this node may admit from now on.
    pub per_second: u32,
    /// What every node has, to be shown.
    pub parts: Vec<QuotaPart>,
}

/// The node's part, implemented by `node`.
pub trait QuotaSeat: Send + Sync + 'static {
    /// What the next heartbeat says; `None` where this node knows no limit. Until that heartbeat is answered, or given up,
    /// the rate in use does not grow.
    fn said(&self) -> Option<QuotaUse>;

    /// The lease was renewed, and with it this grant holds from now on; `None` from a leader that knows no limit. True when
    /// it is another than before: then the leader is to hear of it soon.
    fn granted(&self, grant: Option<QuotaGranted>) -> bool;

    /// Whether there is a limit and nothing of it here: then no client is served.
    fn waits(&self) -> bool;

    /// The lease is over, and so is the grant.
    fn over(&self);
}

/// One node's part, as the leader of the cluster group knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuotaPart {
    /// Whose.
    pub node: rollcall_types::NodeId,
    /// What it was granted last, in units a second.
    pub granted: u32,
    /// What it was asked for lately.
    pub demand: u32,
}

/// The instance's quota at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QuotaView {
    /// Units a second; 0 where there is no limit.
    pub limit: u32,
    /// By how much one second may go above it, in percent.
    pub burst_percent: u32,
    /// The nodes that the leader has heard of, by id, as its last answer told it; empty without a limit.
    pub parts: Vec<QuotaPart>,
}

/// The quota as the management API shows it, implemented by `node`.
pub trait QuotaBoard: Send + Sync + 'static {
    /// As this node knows it: no older than a heartbeat while its lease is valid.
    fn view(&self) -> QuotaView;
}
