//! GraphQL over HTTP (<https://graphql.github.io/graphql-over-http/draft/>), written here and not taken from
//! async-graphql-axum because that answers always 200, runs mutations by GET and takes bodies of any type.

use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::accepts::Accepts;
use super::answer::{Refusal, answer, note, written};
use super::app::{App, NOT_MIGRATED};
use super::occupancy::Place;
use super::operation::Executed;
use super::request_log::Notes;
use super::sse::Accepted;
use super::{operation, request, sse, ws};
use crate::kernel::auth::Viewer;
use crate::kernel::error::Result;
use crate::kernel::limits;

const SUBSCRIPTION: &str =
    "A subscription goes by WebSocket (graphql-transport-ws), or with Accept: text/event-stream.";

/// What a socket reads at once: clients say little, and each socket has such a buffer.
const READ_BUFFER_BYTES: usize = 512;

/// `GET` and `POST /graphql`, and the upgrade to WebSocket.
pub(super) async fn graphql(
    State(app): State<Arc<App>>,
    Extension(notes): Extension<Notes>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    match upgrade {
        Ok(upgrade) => open(app, notes, upgrade, request.headers()).await,
        Err(_) => answer_one(app, notes, request).await,
    }
}

/// A token in the upgrade's header has to be good; without one, `connection_init` brings it.
async fn open(
    app: Arc<App>,
    notes: Notes,
    upgrade: WebSocketUpgrade,
    headers: &HeaderMap,
) -> Response {
    let viewer = match headers.get(header::AUTHORIZATION) {
        Some(_) => match viewer(&app, headers, &notes).await {
            Ok(viewer) => Some(viewer),
            Err(error) => return Refusal::from(error).into_response(Accepts::of(headers), &notes),
        },
        None => None,
    };
    let seat = viewer.as_ref().map(|_| app.occupancy.take(Place::Socket));
    let seat = match seat.transpose() {
        Ok(seat) => seat,
        Err(refusal) => return refusal.into_response(Accepts::of(headers), &notes),
    };
    notes.outcome("ok");
    let caller = ws::Caller {
        viewer,
        seat,
        admission: notes.admission(),
    };
    let limit = limits::WEB_SOCKET_MESSAGE_BYTES.value;
    upgrade
        .protocols([ws::PROTOCOL])
        .max_message_size(limit)
        .max_frame_size(limit)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .on_upgrade(move |socket| {
            let open = app.open.clone();
            open.track_future(ws::serve(app, caller, socket))
        })
}

async fn answer_one(app: Arc<App>, notes: Notes, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (method, headers, uri) = (parts.method, parts.headers, parts.uri);
    let accepts = Accepts::of(&headers);
    let stream = Accepted::of(&headers);
    let answered = async {
        let (viewer, request) = match request::ticket(&method, &uri)? {
            Some(ticket) => {
                let redeemed = app.tickets.redeem(&app.env, &ticket).await?;
                app.verifier.check(&redeemed.0).await?;
                redeemed
            }
            None => {
                let viewer = viewer(&app, &headers, &notes).await?;
                (viewer, request::of(&method, &uri, (&headers, body)).await?)
            }
        };
        notes.authenticated(&viewer);
        let prepared = operation::prepare(&app, &notes, &viewer, request)?;
        if prepared.operation.is_subscription() {
            if stream == Accepted::No {
                return Err(Refusal::document("BAD_USER_INPUT", SUBSCRIPTION.into()));
            }
            return sse::subscribed(&app, viewer, prepared, (&headers, &notes)).await;
        }
        if method == Method::GET && !prepared.operation.is_query() {
            return Err(Refusal::only_queries());
        }
        let executed = operation::execute(&app, &notes, viewer, &prepared).await?;
        Ok(match stream {
            Accepted::ForAll => {
                let Executed { response, cost } = executed;
                note(&response, &notes);
                sse::whole(&written(&response, Some(cost)))
            }
            Accepted::No | Accepted::ForSubscriptions => answer(executed, accepts, &notes),
        })
    };
    let refused = match app.env.workers.run(answered).await {
        Ok(response) => return response,
        Err(refusal) if stream == Accepted::ForAll => sse::refused(refusal, &notes),
        Err(refusal) => Err(refusal),
    };
    refused.unwrap_or_else(|refusal| refusal.into_response(accepts, &notes))
}

/// Who asks.
pub(super) async fn viewer(app: &App, headers: &HeaderMap, notes: &Notes) -> Result<Viewer> {
    let authorization = headers.get(header::AUTHORIZATION);
    let viewer = app
        .verifier
        .verify_header(authorization.map(|value| value.as_bytes()))
        .await?;
    notes.authenticated(&viewer);
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
        Ok(false) => (StatusCode::SERVICE_UNAVAILABLE, format!("{NOT_MIGRATED}\n")).into_response(),
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
