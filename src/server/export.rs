//! `GET /v1/exports?ticket=…`: downloads what was ordered by `exportSyncErrors` or `exportRecordView`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::accepts::Accepts;
use super::answer::Refusal;
use super::app::App;
use super::body::streamed;
use super::occupancy::{Place, Seat};
use super::parameters::Parameters;
use super::request_log::Notes;
use super::throttle::Spender;
use crate::kernel::env::Env;
use crate::kernel::error::Error;
use crate::kernel::streams::unfold;
use crate::sync_errors::export::{Export, ExportFormat};

/// What is handed on at once: more would leave this server's hands before the client has taken it.
const PART_BYTES: usize = 64 * 1024;

/// A part of a file on its way.
enum Part {
    Bytes(Bytes),
    End,
}

/// What an export makes the database do.
struct Work {
    app: Arc<App>,
    env: Env,
    spender: Spender,
}

impl Work {
    /// Pays for it by waiting.
    async fn is_paid(&self) {
        let taken = self.env.db.taken();
        self.app.throttle.bulk.slow(&self.spender, taken).await;
    }
}

/// Hands parts on, and waits for a while for who takes them.
struct Sender {
    sender: mpsc::Sender<Part>,
    patience: Duration,
}

/// Writes the file while it is downloaded.
pub(super) async fn export(
    State(app): State<Arc<App>>,
    Extension(notes): Extension<Notes>,
    uri: Uri,
) -> Response {
    match download(&app, &notes, &uri).await {
        Ok(response) => {
            notes.outcome("ok");
            response
        }
        Err(refusal) => refusal.into_response(Accepts::Json, &notes),
    }
}

async fn download(app: &Arc<App>, notes: &Notes, uri: &Uri) -> Result<Response, Refusal> {
    let ticket = Parameters::of(uri, &["ticket"])?.take("ticket");
    let ticket = ticket.unwrap_or_default();
    let (viewer, scope, ordered) = app.exports.redeem(&app.env, &ticket).await?;
    notes.authenticated(&viewer);
    app.verifier.check(&viewer).await?;
    let subject: Arc<str> = viewer.subject().into();
    let seats = [
        app.occupancy.take(Place::PortalExport(ordered.hub_id))?,
        app.occupancy.take(Place::SubjectExport(subject.clone()))?,
        app.occupancy.take(Place::Export)?,
    ];
    let format = ordered.order.format;
    let work = Work {
        app: app.clone(),
        env: app.env.of_request(&subject),
        spender: (subject, ordered.hub_id),
    };
    let export = Export::begin(&work.env, scope, ordered.order).await?;
    let gone = || Error::NotFound("The portal or the view does not exist any more.".into());
    let export = export.ok_or_else(gone)?;
    let (sender, parts) = mpsc::channel(1);
    let patience = app.config.export_stall;
    let sender = Sender { sender, patience };
    let (metrics, most) = (app.env.metrics.clone(), app.config.export_download);
    let in_time = |sending: BoxFuture<'static, bool>| async move {
        metrics.exported(in_time(most, sending, seats).await);
    };
    let mut length = None;
    match format {
        ExportFormat::Xlsx => {
            let file = export.workbook(|_| {}).await?;
            work.is_paid().await;
            length = file.metadata().map(|about| about.len()).ok();
            let file = tokio::fs::File::from_std(file);
            app.open.spawn(in_time(send_file(file, sender).boxed()));
        }
        ExportFormat::Csv | ExportFormat::Ndjson => {
            let workers = app.env.workers.clone();
            let sending = async move { workers.run(send(export, sender, work)).await };
            app.open.spawn(in_time(sending.boxed()));
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

/// Ends a download that takes too long; its seats are free then. Answers whether the whole file was taken.
async fn in_time(most: Duration, sending: BoxFuture<'static, bool>, seats: [Seat; 3]) -> bool {
    let is_whole = tokio::time::timeout(most, sending).await.unwrap_or(false);
    drop(seats);
    is_whole
}

/// What is on its way to the client; it is cut off where the end is missing, so that no part is taken for the whole.
fn body(parts: mpsc::Receiver<Part>) -> Body {
    streamed(unfold(Some(parts), |parts| async {
        let mut parts = parts?;
        match parts.recv().await {
            Some(Part::Bytes(bytes)) => Some((Ok(bytes), Some(parts))),
            Some(Part::End) => None,
            None => Some((Err(io::Error::other("the export was cut off")), None)),
        }
    }))
}

/// Sends what is written, until the client goes away or takes nothing for too long. Answers whether it took all.
async fn send(mut export: Export, parts: Sender, work: Work) -> bool {
    loop {
        let mut bytes = match export.next().await {
            Ok(Some(part)) => part.bytes,
            Ok(None) => break,
            Err(error) => return tell(error),
        };
        while !bytes.is_empty() {
            let part = bytes.split_to(bytes.len().min(PART_BYTES));
            if !parts.is_taken(Part::Bytes(part)).await {
                return false;
            }
        }
        work.is_paid().await;
    }
    parts.is_taken(Part::End).await
}

async fn send_file(mut file: tokio::fs::File, parts: Sender) -> bool {
    loop {
        let mut bytes = Vec::with_capacity(PART_BYTES);
        let part = file.read_buf(&mut bytes).await;
        let part = match part {
            Ok(0) => return parts.is_taken(Part::End).await,
            Ok(_) => Part::Bytes(bytes.into()),
            Err(error) => return tell(Error::Internal(error.to_string())),
        };
        if !parts.is_taken(part).await {
            return false;
        }
    }
}

impl Sender {
    /// Whether the client took the part before this one.
    async fn is_taken(&self, part: Part) -> bool {
        let sent = tokio::time::timeout(self.patience, self.sender.send(part)).await;
        matches!(sent, Ok(Ok(())))
    }
}

/// Logged here: the status is on its way already.
fn tell(error: Error) -> bool {
    let _ = error.answer();
    false
}
