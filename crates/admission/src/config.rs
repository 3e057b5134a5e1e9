//! What admission is started with.

use rollcall_contracts::Rated;

/// Switches and limits. `Default` is closed: no anonymous access. What holds where no policy matches is part of the
/// compiled policies.
#[derive(Clone, Debug)]
pub struct AdmissionConfig {
    /// Clients without credentials are let in, under an empty user name; policies still apply to them.
    pub anonymous: bool,
    /// What outside test suites expect: any credentials or none are accepted, policies do not apply.
    pub conformance: bool,
    /// This node's share of the instance's messages and queries per second; 0 = no limit.
    pub messages_per_second: u32,
    /// How much above a rate one second may go, in percent of it.
    pub burst_percent: u32,
    /// This node's share of the instance's MQTT connects per second; 0 = no limit.
    pub connects_per_second: u32,
    /// The same of those with a will.
    pub will_connects_per_second: u32,
    /// The same of SUBSCRIBE packets.
    pub subscribes_per_second: u32,
    /// The same of UNSUBSCRIBE packets.
    pub unsubscribes_per_second: u32,
    /// Failed authentications per source address and minute; 0 = no limit.
    pub auth_failures_per_minute: u32,
    /// Claims are refused while another account holds the client id.
    pub bind_account: bool,
    /// What a client id must be.
    pub bind_client_id: ClientIdBinding,
}

/// What a client id must be, so that nobody connects under another's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ClientIdBinding {
    /// Anything.
    #[default]
    Free,
    /// The user name.
    Username,
    /// The common name of the client's certificate.
    CommonName,
}

impl AdmissionConfig {
    pub(crate) fn packets_per_second(&self, packet: Rated) -> u32 {
        match packet {
            Rated::Connects => self.connects_per_second,
            Rated::WillConnects => self.will_connects_per_second,
            Rated::Subscribes => self.subscribes_per_second,
            Rated::Unsubscribes => self.unsubscribes_per_second,
        }
    }
}

impl Default for AdmissionConfig {
    fn default() -> Self {
        AdmissionConfig {
            anonymous: false,
            conformance: false,
            messages_per_second: 0,
            burst_percent: 10,
            connects_per_second: 0,
            will_connects_per_second: 0,
            subscribes_per_second: 0,
            unsubscribes_per_second: 0,
            auth_failures_per_minute: 60,
            bind_account: true,
            bind_client_id: ClientIdBinding::Free,
        }
    }
}
