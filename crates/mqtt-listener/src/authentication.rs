//! The exchange of AUTH packets on one connection: the authenticator is asked while all else goes on.

use crate::connection::Engine;
use rollcall_broker::{self as broker, Authenticated, Exchange};
use rollcall_session::{AuthAnswer, Authenticating, Event};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// How far an exchange is.
pub(crate) enum Authentication {
    /// The authenticator is asked.
    Asked(Pin<Box<dyn Future<Output = Authenticated> + Send>>),
    /// The client is to answer.
    Waits(Exchange),
    /// The account of the CONNECT that follows is known.
    Proved(broker::Proved),
}

impl Engine {
    pub(crate) fn begin_authentication(&mut self, mut asked: Authenticating) -> Option<Event> {
        let data = std::mem::take(&mut asked.data);
        let open = self.outbound.connection();
        match self.broker.begin_authentication(&asked, &self.peer, open) {
            Ok(exchange) => {
                self.ask(exchange, data);
                None
            }
            Err(answer) => Some(Event::Authenticated(answer)),
        }
    }

    /// The client answered.
    pub(crate) fn continue_authentication(&mut self, data: Vec<u8>) {
        if let Some(Authentication::Waits(exchange)) = self.authentication.take().map(|boxed| *boxed) {
            self.ask(exchange, data);
        }
    }

    fn ask(&mut self, exchange: Exchange, data: Vec<u8>) {
        self.authentication = Some(Box::new(Authentication::Asked(Box::pin(exchange.step(data)))));
    }

    /// The account that an exchange has proved, for the CONNECT that it belongs to.
    pub(crate) fn take_proved(&mut self) -> Option<broker::Proved> {
        match self.authentication.take().map(|boxed| *boxed) {
            Some(Authentication::Proved(account)) => Some(account),
            _ => None,
        }
    }
}

/// The authenticator's answer, once it is in.
pub(crate) fn poll_answer(
    authentication: &mut Option<Box<Authentication>>,
    is_open: bool,
    cx: &mut Context<'_>,
) -> Poll<Event> {
    let Some(Authentication::Asked(asked)) = authentication.as_deref_mut() else { return Poll::Pending };
    let (next, answer) = match ready!(asked.as_mut().poll(cx)) {
        Authenticated::Continue(exchange, data) => (Some(Authentication::Waits(exchange)), AuthAnswer::Continue(data)),
        Authenticated::Success(account, data) => {
            ((!is_open).then_some(Authentication::Proved(account)), AuthAnswer::Success(data))
        }
        Authenticated::Refused(refusal) => (None, AuthAnswer::Refused(refusal)),
    };
    *authentication = next.map(Box::new);
    Poll::Ready(Event::Authenticated(answer))
}
