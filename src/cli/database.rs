//! The database of a command, by whoever has it: without a server, and beside servers that run.

use std::sync::Arc;

use clap::Args;
use sea_orm::DbBackend;
use sync_health::kernel::auth::VerifierConfig;
use sync_health::kernel::clock::{Clock, DatabaseClock};
use sync_health::kernel::config::Config;
use sync_health::kernel::database_url;
use sync_health::kernel::db::Db;
use sync_health::kernel::env::Env;
use sync_health::kernel::mail::{MailConfig, Mailer};
use sync_health::kernel::metrics::Metrics;
use sync_health::kernel::turns::Workers;
use sync_health::kernel::wake::Wake;
use sync_health::kernel::webhook::WebhookSender;
use sync_health::server;

use super::terminal::text;

/// Where the database is.
#[derive(Args)]
pub struct DatabaseUrl {
    /// sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE.
    #[arg(
        long,
        env = "SYNC_HEALTH_DATABASE_URL",
        hide_env_values = true,
        default_value = "sqlite://sync-health.db"
    )]
    pub database_url: String,
}

/// Opens a database; a SQLite file is made where it is missing, and brought up to date.
pub async fn open(database: &DatabaseUrl) -> Result<Env, String> {
    if is_missing(database) {
        eprintln!("{} is a new database", database.database_url);
    }
    let env = connect(database).await?;
    if env.db.backend() == DbBackend::Sqlite {
        env.db.migrate().await.map_err(text)?;
    } else {
        refuse_unmigrated(&env).await?;
    }
    Ok(env)
}

/// Opens a database that is there, and makes no tables in it.
pub async fn open_existing(database: &DatabaseUrl) -> Result<Env, String> {
    refuse_missing(database)?;
    let env = connect(database).await?;
    refuse_unmigrated(&env).await?;
    Ok(env)
}

async fn refuse_unmigrated(env: &Env) -> Result<(), String> {
    match env.db.is_migrated().await.map_err(text)? {
        true => Ok(()),
        false => Err(server::NOT_MIGRATED.into()),
    }
}

/// A command that makes no database says that there is none.
pub fn refuse_missing(database: &DatabaseUrl) -> Result<(), String> {
    match is_missing(database) {
        true => Err(format!("there is no database {}", database.database_url)),
        false => Ok(()),
    }
}

fn is_missing(database: &DatabaseUrl) -> bool {
    let path = database_url::sqlite_path(&database.database_url);
    path.is_some_and(|path| !path.exists())
}

/// Connects to a database as it is.
pub async fn connect(database: &DatabaseUrl) -> Result<Env, String> {
    let auth = VerifierConfig::of_secret(Vec::new());
    let config = Config {
        // Whoever runs a command waits for its end.
        statement_timeout: None,
        ..Config::new(database.database_url.clone(), auth)
    };
    let db = Db::connect(&config).await.map_err(text)?;
    let env = Env {
        db,
        clock: DatabaseClock::new(Clock::System),
        metrics: Arc::new(Metrics::default()),
        wake: Wake::default(),
        workers: Workers::default(),
        webhooks: WebhookSender::new(false).map_err(text)?,
        mailer: Mailer::new(&MailConfig::None).map_err(text)?,
        portal_errors: config.portal_errors,
        confirms_emails: config.confirms_emails,
    };
    env.read_clock().await.map_err(text)?;
    Ok(env)
}
