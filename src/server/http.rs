//! GraphQL over HTTP (<https://graphql.github.io/graphql-over-http/draft/>), written here and not taken from
//! async-graphql-axum because that answers always 200, runs mutations by GET and takes bodies of any type.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::accepts::Accepts;
use super::answer::{Refusal, answer};
use super::app::App;
use super::request_log::Notes;
use super::{operation, request};
use crate::kernel::auth::Viewer;
use crate::kernel::error::Result;

/// `GET` and `POST /graphql`.
pub(super) async fn graphql(
    State(app): State<Arc<App>>,
    Extension(notes): Extension<Notes>,
    method: Method,
    headers: HeaderMap,
    uri: axum::http::Uri,
    body: Body,
) -> Response {
    let accepts = Accepts::of(&headers);
    let answered = async {
        let viewer = viewer(&app, &headers, &notes).await?;
        let request = match method {
            Method::GET => request::from_uri(uri.query().unwrap_or_default())?,
            Method::POST => request::from_body(&headers, body).await?,
            _ => {
                return Err(Refusal::status(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "Use POST, or GET for queries.",
                ));
            }
        };
        operation::run(&app, &notes, viewer, request, method == Method::GET).await
    };
    match answered.await {
        Ok(executed) => answer(executed, accepts, &notes),
        Err(refusal) => refusal.into_response(accepts, &notes),
    }
}

/// Who asks.
pub(super) async fn viewer(app: &App, headers: &HeaderMap, notes: &Notes) -> Result<Viewer> {
    let authorization = headers.get(header::AUTHORIZATION);
    let viewer = app
        .verifier
        .verify_header(authorization.map(|value| value.as_bytes()))
        .await?;
    notes.subject(viewer.subject());
    Ok(viewer)
}

/// `/healthz`: the process answers.
pub(super) async fn healthy() -> &'static str {
    "ok\n"
}

/// `/readyz`: the database answers and its tables are up to date.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.env.db.is_ready().await {
        Ok(true) => "ready\n".into_response(),
        Ok(false) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database has to be migrated: run the command migrate\n",
        )
            .into_response(),
        Err(error) => {
            let answer = error.answer();
            (StatusCode::SERVICE_UNAVAILABLE, answer.message + "\n").into_response()
        }
    }
}

/// `/metrics`, for Prometheus.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match app.env.metrics.text(app.env.db.pools()) {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            let answer = error.answer();
            (answer.status, answer.message + "\n").into_response()
        }
    }
}
