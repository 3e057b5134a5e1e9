//! Enhanced authentication (MQTT 5.0, 4.12): the exchange of AUTH packets before CONNACK, and again on an open
//! connection. What a method's data mean, and whose account they prove, belongs to the authenticators behind the shell.

use crate::{Cause, ConnAck, ConnectRefusal, ConnectRequest, Connection, Effect, Fault, Order, Outgoing};
use rollcall_types::{BootTime, ClientId};

/// AUTH packets of the client in one exchange; more end the connection.
const ROUNDS_MAX: u8 = 16;

/// AUTH, from either side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Auth {
    /// What it is for.
    pub purpose: AuthPurpose,
    /// Authentication method; empty where a client sent none.
    pub method: String,
    /// Authentication data.
    pub data: Vec<u8>,
}

/// Reason code of an AUTH.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum AuthPurpose {
    /// The exchange on an open connection succeeded; only a server says so.
    Success = 0x00,
    /// The exchange goes on.
    Continue = 0x18,
    /// A client begins an exchange on an open connection.
    Again = 0x19,
}

/// What a client begins an exchange with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authenticating {
    /// Authentication method.
    pub method: String,
    /// Authentication data; may be empty.
    pub data: Vec<u8>,
    /// The client.
    pub client_id: ClientId,
    /// User name in CONNECT; it proves nothing.
    pub username: Option<String>,
}

/// What an authenticator answers to the data of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuthAnswer {
    /// There is no such method.
    UnknownMethod,
    /// The client is to answer this.
    Continue(Vec<u8>),
    /// The client proved who it is; on an open connection, that it is still the same account.
    Success(Vec<u8>),
    /// It did not.
    Refused(ConnectRefusal),
}

/// The method a connection named in CONNECT, and the exchange under way.
#[derive(Clone, Debug)]
pub(crate) struct Authentication {
    start: Authenticating,
    exchange: Option<Exchange>,
}

#[derive(Clone, Debug)]
struct Exchange {
    /// CONNECT, and CONNACK so far, where it is not sent yet.
    connect: Option<(Box<ConnectRequest>, Box<ConnAck>)>,
    /// The authenticator is asked; otherwise the client is.
    is_asked: bool,
    rounds: u8,
    deadline: Option<BootTime>,
}

impl Authentication {
    pub(crate) fn new(method: String, data: Vec<u8>, request: &ConnectRequest) -> Self {
        let (client_id, username) = (request.client_id.clone(), request.username.clone());
        Authentication { start: Authenticating { method, data, client_id, username }, exchange: None }
    }

    /// When the exchange has to be over.
    pub(crate) fn deadline(&self) -> Option<BootTime> {
        self.exchange.as_ref()?.deadline
    }

    fn auth(&self, purpose: AuthPurpose, data: Vec<u8>) -> Vec<Effect> {
        let method = self.start.method.clone(); // MQTT-4.12.0-5
        vec![Effect::Send(Outgoing::Auth(Box::new(Auth { purpose, method, data })))]
    }

    /// Asks the authenticator, for the first time.
    fn begin(&mut self, exchange: Exchange, data: Vec<u8>) -> Vec<Effect> {
        self.exchange = Some(exchange);
        vec![Effect::BeginAuthentication(Box::new(Authenticating { data, ..self.start.clone() }))]
    }

    /// The client's answer to what the server asked.
    fn go_on(&mut self, auth: Auth) -> Result<Vec<Effect>, Cause> {
        let Some(exchange) = self.exchange.as_mut().filter(|exchange| !exchange.is_asked) else {
            return Err(Cause::Fault(Fault::ProtocolError)); // nobody asked
        };
        exchange.rounds += 1;
        if exchange.rounds > ROUNDS_MAX {
            return Err(refusal(exchange));
        }
        exchange.is_asked = true;
        Ok(vec![Effect::ContinueAuthentication(auth.data)])
    }
}

/// How a failed exchange ends the connection (MQTT-4.12.0-4, MQTT-4.12.1-2).
fn refusal(exchange: &Exchange) -> Cause {
    match exchange.connect {
        Some(_) => Cause::Refused(ConnectRefusal::NotAuthorized),
        None => Cause::Ordered(Order::NotAuthorized),
    }
}

impl Connection {
    /// A valid CONNECT that names a method: the exchange comes before the claim, within the time of the CONNECT.
    pub(crate) fn authenticate(
        &mut self,
        mut authentication: Authentication,
        request: Box<ConnectRequest>,
        connack: Box<ConnAck>,
        deadline: Option<BootTime>,
    ) -> Vec<Effect> {
        let exchange = Exchange { connect: Some((request, connack)), is_asked: true, rounds: 0, deadline };
        let data = std::mem::take(&mut authentication.start.data);
        let effects = authentication.begin(exchange, data);
        self.authentication = Some(Box::new(authentication));
        effects
    }

    /// AUTH of the client, before CONNACK or on the open connection.
    pub(crate) fn auth(&mut self, auth: Auth, is_open: bool, now: BootTime) -> Vec<Effect> {
        let within_ms = self.limits.connect_timeout_ms;
        let deadline = (within_ms > 0).then(|| now.plus_ms(within_ms));
        // Without a method in CONNECT there is none (MQTT-4.12.0-7), and it never changes (MQTT-4.12.0-5, MQTT-4.12.1-1).
        let known = self.authentication.as_mut().filter(|known| known.start.method == auth.method);
        let Some(known) = known else { return self.fault(Fault::ProtocolError) };
        let outcome = match auth.purpose {
            AuthPurpose::Continue => known.go_on(auth), // MQTT-4.12.0-3
            AuthPurpose::Again if is_open && known.exchange.is_none() => {
                let exchange = Exchange { connect: None, is_asked: true, rounds: 0, deadline };
                Ok(known.begin(exchange, auth.data))
            }
            AuthPurpose::Again | AuthPurpose::Success => Err(Cause::Fault(Fault::ProtocolError)),
        };
        outcome.unwrap_or_else(|cause| self.end(cause))
    }

    /// The authenticator's answer.
    pub(crate) fn authenticated(&mut self, answer: AuthAnswer) -> Vec<Effect> {
        let Some(known) = self.authentication.as_mut() else { return Vec::new() };
        let Some(mut exchange) = known.exchange.take().filter(|exchange| exchange.is_asked) else { return Vec::new() };
        match answer {
            AuthAnswer::Continue(data) => {
                exchange.is_asked = false;
                known.exchange = Some(exchange);
                known.auth(AuthPurpose::Continue, data) // MQTT-4.12.0-2
            }
            AuthAnswer::Success(data) => match exchange.connect {
                None => known.auth(AuthPurpose::Success, data),
                Some((request, mut connack)) => {
                    connack.authentication = Some((known.start.method.clone(), data));
                    self.claim(request, connack)
                }
            },
            AuthAnswer::UnknownMethod if exchange.connect.is_some() => self.fault(Fault::BadAuthenticationMethod),
            AuthAnswer::Refused(refusal) if exchange.connect.is_some() => self.end(Cause::Refused(refusal)),
            AuthAnswer::UnknownMethod | AuthAnswer::Refused(_) => self.end(refusal(&exchange)),
        }
    }

    /// An exchange on the open connection took too long.
    pub(crate) fn authentication_is_late(&self, now: BootTime) -> bool {
        self.authentication.as_ref().and_then(|known| known.deadline()).is_some_and(|deadline| now >= deadline)
    }
}

impl AuthPurpose {
    /// The byte on the wire.
    #[must_use]
    pub fn byte(self) -> u8 {
        self as u8
    }
}
