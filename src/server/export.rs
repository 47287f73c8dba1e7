//! `GET /v1/exports?ticket=…`: downloads what was ordered by `exportSyncErrors` or `exportRecordView`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::app::App;
use super::http::refused;
use super::request_log::Notes;
use crate::kernel::error::{Error, Result};
use crate::kernel::limits;
use crate::sync_errors::export::{Export, ExportFormat};

/// The parameters of the address.
#[derive(Deserialize)]
pub(super) struct Parameters {
    #[serde(default)]
    ticket: String,
}

/// What is read of a workbook at once.
const READ_BYTES: usize = 256 * 1024;

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
    match download(&app, &notes, &parameters.ticket).await {
        Ok(response) => {
            notes.outcome("ok");
            response
        }
        Err(error) => refused(error, &notes),
    }
}

async fn download(app: &App, notes: &Notes, ticket: &str) -> Result<Response> {
    let (viewer, scope, ordered) = app.exports.redeem(&app.env, ticket).await?;
    notes.subject(viewer.subject());
    let place = app.exports.place()?;
    let format = ordered.order.format;
    let export = Export::begin(&app.env, scope, ordered.order).await?;
    let gone = || Error::NotFound("The portal or the view does not exist any more.".into());
    let export = export.ok_or_else(gone)?;
    let (sender, parts) = mpsc::channel(1);
    let mut length = None;
    match format {
        ExportFormat::Xlsx => {
            let file = export.workbook(|_| {}).await?;
            let about = file.metadata();
            length = about.map(|about| about.len()).ok();
            let file = tokio::fs::File::from_std(file);
            app.open.spawn(send_file(file, sender, place));
        }
        ExportFormat::Csv | ExportFormat::Ndjson => {
            app.open.spawn(send(export, sender, place));
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
async fn send(mut export: Export, parts: mpsc::Sender<Part>, _place: OwnedSemaphorePermit) {
    loop {
        let part = match export.next().await {
            Ok(Some(part)) => Part::Bytes(part.bytes),
            Ok(None) => Part::End,
            Err(error) => return tell(error),
        };
        if !is_taken(&parts, part).await {
            return;
        }
    }
}

async fn send_file(
    mut file: tokio::fs::File,
    parts: mpsc::Sender<Part>,
    _place: OwnedSemaphorePermit,
) {
    loop {
        let mut bytes = Vec::with_capacity(READ_BYTES);
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
