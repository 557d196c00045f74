//! Who may call what: the table role × action, the table route → action, and the layer that
//! holds every call against both. A route without a line in the table is closed to everybody.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{header, HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use portgate_core::people::{Principal, Role};
use portgate_core::registry::Kind;

use crate::accounts::Bounds;
use crate::error::ApiError;
use crate::sessions;
use crate::state::AppState;
use crate::telemetry;
use crate::tls::Peer;

/// Header a page sends with every write: no other site can make a browser send it.
pub const CSRF_HEADER: &str = "x-portgate";

/// What a call does, as far as permission is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Know who one is; sign out.
    Self_,
    /// See the state of the lanes.
    SeeLanes,
    /// See decisions, alerts and live events.
    SeeDecisions,
    /// See pictures.
    SeeFrames,
    /// Release, refuse, correct. Which row needs which role is the engine's to say.
    Speak,
    /// Push pictures of a lane.
    PostFrames,
    /// Report reads at a lane.
    PostReads,
    /// See the registry.
    ReadRegistry,
    /// Change the registry; which kind needs which role: [`may_write_kind`].
    WriteRegistry,
    /// Ask questions in SQL.
    Sql,
    /// Search, and open case files; on record with its purpose.
    Search,
    /// Fetch corrected reads with their pictures.
    Samples,
    /// See the watch-list.
    SeeWatch,
    /// Change the watch-list.
    Watch,
    /// See and sign the hand-over of single cards.
    HandOver,
    /// See the audit.
    Audit,
    /// Verify or dismiss violations, decide sanctions; which, the body that the norm names says.
    Rule,
    /// Make and remove accounts.
    ManageAccounts,
    /// Read the metrics from elsewhere than this machine.
    ReadMetrics,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 19] = [
        Self::Self_,
        Self::SeeLanes,
        Self::SeeDecisions,
        Self::SeeFrames,
        Self::Speak,
        Self::PostFrames,
        Self::PostReads,
        Self::ReadRegistry,
        Self::WriteRegistry,
        Self::Sql,
        Self::Search,
        Self::Samples,
        Self::SeeWatch,
        Self::Watch,
        Self::HandOver,
        Self::Audit,
        Self::Rule,
        Self::ManageAccounts,
        Self::ReadMetrics,
    ];
}

/// The table role × action.
pub fn may(role: Role, action: Action) -> bool {
    use Action as A;
    use Role as R;
    match action {
        A::Self_ | A::SeeLanes => true,
        A::SeeDecisions => role != R::Device,
        A::SeeFrames => matches!(role, R::Guard | R::Supervisor | R::Security | R::Registrar | R::Customs | R::Administrator),
        A::Speak => matches!(role, R::Guard | R::Supervisor | R::Customs),
        A::PostFrames => role == R::Device,
        A::PostReads => matches!(role, R::Device | R::Guard | R::Supervisor | R::Customs),
        A::ReadRegistry => !matches!(role, R::Analyst | R::Device),
        A::WriteRegistry => matches!(role, R::Registrar | R::Administrator | R::Guard | R::Supervisor | R::Security | R::Customs),
        A::Sql => matches!(role, R::Analyst | R::Security | R::Administrator),
        A::Search => matches!(role, R::Guard | R::Supervisor | R::Security | R::Customs),
        A::Samples => matches!(role, R::Supervisor | R::Security),
        A::SeeWatch => matches!(role, R::Guard | R::Supervisor | R::Security | R::Customs | R::Administrator),
        A::Watch => matches!(role, R::Supervisor | R::Security),
        A::HandOver => matches!(role, R::Supervisor | R::Registrar),
        A::Audit => matches!(role, R::Security | R::Administrator),
        A::Rule => matches!(role, R::Guard | R::Supervisor | R::Security | R::Registrar | R::Customs),
        A::ManageAccounts => role == R::Administrator,
        A::ReadMetrics => matches!(role, R::Administrator | R::Analyst),
    }
}

/// The table role × registry kind, for writes.
pub fn may_write_kind(role: Role, kind: Kind) -> bool {
    match kind {
        Kind::Site | Kind::Checkpoint | Kind::Lane | Kind::Policy => role == Role::Administrator,
        Kind::PeakMode => role == Role::Supervisor,
        Kind::Ban => matches!(role, Role::Registrar | Role::Security),
        // Checkpoint managers and customs order inspections; who may end one the engine says (LYG-7.8a, NNG-2.2.i3).
        Kind::InspectionOrder => matches!(role, Role::Registrar | Role::Guard | Role::Supervisor | Role::Security | Role::Customs),
        Kind::Enterprise
        | Kind::Vehicle
        | Kind::Card
        | Kind::Task
        | Kind::Reception
        | Kind::ExitPermit
        | Kind::LeaveConsent
        | Kind::Appointment
        | Kind::Approval
        | Kind::QrCode
        | Kind::CustomsEnterprise
        | Kind::CustomsVehicle
        | Kind::CustomsDriver
        | Kind::Trip
        | Kind::Manifest
        | Kind::Escort => role == Role::Registrar,
    }
}

/// Whether the role sees plates only masked, and no pictures.
pub fn sees_masked(role: Role) -> bool {
    matches!(role, Role::Analyst | Role::Device)
}

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Open,
    /// Anybody on this machine; from elsewhere the action's roles.
    OpenOnLoopback(Action),
    /// The action's roles.
    Needs(Action),
}

/// The table route → access. Routes are as the router matches them.
pub fn access(method: &Method, route: &str) -> Option<Access> {
    use Access::{Needs, Open, OpenOnLoopback};
    let read = matches!(*method, Method::GET | Method::HEAD);
    let post = *method == Method::POST;
    let write = matches!(*method, Method::PUT | Method::DELETE);
    Some(match route {
        "/healthz" | "/readyz" | "/openapi.json" if read => Open,
        "/" | "/favicon.svg" | "/assets/{*path}" | "/display/{lane}" if read => Open,
        "/metrics" if read => OpenOnLoopback(Action::ReadMetrics),
        "/v1/session" if post => Open,
        "/v1/session" => Needs(Action::Self_),
        "/v1/lanes" | "/v1/lanes/{lane}/display" if read => Needs(Action::SeeLanes),
        "/v1/congestion" if read => Needs(Action::SeeDecisions),
        "/v1/lanes/{lane}/frame" if read => Needs(Action::SeeFrames),
        "/v1/lanes/{lane}/frames" if post => Needs(Action::PostFrames),
        "/v1/lanes/{lane}/reads" if post => Needs(Action::PostReads),
        "/v1/decisions" | "/v1/decisions/{id}" | "/v1/alerts" | "/v1/events" | "/v1/asks" if read => Needs(Action::SeeDecisions),
        "/v1/decisions/{id}/frame" if read => Needs(Action::SeeFrames),
        "/v1/decisions/{id}/release" | "/v1/decisions/{id}/refuse" | "/v1/decisions/{id}/correct" if post => Needs(Action::Speak),
        "/v1/decisions/{id}/ask" | "/v1/asks/{id}/settle" if post => Needs(Action::Speak),
        "/v1/decisions/{id}/facts" if read => Needs(Action::ReadRegistry),
        "/v1/search" | "/v1/case" if post => Needs(Action::Search),
        "/v1/samples" if post => Needs(Action::Samples),
        "/v1/audit" if read => Needs(Action::Audit),
        "/v1/watch" if read => Needs(Action::SeeWatch),
        "/v1/watch/{id}" if write => Needs(Action::Watch),
        "/v1/handovers" if read => Needs(Action::HandOver),
        "/v1/handovers/{day}/sign" if post => Needs(Action::HandOver),
        "/v1/questions" if read => Needs(Action::Sql),
        "/v1/questions/{name}" if write => Needs(Action::Sql),
        "/v1/violations" | "/v1/violations/{id}" | "/v1/sanctions" if read => Needs(Action::SeeDecisions),
        "/v1/violations/{id}/verify" | "/v1/violations/{id}/dismiss" if post => Needs(Action::Rule),
        "/v1/sanctions/{id}/accept" | "/v1/sanctions/{id}/reject" if post => Needs(Action::Rule),
        "/v1/policies" if read => Needs(Action::ReadRegistry),
        "/v1/registry/import" if post => Needs(Action::WriteRegistry),
        "/v1/registry/{kind}" if read => Needs(Action::ReadRegistry),
        "/v1/registry/{kind}/{id}" if read => Needs(Action::ReadRegistry),
        "/v1/registry/{kind}/{id}" if write => Needs(Action::WriteRegistry),
        "/v1/sql" if post => Needs(Action::Sql),
        "/v1/accounts" if read => Needs(Action::ManageAccounts),
        "/v1/accounts/{name}" if write => Needs(Action::ManageAccounts),
        _ => return None,
    })
}

/// The layer: authenticates, checks, inserts `Extension<Principal>`, counts.
pub async fn guard(State(state): State<Arc<AppState>>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map(|m| m.as_str().to_owned());
    let route = route.unwrap_or_else(|| "unknown".to_owned());
    let method = request.method().clone();
    let response = match admit(&state, &mut request, &method, &route) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    telemetry::request(&route, method.as_str(), response.status().as_u16(), began.elapsed());
    response
}

fn admit(state: &AppState, request: &mut Request, method: &Method, route: &str) -> Result<(), ApiError> {
    let peer = request.extensions().get::<ConnectInfo<Peer>>().map(|ConnectInfo(Peer(peer))| peer.ip().to_canonical());
    let loopback = peer.is_some_and(|ip| ip.is_loopback());
    let access = access(method, route);
    let action = match access {
        Some(Access::Open) => return pace(state, method, None, &Caller::Unknown(peer)),
        Some(Access::OpenOnLoopback(_)) if loopback => return Ok(()),
        Some(Access::OpenOnLoopback(action) | Access::Needs(action)) => Some(action),
        None => None,
    };
    // Whoever guesses tokens is slowed down like everybody unknown.
    let (principal, by_cookie) = match identify(state, request.headers()) {
        Ok(known) => known,
        Err(unknown) => {
            pace(state, method, action, &Caller::Unknown(peer))?;
            return Err(unknown);
        }
    };
    pace(state, method, action, &Caller::Known(&principal.name))?;
    if by_cookie && !method.is_safe() && !request.headers().contains_key(CSRF_HEADER) {
        return Err(ApiError::forbidden(format!("a write with a session needs the header {CSRF_HEADER}")));
    }
    match action {
        Some(action) if may(principal.role, action) => {}
        Some(_) => return Err(ApiError::forbidden(format!("the role {} may not do this", principal.role.as_str()))),
        // Known address, other method: 405 is the router's to say; unknown address: 404 likewise.
        None if route == "unknown" => {}
        None => return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address does not take that method")),
    }
    let bounds = state.accounts.bounds(&principal.name);
    // What a person types in for a lane counts as a word there; a device's lanes the ingest checks.
    if route == "/v1/lanes/{lane}/reads" && !bounds.checkpoints.is_empty() {
        let lane = request.uri().path().split('/').nth(3).and_then(decoded).unwrap_or_default();
        within(&bounds, &state.board.checkpoint_of(&lane).unwrap_or_default())?;
    }
    request.extensions_mut().insert(bounds);
    request.extensions_mut().insert(principal);
    Ok(())
}

/// Whether the caller acts at the checkpoint.
///
/// # Errors
/// 403, saying where the account may act.
pub(crate) fn within(bounds: &Bounds, checkpoint: &str) -> Result<(), ApiError> {
    if bounds.admits(checkpoint) {
        return Ok(());
    }
    Err(ApiError::forbidden(format!("your account acts at {} only", bounds.checkpoints.join(", "))))
}

/// A part of an address without its percent signs; none: it is no UTF-8.
fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(b) = rest.next() {
        if b == b'%' {
            let (high, low) = (rest.next()?, rest.next()?);
            let digit = |d: u8| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok());
            bytes.push(digit(high)?.checked_mul(16)?.checked_add(digit(low)?)?);
        } else {
            bytes.push(b);
        }
    }
    String::from_utf8(bytes).ok()
}

enum Caller<'a> {
    Known(&'a str),
    Unknown(Option<IpAddr>),
}

/// Slows down who calls too fast.
fn pace(state: &AppState, method: &Method, action: Option<Action>, caller: &Caller) -> Result<(), ApiError> {
    if matches!(action, Some(Action::PostFrames | Action::PostReads)) {
        return Ok(());
    }
    let (rate, kind) = if method.is_safe() { (&state.limits.read, "read") } else { (&state.limits.write, "write") };
    let key = match caller {
        Caller::Known(name) => format!("account {name}"),
        Caller::Unknown(Some(ip)) => format!("address {ip}"),
        Caller::Unknown(None) => "address unknown".to_owned(),
    };
    rate.take(&key, Instant::now()).map_err(|wait_s| {
        metrics::counter!(telemetry::LIMITED_TOTAL, "kind" => kind).increment(1);
        ApiError::too_many("too many calls; wait before the next one", wait_s)
    })
}

/// The principal of a bearer token or session cookie, and whether it was the cookie.
fn identify(state: &AppState, headers: &HeaderMap) -> Result<(Principal, bool), ApiError> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let token = value.to_str().ok().and_then(|v| v.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, t)| t.trim());
        return match token.and_then(|t| state.accounts.authenticate(None, t)) {
            Some(principal) => Ok((principal, false)),
            None => {
                metrics::counter!(telemetry::SIGN_IN_FAILURES_TOTAL, "kind" => "token").increment(1);
                Err(ApiError::unauthenticated())
            }
        };
    }
    let name = session_cookie(headers).and_then(|c| state.sessions.account(&c, Instant::now()));
    let principal = name.and_then(|n| state.accounts.principal(&n));
    principal.map(|p| (p, true)).ok_or_else(ApiError::unauthenticated)
}

/// The session cookie's value.
pub(crate) fn session_cookie(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == sessions::COOKIE)
        .map(|(_, value)| value.to_owned())
}

/// Adds what a browser needs to be told on every answer.
pub async fn security_headers(State(tls): State<bool>, request: Request, next: Next) -> Response {
    const POLICY: &str =
        "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    let cacheable = request.uri().path().starts_with("/assets/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=(), usb=()"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, header::HeaderValue::from_static(value));
    }
    if tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, header::HeaderValue::from_static("max-age=31536000"));
    }
    if !cacheable && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    }
    response
}
