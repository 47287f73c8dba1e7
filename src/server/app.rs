//! One server: routes, what they share, start and stop.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::ValidationMode;
use axum::Router;
use axum::routing::{any, get, post};
use sea_orm::DbBackend;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::documents::Documents;
use super::graphql::{SyncHealthSchema, schema};
use super::groups::Groups;
use super::guard::Contract;
use super::occupancy::Occupancy;
use super::operation::Guarded;
use super::throttle::Throttle;
use super::ticket::Tickets;
use super::{export, graphiql, http, layers, ndjson, request_log};
use crate::kernel::auth::Verifier;
use crate::kernel::clock::DatabaseClock;
use crate::kernel::config::{Config, LiveConfig};
use crate::kernel::db::Db;
use crate::kernel::env::Env;
use crate::kernel::error::{Error, Result};
use crate::kernel::mail::Mailer;
use crate::kernel::metrics::Metrics;
use crate::kernel::tls;
use crate::kernel::wake::Wake;
use crate::kernel::webhook::WebhookSender;
use crate::notifications;
use crate::quota;
use crate::quota::live::QuotaWatch;
use crate::resync;
use crate::sync_errors::export::Exports;
use crate::sync_errors::live::Live;
use crate::upkeep;

/// What all handlers share.
pub(super) struct App {
    pub(super) env: Env,
    pub(super) verifier: Verifier,
    /// Checks a document by all rules before it executes it.
    pub(super) schema: SyncHealthSchema,
    /// Executes documents that were checked before.
    pub(super) valid_schema: SyncHealthSchema,
    pub(super) guarded: Arc<Guarded>,
    pub(super) tickets: Arc<Tickets>,
    pub(super) exports: Arc<Exports>,
    pub(super) throttle: Throttle,
    pub(super) operation_timeout: Duration,
    pub(super) config: LiveConfig,
    pub(super) occupancy: Arc<Occupancy>,
    pub(super) groups: Groups,
    pub(super) live: Arc<Live>,
    /// Cancelled when the server stops: streams end, sockets close.
    pub(super) stopping: CancellationToken,
    /// Sockets and what runs for them, which the graceful stop of HTTP does not wait for.
    pub(super) open: TaskTracker,
}

impl App {
    async fn new(config: &Config, db: Db, address: SocketAddr) -> Result<Self> {
        let metrics = Arc::new(Metrics::default());
        let env = Env {
            db,
            clock: DatabaseClock::new(config.clock.clone()),
            metrics: metrics.clone(),
            wake: Wake::default(),
            webhooks: WebhookSender::new(config.allows_private_webhooks)?,
            mailer: Mailer::new(&config.mail)?,
        };
        env.read_clock().await?;
        let (stopping, open) = (CancellationToken::new(), TaskTracker::new());
        let live = Arc::new(Live::new(env.clone(), stopping.clone(), open.clone()));
        let contract = async_graphql::parser::parse_schema(super::graphql::sdl())
            .map_err(|error| Error::Internal(error.to_string()))?;
        let guarded = Arc::new(Guarded {
            contract: Contract::of(&contract),
            documents: Documents::new(config.trusted_documents.as_deref())?,
        });
        let tickets = Arc::new(Tickets::new(guarded.clone(), config.auth.leeway));
        let public_url = config.public_url.clone();
        let public_url = public_url.unwrap_or_else(|| format!("http://{address}"));
        let exports = Arc::new(Exports::new(config.auth.leeway, public_url));
        let quotas = QuotaWatch::new(env.clone(), stopping.clone(), open.clone());
        let quotas = Arc::new(quotas);
        let schema = |mode| {
            let shared = (live.clone(), quotas.clone());
            schema(config, mode, shared, (tickets.clone(), exports.clone()))
        };
        Ok(Self {
            env,
            verifier: Verifier::new(&config.auth).await?,
            schema: schema(ValidationMode::Strict),
            valid_schema: schema(ValidationMode::Fast),
            guarded,
            tickets: tickets.clone(),
            exports: exports.clone(),
            throttle: Throttle::new(config),
            operation_timeout: config.operation_timeout,
            config: config.live,
            occupancy: Arc::new(Occupancy::new(&config.live, metrics)),
            groups: Groups::default(),
            live,
            stopping,
            open,
        })
    }
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
    tls::choose_provider();
    let db = Db::connect(&config).await?;
    if db.backend() == DbBackend::Sqlite {
        db.migrate().await?;
    }
    let timeout = config.shutdown_timeout;
    let address = listener.local_addr();
    let address = address.map_err(|error| Error::Internal(error.to_string()))?;
    let app = Arc::new(App::new(&config, db.clone(), address).await?);
    let (stop, stopping) = tokio::sync::oneshot::channel();
    let serving = axum::serve(listener, router(app.clone(), &config)?);
    let stopping_now = app.stopping.clone();
    let serving = serving.with_graceful_shutdown(async move {
        shutdown.await;
        stopping_now.cancel();
        let _ = stop.send(());
    });
    let open = app.open.clone();
    let served = async move {
        let served = serving.await;
        open.close();
        open.wait().await;
        served
    };
    let deadline = async move {
        let _ = stopping.await;
        tokio::time::sleep(timeout).await;
    };
    tokio::select! {
        served = served => served.map_err(|error| Error::Internal(error.to_string()))?,
        () = deadline => tracing::warn!("requests were still in flight when the time to stop was over"),
        () = app.throttle.sweep() => {}
        () = app.live.look_around() => {}
        () = app.env.follow_clock() => {}
        () = quota::recover(&app.env) => {}
        () = resync::sweep(&app.env) => {}
        () = notifications::tell(&app.env, config.gathering) => {}
        () = notifications::deliver(&app.env) => {}
        () = resync::push(&app.env) => {}
        () = upkeep::sweep(&app.env, &config.retention) => {}
        () = hear_others(&app, &config) => {}
    }
    db.close().await
}

/// Hears what other servers on the same PostgreSQL commit, for ever; on SQLite there are none.
async fn hear_others(app: &App, config: &Config) {
    match app.env.db.backend() {
        DbBackend::Postgres if config.hears_others => {
            app.env.wake.listen_to_postgres(&config.database_url).await;
        }
        _ => std::future::pending().await,
    }
}

fn router(app: Arc<App>, config: &Config) -> Result<Router> {
    let mut router = Router::new()
        .route("/graphql", any(http::graphql))
        .route("/v1/sync-failures", post(ndjson::sync_failures))
        .route("/v1/exports", get(export::export));
    if let Some(cors) = layers::cors(&config.cors_origins)? {
        router = router.layer(cors);
    }
    if config.graphiql {
        router = router.merge(graphiql::routes());
    }
    Ok(router
        .layer(layers::compression())
        .route("/readyz", get(http::ready))
        .route("/healthz", get(http::healthy))
        .route("/metrics", get(http::metrics))
        .layer(axum::middleware::from_fn_with_state(
            app.clone(),
            request_log::log,
        ))
        .with_state(app))
}
