//! The way of a CONNECT on its node: admission, turn, claim, and is it still so?

use crate::{
    Broker, Connection, HeldClaim, Peer,
    client_session::ClientSession,
    connection::Identity,
    enhanced::Proved,
    handover::FreshClaim,
    metrics::Metrics,
    sessions::Wish,
    turn::{NotEntered, Turn},
};
use rollcall_contracts::{Account, AuthError, ClaimError, ClaimGranted, ConnectPermission, Presented, Rated};
use rollcall_presence::ClaimDetails;
use rollcall_session::{ConnectRefusal, ConnectRequest, Order};
use rollcall_types::{DisconnectReason, Epoch, Incarnation, Will};
use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

impl Broker {
    /// Admits a valid CONNECT and claims its client id. Dropping the future (the socket closed) gives everything up;
    /// the store releases a claim under way by itself.
    ///
    /// After `Ok` the caller looks at its socket again, then at the gate at each write.
    ///
    /// # Errors
    /// When the connection may not come in; the refusal says what its client is told.
    pub async fn connect(
        self: &Arc<Self>,
        request: ConnectRequest,
        peer: impl Into<Peer>,
    ) -> Result<HeldClaim, ConnectRefusal> {
        self.connect_as(request, peer, None).await
    }

    /// The same for a client whose account an exchange has proved, where there is one; the rate was charged before it.
    ///
    /// # Errors
    /// When the connection may not come in; the refusal says what its client is told.
    pub async fn connect_as(
        self: &Arc<Self>,
        request: ConnectRequest,
        peer: impl Into<Peer>,
        proved: Option<Proved>,
    ) -> Result<HeldClaim, ConnectRefusal> {
        let peer = peer.into();
        let deadline = Duration::from_millis(self.config.connect_deadline_ms);
        let result = match tokio::time::timeout(deadline, self.admit_and_claim(request, &peer, proved)).await {
            Ok(result) => result,
            Err(_elapsed) => Err(ConnectRefusal::Unavailable),
        };
        match &result {
            Ok(_) => self.metrics.connected.increment(1),
            Err(refusal) => Metrics::refused(refusal.name()),
        }
        result
    }

    async fn admit_and_claim(
        self: &Arc<Self>,
        request: ConnectRequest,
        from: &Peer,
        proved: Option<Proved>,
    ) -> Result<HeldClaim, ConnectRefusal> {
        let peer = from.address;
        if self.is_draining() {
            return Err(ConnectRefusal::ShuttingDown);
        }
        let incarnation = self.lease.serving().ok_or(ConnectRefusal::NotServing)?;
        // Rate before credentials: a storm must not cost a hash each (B-127).
        if proved.is_none() {
            self.admission.admit(Rated::Connects).map_err(|_| ConnectRefusal::RateExceeded)?;
        }
        if request.will.is_some() {
            self.admission.admit(Rated::WillConnects).map_err(|_| ConnectRefusal::RateExceeded)?;
        }
        // Before anything is spent on it; what comes at the same moment is counted when it enters.
        let replaces = self.registry.connection_of(&request.client_id).is_some();
        if !replaces && self.registry.online() >= self.limits.connections() {
            self.metrics.limited("connections");
            return Err(ConnectRefusal::TooManyConnections);
        }
        if !self.damping.admit(&request.client_id, self.config.client_connects_per_minute, self.lease.now()) {
            self.metrics.limited("client_connects_per_minute");
            return Err(ConnectRefusal::Flapping);
        }
        let _under_way = UnderWay::enter(self)?;
        let access_version = self.admission.access_version();
        let account = self.authorize(&request, from, proved).await?;
        let turn = self.registry.take_turn(&request.client_id, self.config.client_connects_waiting).await;
        let turn = turn.map_err(|_| ConnectRefusal::Busy)?;
        let (client_id, keep_alive_s) = (request.client_id.clone(), request.keep_alive_s);
        // With the turn, so that no two of them see the same count. Who holds the id elsewhere only the claim tells.
        let takeovers_max = self.config.client_takeovers_per_minute;
        if self.takeovers.is_used_up(&client_id, takeovers_max, self.lease.now()) {
            self.metrics.limited("client_takeovers_per_minute");
            return Err(ConnectRefusal::Flapping);
        }
        let wish = Wish::of(&request, &account, peer.ip());
        let before = self.look_before(&wish).await?;
        let granted = self.store.claim(self.details(request, &account, peer)).await.map_err(refusal)?;
        if granted.displaced.is_some() {
            self.takeovers.admit(&client_id, takeovers_max, self.lease.now());
        }
        let fresh = FreshClaim::new(self, client_id.clone(), granted.epoch);
        let (turn, resumable) = self.session_to_resume(&wish, before, &granted, turn).await?;
        fresh.entered();
        // From here to the end nothing waits, so that a dropped future cannot leave a claim behind.
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let (session, session_present) = self.session_for(wish, resumable, number, granted.epoch);
        let connection = Arc::new(Connection::new(
            Identity {
                number,
                client_id,
                epoch: granted.epoch,
                incarnation,
                account,
                source: peer.ip(),
                session,
                keep_alive_s,
            },
            self,
        ));
        let displaced = match turn.enter(&connection, self.limits.connections()) {
            Ok(displaced) => displaced,
            Err(NotEntered::AlreadyEnded) => {
                self.leave_session(&connection);
                return Err(ConnectRefusal::Displaced);
            }
            Err(NotEntered::TooMany) => {
                self.metrics.limited("connections");
                self.leave_session(&connection);
                self.store.release(connection.client_id.clone(), granted.epoch, DisconnectReason::QuotaExceeded);
                return Err(ConnectRefusal::TooManyConnections);
            }
        };
        self.count_sessions();
        self.expiries.watch(&connection, &connection.account);
        drop(turn);
        tell_displaced(displaced);
        // What was allowed when the session last had a connection, or when this one was let in, may be no more.
        if session_present || self.admission.access_version() != access_version {
            self.recheck(&connection);
        }
        self.still_ours(connection, session_present, &granted, incarnation)
    }

    /// What is known before the claim of the session that this CONNECT may resume.
    async fn look_before(&self, wish: &Wish) -> Result<Before, ConnectRefusal> {
        let here = self.session_here(wish).await?;
        if wish.clean_start || (here.is_none() && !self.has_others()) {
            return Ok(Before { here, last: None });
        }
        let on_record = self.store.status(wish.client_id.clone()).await.map_err(|_| ConnectRefusal::Unavailable)?;
        Ok(Before { here, last: on_record.epoch })
    }

    /// The session of this node that a CONNECT may resume, with the epoch it was last served under. One of another account
    /// is neither resumed nor, where accounts are bound, discarded. One whose client is connected, on whichever
    /// node, is guarded by its claim.
    async fn session_here(&self, wish: &Wish) -> Result<Option<(Arc<ClientSession>, Epoch)>, ConnectRefusal> {
        let is_bound = self.admission.bind_account();
        if wish.clean_start && !is_bound {
            return Ok(None);
        }
        let session = match self.held_or_kept(&wish.client_id).await {
            Ok(session) => session,
            // Whoever begins anew is not kept out by a store that cannot be read.
            Err(_) if wish.clean_start => None,
            Err(_) => return Err(ConnectRefusal::SessionsUnavailable),
        };
        let now = self.lease.now();
        let here = session.and_then(|session| session.resumable(now).map(|epoch| (session, epoch)));
        if is_bound && here.as_ref().is_some_and(|(session, _)| session.username != wish.username) {
            return Err(ConnectRefusal::OtherAccount);
        }
        Ok(here.filter(|(session, _)| !wish.clean_start && session.username == wish.username))
    }

    /// The session that was served under the claim before this one, here or from another node: any other is out of date.
    async fn session_to_resume(
        self: &Arc<Self>,
        wish: &Wish,
        Before { here, last }: Before,
        granted: &ClaimGranted,
        turn: Turn,
    ) -> Result<(Turn, Option<Arc<ClientSession>>), ConnectRefusal> {
        let last = last.max(granted.displaced.map(|displaced| displaced.epoch));
        match (here, last) {
            _ if wish.clean_start => {
                self.discard_elsewhere(&wish.client_id, granted);
                Ok((turn, None))
            }
            (Some((session, served_under)), last) if last.is_none_or(|last| last <= served_under) => {
                Ok((turn, Some(session)))
            }
            (_, Some(last)) => self.fetch_session(wish, last, granted, turn).await,
            (_, None) => Ok((turn, None)),
        }
    }

    /// The claim is committed and entered: is the lease still the one it was made under?
    fn still_ours(
        self: &Arc<Self>,
        connection: Arc<Connection>,
        session_present: bool,
        granted: &ClaimGranted,
        incarnation: Incarnation,
    ) -> Result<HeldClaim, ConnectRefusal> {
        tracing::debug!(client_id = %connection.client_id, epoch = %granted.epoch, "claim granted");
        let held = HeldClaim::new(self.clone(), connection, session_present);
        if !self.lease.may_serve(incarnation) {
            held.release(DisconnectReason::NodeLost);
            return Err(ConnectRefusal::LeaseLost);
        }
        if self.is_draining() {
            held.release(DisconnectReason::ServerShutdown);
            return Err(ConnectRefusal::ShuttingDown);
        }
        Ok(held)
    }

    async fn authorize(
        &self,
        request: &ConnectRequest,
        from: &Peer,
        proved: Option<Proved>,
    ) -> Result<Arc<Account>, ConnectRefusal> {
        let peer = from.address;
        let account = match proved {
            Some(Proved(account)) => account.with_certificate(from.certificate.as_ref()),
            None => self.authenticate(request, from).await?,
        };
        let client_id = request.client_id.as_str();
        let permission = self.admission.may_connect(&account, Some(client_id), peer.ip());
        if permission != ConnectPermission::Allowed {
            return Err(ConnectRefusal::NotAuthorized);
        }
        if let Some(Will { message, .. }) = &request.will
            && !self.may_publish(&account, client_id, message, peer.ip())
        {
            return Err(ConnectRefusal::NotAuthorized);
        }
        Ok(account)
    }

    async fn authenticate(&self, request: &ConnectRequest, from: &Peer) -> Result<Arc<Account>, ConnectRefusal> {
        let presented = Presented {
            client_id: request.client_id.as_str(),
            username: request.username.as_deref(),
            password: request.password.as_ref().map(|password| password.0.as_slice()),
            source: from.address.ip(),
            certificate: from.certificate.as_ref(),
        };
        self.admission.authenticate_mqtt(&presented).await.map_err(|error| match error {
            AuthError::Rejected => ConnectRefusal::BadCredentials,
            AuthError::TooManyFailures { .. } => ConnectRefusal::TooManyFailures,
            AuthError::Unavailable => ConnectRefusal::AccountsUnavailable,
        })
    }

    fn details(&self, request: ConnectRequest, account: &Account, peer: SocketAddr) -> ClaimDetails {
        ClaimDetails {
            client_id: request.client_id,
            username: account.username.clone(),
            protocol: request.protocol,
            clean_start: request.clean_start,
            keep_alive_s: request.keep_alive_s,
            session_expiry_s: request.session_expiry_s,
            peer: peer.to_string(),
            bind_account: self.admission.bind_account(),
            will: request.will,
        }
    }
}

/// What was known of a client's session before its claim.
struct Before {
    /// The one of this node, with the epoch it was last served under.
    here: Option<(Arc<ClientSession>, Epoch)>,
    /// Epoch of the last claim on record.
    last: Option<Epoch>,
}

/// The displaced connection of this node is told at once; a displaced one elsewhere learns it from the store.
fn tell_displaced(displaced: Option<Arc<Connection>>) {
    if let Some(displaced) = displaced {
        displaced.claim_is_over();
        displaced.order(Order::Takeover);
    }
}

fn refusal(error: ClaimError) -> ConnectRefusal {
    match error {
        ClaimError::Unavailable => ConnectRefusal::Unavailable,
        ClaimError::NotServing => ConnectRefusal::NotServing,
        ClaimError::Displaced => ConnectRefusal::Displaced,
        ClaimError::OtherAccount => ConnectRefusal::OtherAccount,
        ClaimError::Busy => ConnectRefusal::Busy,
        ClaimError::TooLarge => ConnectRefusal::WillTooLarge,
    }
}

/// Counts one CONNECT under way, whatever becomes of it.
struct UnderWay<'a>(&'a Broker);

impl<'a> UnderWay<'a> {
    fn enter(broker: &'a Broker) -> Result<Self, ConnectRefusal> {
        let guard = UnderWay(broker);
        let before = broker.connects_under_way.fetch_add(1, Ordering::SeqCst);
        if before >= broker.config.connects_waiting { Err(ConnectRefusal::Busy) } else { Ok(guard) }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.connects_under_way.fetch_sub(1, Ordering::SeqCst);
    }
}
