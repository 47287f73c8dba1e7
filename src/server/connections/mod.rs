//! Connections from their first byte to their last: who is let in, and for how long a client may keep the server waiting.
//!
//! axum's own loop knows none of these limits, so connections are accepted here and handed to hyper.

mod admission;
mod pace;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub(super) use admission::{Admission, Admissions};
pub(super) use pace::is_too_slow;
use pace::{PacedBody, PacedStream};

use super::app::App;

/// Accepts connections until the server stops; those that are open then end when they have been answered.
pub(super) async fn accept(app: Arc<App>, listener: TcpListener, router: Router) {
    loop {
        let accepted = tokio::select! {
            () = app.stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                wait_after(&error).await;
                continue;
            }
        };
        if let Some((stream, admission)) = app.admissions.admit(peer.ip(), stream) {
            let stopping = app.stopping.clone();
            app.open
                .spawn(serve(stream, router.clone(), admission, stopping));
        }
    }
}

/// One that is gone before it was accepted harms nobody. Without files left, the next one would fail at once too.
async fn wait_after(error: &io::Error) {
    const PAUSE: Duration = Duration::from_secs(1);
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    ) {
        tracing::error!(%error, "no connection can be accepted");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Answers the requests of one connection.
async fn serve(
    stream: TcpStream,
    router: Router,
    admission: Arc<Admission>,
    stopping: CancellationToken,
) {
    // What is written is written whole: nothing is gained by waiting for more.
    let _ = stream.set_nodelay(true);
    let config = admission.config();
    let stall = config.stall;
    let router = TowerToHyperService::new(router);
    let service = service_fn({
        let admission = admission.clone();
        move |request: Request<Incoming>| {
            admission.asks();
            let mut request = request.map(|body| Body::new(PacedBody::new(body, stall)));
            request.extensions_mut().insert(admission.clone());
            router.call(request)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.idle)
        .serve_connection(TokioIo::new(PacedStream::new(stream, stall)), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut is_stopping = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    admission.ended_by(&error);
                }
                return;
            }
            () = admission.is_over() => return,
            () = stopping.cancelled(), if !is_stopping => {
                // hyper would wait for the first request of a silent connection.
                if !admission.has_asked() {
                    return;
                }
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
