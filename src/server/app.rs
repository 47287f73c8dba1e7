//! One server: routes, what they share, start and stop.

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get, post};
use sea_orm::DbBackend;
use tokio::net::TcpListener;

use super::graphql::{SyncHealthSchema, schema};
use super::guard::Shapes;
use super::{http, ndjson, request_log};
use crate::kernel::auth::Verifier;
use crate::kernel::config::Config;
use crate::kernel::db::Db;
use crate::kernel::error::{Error, Result};

/// What all handlers share.
pub(super) struct App {
    pub(super) config: Config,
    pub(super) db: Db,
    pub(super) verifier: Verifier,
    pub(super) schema: SyncHealthSchema,
    pub(super) shapes: Shapes,
}

/// Serves on `listener` until `shutdown` ends, then lets the requests in flight finish for as long as the configuration
/// allows. Binds nothing and installs no signal handler: several servers fit in one process.
///
/// A SQLite database is migrated here; PostgreSQL only by `migrate`, so that replicas start without waiting for each other.
pub async fn run(
    config: Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let db = Db::connect(&config).await?;
    if db.backend() == DbBackend::Sqlite {
        db.migrate().await?;
    }
    let timeout = config.shutdown_timeout;
    let verifier = Verifier::new(&config.jwt_secret);
    let schema = schema();
    let contract = async_graphql::parser::parse_schema(schema.sdl())
        .map_err(|error| Error::Internal(error.to_string()))?;
    let app = Arc::new(App {
        config,
        db: db.clone(),
        verifier,
        schema,
        shapes: Shapes::of(&contract),
    });
    let (stop, stopping) = tokio::sync::oneshot::channel();
    let serving = axum::serve(listener, router(app)).with_graceful_shutdown(async move {
        shutdown.await;
        let _ = stop.send(());
    });
    let deadline = async move {
        let _ = stopping.await;
        tokio::time::sleep(timeout).await;
    };
    tokio::select! {
        served = serving.into_future() => served.map_err(|error| Error::Internal(error.to_string()))?,
        () = deadline => tracing::warn!("requests were still in flight when the time to stop was over"),
    }
    db.close().await
}

fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/graphql", any(http::graphql))
        .route("/v1/sync-failures", post(ndjson::sync_failures))
        .route("/readyz", get(http::ready))
        .route("/healthz", get(http::healthy))
        .layer(axum::middleware::from_fn(request_log::log))
        .with_state(app)
}
