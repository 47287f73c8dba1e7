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

use super::connections::{self, Admissions};
use super::documents::Documents;
use super::graphql::{SyncHealthSchema, schema};
use super::groups::Groups;
use super::guard::Contract;
use super::occupancy::Occupancy;
use super::operation::Guarded;
use super::throttle::Throttle;
use super::ticket::Tickets;
use super::{confirmations, export, graphiql, http, layers, ndjson, request_log};
use crate::kernel::auth::Verifier;
use crate::kernel::clock::DatabaseClock;
use crate::kernel::config::{Config, LiveConfig};
use crate::kernel::db::Db;
use crate::kernel::env::Env;
use crate::kernel::error::{Error, Result};
use crate::kernel::mail::Mailer;
use crate::kernel::metrics::Metrics;
use crate::kernel::panics::again;
use crate::kernel::tls;
use crate::kernel::turns::Workers;
use crate::kernel::wake::Wake;
use crate::kernel::webhook::WebhookSender;
use crate::notifications::{self, Confirmations};
use crate::quota;
use crate::quota::live::QuotaWatch;
use crate::resync;
use crate::sync_errors::export::Exports;
use crate::sync_errors::live::Live;
use crate::upkeep;

/// What to do where tables are missing.
pub const NOT_MIGRATED: &str =
    "the database has to be migrated: run `sync-health migrate` with the same --database-url";

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
    pub(super) confirmations: Arc<Confirmations>,
    pub(super) throttle: Throttle,
    pub(super) operation_timeout: Duration,
    pub(super) config: LiveConfig,
    pub(super) admissions: Arc<Admissions>,
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
        let metrics = Arc::new(Metrics::of(&config.panics));
        let env = Env {
            db,
            clock: DatabaseClock::new(config.clock.clone()),
            metrics: metrics.clone(),
            wake: Wake::default(),
            workers: Workers::default(),
            webhooks: WebhookSender::new(config.allows_private_webhooks)?,
            mailer: Mailer::new(&config.mail)?,
            portal_errors: config.portal_errors,
            confirms_emails: config.confirms_emails,
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
        let exports = Arc::new(Exports::new(config.auth.leeway, public_url.clone()));
        let confirmations = Arc::new(Confirmations::new(public_url));
        let quotas = QuotaWatch::new(env.clone(), stopping.clone(), open.clone());
        let quotas = Arc::new(quotas);
        let schema = |mode| {
            let shared = (live.clone(), quotas.clone());
            let made = (tickets.clone(), exports.clone(), confirmations.clone());
            schema(config, mode, shared, made)
        };
        Ok(Self {
            env,
            verifier: Verifier::new(&config.auth).await?,
            schema: schema(ValidationMode::Strict),
            valid_schema: schema(ValidationMode::Fast),
            guarded,
            tickets: tickets.clone(),
            exports: exports.clone(),
            confirmations: confirmations.clone(),
            throttle: Throttle::new(config),
            operation_timeout: config.operation_timeout,
            config: config.live,
            admissions: Arc::new(Admissions::new(config.connections, metrics.clone())),
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
    let is_migrated = db.is_migrated().await?;
    let address = listener.local_addr();
    let address = address.map_err(|error| Error::Internal(error.to_string()))?;
    let app = Arc::new(App::new(&config, db.clone(), address).await?);
    tracing::info!(listen = %address, "listening");
    if !is_migrated {
        tracing::error!("{NOT_MIGRATED}");
    }
    let accepting = connections::accept(app.clone(), listener, router(app.clone(), &config)?);
    let served = async {
        accepting.await;
        app.open.close();
        app.open.wait().await;
    };
    let deadline = async {
        shutdown.await;
        app.stopping.cancel();
        tokio::time::sleep(timeout).await;
    };
    tokio::select! {
        () = served => {}
        () = deadline => tracing::warn!("requests were still in flight when the time to stop was over"),
        () = again(|| app.throttle.sweep()) => {}
        () = work(&app, &config, is_migrated) => {}
        () = again(|| watch_file(&app.env.db)) => {}
        () = again(|| app.env.follow_clock()) => {}
        () = again(|| hear_others(&app, &config)) => {}
    }
    db.close().await
}

/// What is done without being asked, for ever; not before the database is migrated.
async fn work(app: &App, config: &Config, mut is_migrated: bool) {
    const PAUSE: Duration = Duration::from_secs(1);
    while !is_migrated {
        tokio::time::sleep(PAUSE).await;
        is_migrated = app.env.db.is_migrated().await.unwrap_or(false);
    }
    tokio::select! {
        () = again(|| app.live.look_around()) => {}
        () = again(|| quota::recover(&app.env)) => {}
        () = again(|| resync::sweep(&app.env)) => {}
        () = again(|| notifications::tell(&app.env, config.gathering)) => {}
        () = again(|| notifications::deliver(&app.env)) => {}
        () = again(|| resync::push(&app.env)) => {}
        () = again(|| upkeep::sweep(&app.env, &config.retention)) => {}
        () = again(|| upkeep::follow_texts(&app.env)) => {}
    }
}

/// Says once when the file of SQLite was replaced or removed, for ever.
async fn watch_file(db: &Db) {
    const PAUSE: Duration = Duration::from_secs(1);
    let mut is_ours = true;
    loop {
        let checked = db.check_file();
        if let (true, Err(Error::Unavailable(why))) = (is_ours, &checked) {
            tracing::error!("{why}");
        }
        is_ours = checked.is_ok();
        tokio::time::sleep(PAUSE).await;
    }
}

/// Hears what other servers on the same PostgreSQL commit, for ever; on SQLite there are none, and behind some poolers
/// nothing is heard.
async fn hear_others(app: &App, config: &Config) {
    let db = &app.env.db;
    let url = match &config.database_listen_url {
        Some(url) => Some(url),
        None => db.hears_notifications().then_some(&config.database_url),
    };
    match url {
        Some(url) if config.hears_others && db.backend() == DbBackend::Postgres => {
            app.env.wake.listen_to_postgres(url).await;
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
    router = router.merge(confirmations::routes());
    if config.graphiql {
        router = router.merge(graphiql::routes());
    }
    router = router
        .layer(layers::compression())
        .route("/readyz", get(http::ready))
        .route("/healthz", get(http::healthy))
        .route("/metrics", get(http::metrics));
    Ok(layers::refusing(router)
        .layer(axum::middleware::from_fn_with_state(
            app.clone(),
            request_log::log,
        ))
        .with_state(app))
}
