//! Commands on a database itself, by whoever has it: without a server, and beside servers that run.

use std::sync::Arc;

use sea_orm::DbBackend;
use sync_health::kernel::auth::VerifierConfig;
use sync_health::kernel::clock::{Clock, DatabaseClock};
use sync_health::kernel::config::Config;
use sync_health::kernel::database_url;
use sync_health::kernel::db::Db;
use sync_health::kernel::env::Env;
use sync_health::kernel::mail::{MailConfig, Mailer};
use sync_health::kernel::metrics::Metrics;
use sync_health::kernel::private_file;
use sync_health::kernel::turns::Workers;
use sync_health::kernel::wake::Wake;
use sync_health::kernel::webhook::WebhookSender;
use sync_health::{server, upkeep};

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
    } else {
        refuse_unmigrated(&env).await?;
    }
    Ok(env)
}

/// Opens a database that is there, and makes no tables in it.
pub async fn open_existing(database: &Database) -> Result<Env, String> {
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

fn refuse_missing(database: &Database) -> Result<(), String> {
    match is_missing(database) {
        true => Err(format!("there is no database {}", database.database_url)),
        false => Ok(()),
    }
}

fn is_missing(database: &Database) -> bool {
    let path = database_url::sqlite_path(&database.database_url);
    path.is_some_and(|path| !path.exists())
}

async fn connect(database: &Database) -> Result<Env, String> {
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

/// Brings the tables up to date.
pub async fn migrate(database: &Database) -> Result<(), String> {
    let env = connect(database).await?;
    env.db.migrate().await.map_err(text)?;
    env.db.close().await.map_err(text)?;
    let which = database_url::without_password(&database.database_url);
    show(&format!("{which} is up to date\n"));
    Ok(())
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
    // SQLite takes an empty file, and leaves to it who may read it.
    private_file::create_new(&options.file)
        .map_err(|error| format!("cannot make {file}: {error}"))?;
    let copied = env.db.copy_to(&file).await.map_err(text);
    if copied.is_err() {
        // Half a copy is none, and stands in the way of the next one.
        let _ = std::fs::remove_file(&options.file);
    }
    copied?;
    env.db.close().await.map_err(text)
}

/// Checks the storage and recounts; what does not add up is told, and ends the command with an error.
pub async fn doctor(database: &Database) -> Result<(), String> {
    refuse_missing(database)?;
    // Before anything else is asked of a database that may be damaged.
    let env = connect(database).await?;
    let damage = upkeep::examine_storage(&env.db).await.map_err(text)?;
    if let Some(why) = damage.unchecked {
        eprintln!("{why}");
    }
    let mut findings = damage.found;
    let count = findings.len();
    findings.iter_mut().for_each(|finding| finding.push('\n'));
    show(&findings.concat());
    if count > 0 {
        return Err(format!(
            "the storage is damaged: {count} findings; restore a copy"
        ));
    }
    env.db.close().await.map_err(text)?;
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
    let removed = match (&options.record, options.yes) {
        (Some(record), true) => upkeep::forget_record(&env, portal, record).await,
        (Some(record), false) => upkeep::count_record(&env, portal, record).await,
        (None, true) => upkeep::forget(&env, portal).await,
        (None, false) => upkeep::count(&env, portal).await,
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
