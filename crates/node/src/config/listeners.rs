//! `[listeners]`: the addresses this node binds, and the certificates it shows there.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::PathBuf,
};

/// How a listener that is not wanted is written.
pub(super) const OFF: &str = "off";

/// `[listeners]`: where this node listens; `None` is off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenersConfig {
    /// MQTT over TCP.
    #[serde(with = "address_or_off")]
    pub mqtt: Option<SocketAddr>,
    /// MQTT over TLS.
    #[serde(with = "address_or_off")]
    pub mqtts: Option<SocketAddr>,
    /// MQTT over WebSocket, path `/mqtt`.
    #[serde(with = "address_or_off")]
    pub ws: Option<SocketAddr>,
    /// MQTT over WebSocket over TLS, path `/mqtt`.
    #[serde(with = "address_or_off")]
    pub wss: Option<SocketAddr>,
    /// The HTTP data plane.
    #[serde(with = "address_or_off")]
    pub http: Option<SocketAddr>,
    /// The HTTP data plane over TLS.
    #[serde(with = "address_or_off")]
    pub https: Option<SocketAddr>,
    /// Management, metrics and health.
    #[serde(with = "address_or_off")]
    pub admin: Option<SocketAddr>,
    /// Traffic between nodes.
    pub mesh: SocketAddr,
    /// Whether a PROXY protocol header (version 1 or 2) is expected on the MQTT listeners.
    pub proxy_protocol: bool,
    /// Certificates for `mqtts`, `wss` and `https`, chosen by server name, reloaded when their files change.
    pub tls: Vec<ListenerTls>,
}

impl Default for ListenersConfig {
    fn default() -> Self {
        let loopback = |port| SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        ListenersConfig {
            mqtt: Some(loopback(1883)),
            mqtts: None,
            ws: None,
            wss: None,
            http: Some(loopback(8080)),
            https: None,
            admin: Some(loopback(8081)),
            mesh: loopback(7400),
            proxy_protocol: false,
            tls: Vec::new(),
        }
    }
}

impl ListenersConfig {
    /// The listeners that clients and operators reach, with their keys; the mesh is not one of them.
    #[must_use]
    pub fn open_to_clients(&self) -> Vec<(&'static str, SocketAddr)> {
        [
            ("mqtt", self.mqtt),
            ("mqtts", self.mqtts),
            ("ws", self.ws),
            ("wss", self.wss),
            ("http", self.http),
            ("https", self.https),
            ("admin", self.admin),
        ]
        .into_iter()
        .filter_map(|(key, address)| Some((key, address?)))
        .collect()
    }
}

/// `[[listeners.tls]]`: one certificate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenerTls {
    /// PEM file with the certificate chain.
    pub cert_file: PathBuf,
    /// PEM file with its private key.
    pub key_file: PathBuf,
    /// The names clients ask for (SNI); empty for the certificate shown when no other matches.
    pub server_names: Vec<String>,
    /// PEM file with authorities; when set, clients must show a certificate that one of them signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca_file: Option<PathBuf>,
    /// Authorities that are registered in the management API count as well.
    pub client_ca_registered: bool,
    /// Clients may show no certificate, and prove themselves otherwise.
    pub client_certificate_optional: bool,
}

/// A socket address, or the word `off`.
mod address_or_off {
    use super::{Deserialize, Deserializer, OFF, Serialize, Serializer, SocketAddr, de};

    pub(super) fn serialize<S: Serializer>(address: &Option<SocketAddr>, serializer: S) -> Result<S::Ok, S::Error> {
        match address {
            Some(address) => address.serialize(serializer),
            None => serializer.serialize_str(OFF),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == OFF {
            return Ok(None);
        }
        text.parse().map(Some).map_err(de::Error::custom)
    }
}
