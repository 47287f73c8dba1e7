//! `POST /v1/sync-failures`: failures as NDJSON, streamed.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

use super::accepts::Accepts;
use super::answer::Refusal;
use super::app::App;
use super::connections::is_too_slow;
use super::http::viewer;
use super::layers;
use super::occupancy::Place;
use super::parameters::Parameters;
use super::request_log::Notes;
use crate::kernel::auth::Report;
use crate::kernel::error::Error;
use crate::kernel::limits;
use crate::sync_errors::report::ndjson::{NdjsonAnswer, NdjsonReport};

/// Takes the failures; the answer counts them and names the refused lines.
pub(super) async fn sync_failures(
    State(app): State<Arc<App>>,
    Extension(notes): Extension<Notes>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let hub_id = layers::refuse_packed(&headers)
        .and_then(|()| Parameters::of(&uri, &["hubId"]))
        .map(|mut parameters| parameters.take("hubId"));
    let hub_id = match hub_id {
        Ok(hub_id) => hub_id,
        Err(refusal) => return refusal.into_response(Accepts::Json, &notes),
    };
    // A task of its own: when the client goes away, what is being committed is still committed.
    let taking = tokio::spawn({
        let notes = notes.clone();
        async move {
            let taking = take(&app, &notes, hub_id, (&headers, body));
            app.env.workers.run(taking).await
        }
    });
    let taken = taking.await;
    let taken = taken.unwrap_or_else(|error| Err(Refusal::from(error)));
    match taken {
        Ok(answer) => {
            notes.outcome("ok");
            Json(answer).into_response()
        }
        Err(refusal) => refusal.into_response(Accepts::Json, &notes),
    }
}

async fn take(
    app: &App,
    notes: &Notes,
    hub_id: Option<String>,
    (headers, body): (&HeaderMap, Body),
) -> Result<NdjsonAnswer, Refusal> {
    let viewer = viewer(app, headers, notes).await?;
    viewer.require::<Report>()?;
    let unknown = || {
        Error::NotFound(
            "No portal with this Hub ID exists in the portals that the token names.".into(),
        )
    };
    let hub_id = viewer.hub_id(hub_id.as_deref())?.ok_or_else(unknown)?;
    let scope = viewer.scope::<Report>(hub_id)?.ok_or_else(unknown)?;
    let limit = limits::NDJSON_BODY_BYTES;
    let subject: Arc<str> = viewer.subject().into();
    let _seats = [
        app.occupancy.take(Place::SubjectUpload(subject.clone()))?,
        app.occupancy.take(Place::Upload)?,
    ];
    let env = app.env.of_request(&subject);
    let spender = (subject, hub_id);
    let mut report = NdjsonReport::new(env, scope);
    let mut stream = body.into_data_stream();
    let mut taken = 0;
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.map_err(|error| cut_off(&error))?;
        taken += bytes.len();
        if taken > limit.value {
            let message = format!(
                "A body has at most {} {} ({}); what came before is kept. Send the rest in a further one.",
                limit.value, limit.unit, limit.name
            );
            return Err(Refusal::from(Error::PayloadTooLarge(message)).by(limit));
        }
        report.take(&bytes).await?;
        // Who sends faster than its bucket fills is read more slowly, not refused: a point a line.
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        app.throttle.reports.wait(&spender, lines as u64).await;
    }
    Ok(report.finish().await?)
}

/// Why no more of a body came.
fn cut_off(error: &axum::Error) -> Refusal {
    const ADVICE: &str =
        "What came before is kept. Send all of it again: nothing is counted twice.";
    match is_too_slow(error) {
        true => Refusal::stalled(ADVICE),
        false => {
            let message = format!("The body ended too early. {ADVICE}");
            Refusal::from(Error::BadUserInput(message))
        }
    }
}
