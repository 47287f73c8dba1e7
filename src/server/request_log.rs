//! One line a request, with a reference that the client sees too; never a token or a record's value.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

/// What a handler adds to its line.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes(Arc<Mutex<Noted>>);

#[derive(Debug, Default, Clone)]
struct Noted {
    subject: String,
    operation: &'static str,
    statements: u32,
    cost: u64,
    outcome: &'static str,
}

impl Notes {
    fn with(&self, change: impl FnOnce(&mut Noted)) {
        if let Ok(mut noted) = self.0.lock() {
            change(&mut noted);
        }
    }

    /// Who asks: the subject of the token.
    pub(super) fn subject(&self, subject: &str) {
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

    /// "ok", or the code of its first error.
    pub(super) fn outcome(&self, outcome: &'static str) {
        self.with(|noted| noted.outcome = outcome);
    }
}

/// Logs the request when it is answered.
pub(super) async fn log(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let reference = uuid::Uuid::now_v7();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let notes = Notes::default();
    request.extensions_mut().insert(notes.clone());
    let span = tracing::info_span!("request", %reference);
    let mut response = next.run(request).instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(&reference.to_string()) {
        response.headers_mut().insert("x-request-id", value);
    }
    let noted = notes
        .0
        .lock()
        .map(|noted| noted.clone())
        .unwrap_or_default();
    tracing::info!(
        %reference,
        %method,
        path,
        status = response.status().as_u16(),
        microseconds = started.elapsed().as_micros() as u64,
        subject = noted.subject,
        operation = noted.operation,
        outcome = noted.outcome,
        statements = noted.statements,
        cost = noted.cost,
        "request"
    );
    response
}
