//! Who asks, on either listener: the account behind the `Authorization` header.

use crate::{config::GatewayParts, in_runtime::InRuntime};
use actix_http::{
    Request,
    header::{AUTHORIZATION, HeaderValue},
};
use rollcall_contracts::{Account, AuthError, SourceAddress};
use std::{net::Ipv4Addr, pin::pin, sync::Arc};

/// The account of a request: at once where its credentials were verified before, else after a hash on other threads.
pub(crate) async fn account(parts: &GatewayParts, request: &Request) -> Result<Arc<Account>, AuthError> {
    let authorization = request.head().headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    if let Some(account) = authorization.and_then(|value| parts.admission.cached_basic(value)) {
        return Ok(account);
    }
    let future = pin!(parts.admission.authenticate_basic(authorization, source_address(request)));
    InRuntime { runtime: &parts.runtime, future }.await
}

/// The account of a request to the management API: that of a token, where one is presented, else as everywhere.
pub(crate) async fn manager(parts: &GatewayParts, request: &Request) -> Result<Arc<Account>, AuthError> {
    let authorization = request.head().headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    match authorization.filter(|value| value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "))) {
        Some(value) => parts.admission.authenticate_bearer(value, source_address(request)),
        None => account(parts, request).await,
    }
}

/// Where a request came from.
pub(crate) fn source_address(request: &Request) -> SourceAddress {
    // Only a Unix socket has no peer address, and the gateway opens none.
    request.peer_addr().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.ip().to_canonical())
}
