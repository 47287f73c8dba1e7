//! One line a request, with a reference that the client sees too; never a token or a record's value.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use super::accepts::Accepts;
use super::answer::Refusal;
use super::app::App;
use super::connections::Admission;
use super::{layers, telemetry};
use crate::kernel::auth::Viewer;
use crate::kernel::error::Error;
use crate::kernel::limits;
use crate::kernel::panics::caught;
use crate::kernel::text::cut;

/// What a handler adds to its line.
#[derive(Clone, Default)]
pub(super) struct Notes {
    noted: Arc<Mutex<Noted>>,
    /// The connection that it came on.
    admission: Option<Arc<Admission>>,
}

#[derive(Debug, Default, Clone)]
struct Noted {
    subject: String,
    operation: &'static str,
    statements: u32,
    cost: u64,
    outcome: &'static str,
    limit: &'static str,
}

impl Notes {
    fn of(request: &Request) -> Self {
        Self {
            noted: Arc::default(),
            admission: request.extensions().get().cloned(),
        }
    }

    /// The connection that it came on.
    pub(super) fn admission(&self) -> Option<Arc<Admission>> {
        self.admission.clone()
    }

    fn with(&self, change: impl FnOnce(&mut Noted)) {
        if let Ok(mut noted) = self.noted.lock() {
            change(&mut noted);
        }
    }

    /// Who asks, now that a token or a ticket was verified.
    pub(super) fn authenticated(&self, viewer: &Viewer) {
        if let Some(admission) = &self.admission {
            admission.authenticated();
        }
        self.subject(viewer.subject());
    }

    fn subject(&self, subject: &str) {
        let subject = cut(subject, limits::NAME_CHARACTERS.value);
        self.with(|noted| subject.clone_into(&mut noted.subject));
    }

    /// Which kind of GraphQL operation it is.
    pub(super) fn operation(&self, operation: &'static str) {
        self.with(|noted| noted.operation = operation);
    }

    /// How many SQL statements its snapshot took.
    pub(super) fn statements(&self, statements: u32) {
        self.with(|noted| noted.statements = statements);
    }

    /// What the operation costs, in points.
    pub(super) fn cost(&self, cost: u64) {
        self.with(|noted| noted.cost = cost);
    }

    /// Which limit refused it.
    pub(super) fn limit(&self, limit: &'static str) {
        self.with(|noted| noted.limit = limit);
    }

    /// "ok", or the code of its first error.
    pub(super) fn outcome(&self, outcome: &'static str) {
        self.with(|noted| noted.outcome = outcome);
    }
}

impl Notes {
    /// Counts and logs an operation of a socket, which is no request of its own.
    pub(super) fn tell_operation(&self, app: &App, took: Duration) {
        let noted = self.noted.lock();
        let noted = noted.map(|noted| noted.clone()).unwrap_or_default();
        noted.count(app, "websocket", took);
        tracing::info!(
            microseconds = took.as_micros() as u64,
            subject = noted.subject,
            operation = noted.operation,
            outcome = noted.outcome,
            statements = noted.statements,
            cost = noted.cost,
            "operation"
        );
    }
}

impl Noted {
    fn count(&self, app: &App, path: &'static str, took: Duration) {
        let metrics = &app.env.metrics;
        metrics.answered(path, self.operation, self.outcome, took);
        if !self.operation.is_empty() {
            metrics.measured(self.cost);
        }
        if !self.limit.is_empty() {
            metrics.refused_by(self.limit);
        }
    }
}

/// A request on its way. It is told once: when it is answered, or when the client went away before.
struct Line {
    app: Arc<App>,
    notes: Notes,
    started: Instant,
    reference: uuid::Uuid,
    method: &'static str,
    path: &'static str,
    status: Option<StatusCode>,
}

impl Drop for Line {
    fn drop(&mut self) {
        let noted = self.notes.noted.lock();
        let mut noted = noted.map(|noted| noted.clone()).unwrap_or_default();
        if self.status.is_none() {
            noted.outcome = "gone";
        }
        let took = self.started.elapsed();
        noted.count(&self.app, self.path, took);
        tracing::info!(
            reference = %self.reference,
            method = self.method,
            path = self.path,
            status = self.status.map(|status| status.as_u16()),
            microseconds = took.as_micros() as u64,
            subject = noted.subject,
            operation = noted.operation,
            outcome = noted.outcome,
            limit = noted.limit,
            statements = noted.statements,
            cost = noted.cost,
            "request"
        );
    }
}

/// The paths that are counted by themselves. Only they are logged: in another one anything may stand, a token too.
const PATHS: &[&str] = &[
    "/graphql",
    "/v1/sync-failures",
    "/v1/exports",
    "/v1/confirmations",
    "/healthz",
    "/readyz",
    "/metrics",
    "/graphiql",
];

fn known_path(request: &Request) -> &'static str {
    let path = request.uri().path();
    let known = PATHS.iter().find(|known| **known == path);
    known.copied().unwrap_or("other")
}

/// Methods are whatever a client writes.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::OPTIONS => "OPTIONS",
        Method::HEAD => "HEAD",
        _ => "other",
    }
}

/// Gives the request its reference and notes, and tells of it in the end.
pub(super) async fn log(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let mut line = Line {
        app,
        notes: Notes::of(&request),
        started: Instant::now(),
        reference: uuid::Uuid::now_v7(),
        method: known_method(request.method()),
        path: known_path(&request),
        status: None,
    };
    request.extensions_mut().insert(line.notes.clone());
    let accepts = Accepts::of(request.headers());
    let span = tracing::info_span!("request", reference = %line.reference, method = line.method, path = line.path);
    telemetry::continue_trace(&span, request.headers());
    let answered = caught(next.run(request).instrument(span)).await;
    let mut response = answered.unwrap_or_else(|| {
        let refusal = Refusal::from(Error::Internal("a request ended by a panic".into()));
        refusal.into_response(accepts, &line.notes)
    });
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&line.reference.to_string()) {
        headers.insert("x-request-id", value);
    }
    layers::mark_private(headers);
    line.status = Some(response.status());
    response
}
