//! Commands on a database itself, by whoever has it: without a server, and beside servers that run.

use std::path::Path;
use std::sync::Arc;

use sea_orm::DbBackend;
use sync_health::kernel::auth::VerifierConfig;
use sync_health::kernel::clock::{Clock, DatabaseClock};
use sync_health::kernel::config::Config;
use sync_health::kernel::db::Db;
use sync_health::kernel::env::Env;
use sync_health::kernel::mail::{MailConfig, Mailer};
use sync_health::kernel::metrics::Metrics;
use sync_health::kernel::wake::Wake;
use sync_health::kernel::webhook::WebhookSender;
use sync_health::upkeep;

use crate::cli::{Backup, Database, Forget};
use crate::{show, text};

/// Opens a database; a SQLite file is made where it is missing, and brought up to date.
pub async fn open(database: &Database) -> Result<Env, String> {
    if is_missing(database) {
        eprintln!("{} is a new database", database.database_url);
    }
    let env = connect(database).await?;
    if env.db.backend() == DbBackend::Sqlite {
        env.db.migrate().await.map_err(text)?;
    }
    Ok(env)
}

/// Opens a database that is there.
pub async fn open_existing(database: &Database) -> Result<Env, String> {
    match is_missing(database) {
        true => Err(format!("there is no database {}", database.database_url)),
        false => open(database).await,
    }
}

fn is_missing(database: &Database) -> bool {
    let path = database.database_url.strip_prefix("sqlite://");
    path.is_some_and(|path| !Path::new(path).exists())
}

async fn connect(database: &Database) -> Result<Env, String> {
    let auth = VerifierConfig::of_secret(Vec::new());
    let config = Config::new(database.database_url.clone(), auth);
    let db = Db::connect(&config).await.map_err(text)?;
    let env = Env {
        db,
        clock: DatabaseClock::new(Clock::System),
        metrics: Arc::new(Metrics::default()),
        wake: Wake::default(),
        webhooks: WebhookSender::new(false).map_err(text)?,
        mailer: Mailer::new(&MailConfig::None).map_err(text)?,
    };
    env.read_clock().await.map_err(text)?;
    Ok(env)
}

/// Brings the tables up to date.
pub async fn migrate(database: &Database) -> Result<(), String> {
    let env = connect(database).await?;
    env.db.migrate().await.map_err(text)?;
    env.db.close().await.map_err(text)
}

/// Copies a SQLite database as of one instant.
pub async fn backup(options: &Backup) -> Result<(), String> {
    let file = options.file.display().to_string();
    if !options.database.database_url.starts_with("sqlite:") {
        return Err("PostgreSQL has tools of its own: use pg_dump".into());
    }
    if options.file.exists() {
        return Err(format!("{file} exists: name a new file"));
    }
    let env = open_existing(&options.database).await?;
    env.db.copy_to(&file).await.map_err(text)?;
    env.db.close().await.map_err(text)
}

/// Recounts; what does not add up is told, and ends the command with an error.
pub async fn doctor(database: &Database) -> Result<(), String> {
    let env = open_existing(database).await?;
    let findings = upkeep::examine(&env.db).await.map_err(text)?;
    env.db.close().await.map_err(text)?;
    for finding in &findings {
        let upkeep::Finding {
            what,
            hub_id,
            count,
        } = finding;
        show(&format!("portal {hub_id}: {what} ({count})\n"));
    }
    match findings.len() {
        0 => {
            show("everything adds up\n");
            Ok(())
        }
        count => Err(format!("{count} findings")),
    }
}

/// Removes a portal or a record, or says what would be removed.
pub async fn forget(options: &Forget) -> Result<(), String> {
    let env = open_existing(&options.database).await?;
    let portal = options.portal;
    let removed = match &options.record {
        Some(record) => upkeep::forget_record(&env, portal, record, options.yes).await,
        None => upkeep::forget(&env, portal, options.yes).await,
    };
    let removed = removed.map_err(text)?;
    env.db.close().await.map_err(text)?;
    let removed = removed.ok_or_else(|| format!("there is no portal {portal}"))?;
    for (table, count) in removed.iter().filter(|(_, count)| *count > 0) {
        show(&format!("{count:>10}  {table}\n"));
    }
    show(match options.yes {
        true => "removed\n",
        false => "nothing was removed: add --yes to do it\n",
    });
    Ok(())
}
