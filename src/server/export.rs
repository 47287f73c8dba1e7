//! `GET /v1/exports?ticket=…`: downloads what was ordered by `exportSyncErrors` or `exportRecordView`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::accepts::Accepts;
use super::answer::Refusal;
use super::app::App;
use super::occupancy::{Place, Seat};
use super::request_log::Notes;
use crate::kernel::error::Error;
use crate::kernel::limits;
use crate::sync_errors::export::{Export, ExportFormat};

/// The parameters of the address.
#[derive(Deserialize)]
pub(super) struct Parameters {
    #[serde(default)]
    ticket: String,
}

/// When to come back where too many exports are written already.
const RETRY_AFTER_SECONDS: &str = "60";

/// What is handed on at once: more would leave this server's hands before the client has taken it.
const PART_BYTES: usize = 64 * 1024;

/// A part of a file on its way.
enum Part {
    Bytes(Bytes),
    End,
}

/// Writes the file while it is downloaded.
pub(super) async fn export(
    State(app): State<Arc<App>>,
    Extension(notes): Extension<Notes>,
    Query(parameters): Query<Parameters>,
) -> Response {
    let refusal = match download(&app, &notes, &parameters.ticket).await {
        Ok(response) => {
            notes.outcome("ok");
            return response;
        }
        Err(refusal) => refusal,
    };
    let mut response = refusal.into_response(Accepts::Json, &notes);
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        let later = HeaderValue::from_static(RETRY_AFTER_SECONDS);
        response.headers_mut().insert(header::RETRY_AFTER, later);
    }
    response
}

async fn download(app: &Arc<App>, notes: &Notes, ticket: &str) -> Result<Response, Refusal> {
    let (viewer, scope, ordered) = app.exports.redeem(&app.env, ticket).await?;
    notes.subject(viewer.subject());
    let of_portal = app.occupancy.take(Place::PortalExport(ordered.hub_id))?;
    let seats = [of_portal, app.occupancy.take(Place::Export)?];
    let format = ordered.order.format;
    let export = Export::begin(&app.env, scope, ordered.order).await?;
    let gone = || Error::NotFound("The portal or the view does not exist any more.".into());
    let export = export.ok_or_else(gone)?;
    let (sender, parts) = mpsc::channel(1);
    let mut length = None;
    match format {
        ExportFormat::Xlsx => {
            let file = export.workbook(|_| {}).await?;
            length = file.metadata().map(|about| about.len()).ok();
            let file = tokio::fs::File::from_std(file);
            app.open.spawn(in_time(send_file(file, sender), seats));
        }
        ExportFormat::Csv | ExportFormat::Ndjson => {
            app.open.spawn(in_time(send(export, sender), seats));
        }
    }
    let mut response = body(parts).into_response();
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_static(format.content_type());
    headers.insert(header::CONTENT_TYPE, content_type);
    let disposition = format!("attachment; filename=\"{}\"", ordered.file_name);
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Ok(response)
}

/// Ends a download that takes too long; its seats are free then.
async fn in_time(sending: impl Future<Output = ()>, seats: [Seat; 2]) {
    let most = Duration::from_secs(limits::EXPORT_DOWNLOAD_SECONDS.value as u64);
    let _ = tokio::time::timeout(most, sending).await;
    drop(seats);
}

/// What is on its way to the client; it is cut off where the end is missing, so that no part is taken for the whole.
fn body(parts: mpsc::Receiver<Part>) -> Body {
    Body::from_stream(stream::unfold(Some(parts), |parts| async {
        let mut parts = parts?;
        match parts.recv().await {
            Some(Part::Bytes(bytes)) => Some((Ok(bytes), Some(parts))),
            Some(Part::End) => None,
            None => Some((Err(io::Error::other("the export was cut off")), None)),
        }
    }))
}

/// Sends what is written, until the client goes away or takes nothing for too long.
async fn send(mut export: Export, parts: mpsc::Sender<Part>) {
    loop {
        let mut bytes = match export.next().await {
            Ok(Some(part)) => part.bytes,
            Ok(None) => break,
            Err(error) => return tell(error),
        };
        while !bytes.is_empty() {
            let part = bytes.split_to(bytes.len().min(PART_BYTES));
            if !is_taken(&parts, Part::Bytes(part)).await {
                return;
            }
        }
    }
    is_taken(&parts, Part::End).await;
}

async fn send_file(mut file: tokio::fs::File, parts: mpsc::Sender<Part>) {
    loop {
        let mut bytes = Vec::with_capacity(PART_BYTES);
        let part = file.read_buf(&mut bytes).await;
        let part = match part {
            Ok(0) => Part::End,
            Ok(_) => Part::Bytes(bytes.into()),
            Err(error) => return tell(Error::Internal(error.to_string())),
        };
        if !is_taken(&parts, part).await {
            return;
        }
    }
}

/// Whether there may be more to send: the client took the part before this one.
async fn is_taken(parts: &mpsc::Sender<Part>, part: Part) -> bool {
    let is_last = matches!(part, Part::End);
    let patience = Duration::from_secs(limits::EXPORT_STALL_SECONDS.value as u64);
    let sent = tokio::time::timeout(patience, parts.send(part)).await;
    matches!(sent, Ok(Ok(()))) && !is_last
}

/// Logged here: the status is on its way already.
fn tell(error: Error) {
    let _ = error.answer();
}
