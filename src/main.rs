//! The command line: one role per subcommand.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use chrono::Utc;
use clap::{Args, Parser, Subcommand};
use sync_health::kernel::auth;
use sync_health::kernel::config::{Config, MIN_SECRET_BYTES};
use sync_health::kernel::db::Db;
use sync_health::kernel::error::Error;
use sync_health::{demo, server};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The state of HubSpot-Salesforce integrations as a GraphQL API.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API.
    Serve(Serve),
    /// Serve a temporary database with two portals and a simulated engine, to look around.
    Demo(Demo),
    /// Bring the tables of the database up to date.
    Migrate(Database),
    /// Print the contract in GraphQL's schema language.
    Schema,
    /// Sign a token.
    Token(Token),
}

#[derive(Args)]
struct Database {
    /// sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE.
    #[arg(
        long,
        env = "SYNC_HEALTH_DATABASE_URL",
        default_value = "sqlite://sync-health.db"
    )]
    database_url: String,
}

#[derive(Args)]
struct Secret {
    /// The secret that signs tokens (HS256), at least 32 bytes long.
    #[arg(long, env = "SYNC_HEALTH_JWT_SECRET", hide_env_values = true)]
    jwt_secret: Option<String>,
}

#[derive(Args)]
struct Serve {
    /// Address and port to listen on.
    #[arg(long, env = "SYNC_HEALTH_LISTEN", default_value = "127.0.0.1:8080")]
    listen: String,
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    secret: Secret,
}

#[derive(Args)]
struct Demo {
    /// Address and port to listen on.
    #[arg(long, env = "SYNC_HEALTH_LISTEN", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Stop after this many seconds instead of running until interrupted.
    #[arg(long)]
    seconds: Option<u64>,
}

#[derive(Args)]
struct Token {
    #[command(flatten)]
    secret: Secret,
    /// A Hub ID, or * for all portals; may be given several times.
    #[arg(long, required = true)]
    portal: Vec<String>,
    /// Scopes, separated by spaces: sync-health:read, sync-health:manage, sync-health:report.
    #[arg(long, default_value = "sync-health:read")]
    scope: String,
    /// Who the token is for.
    #[arg(long, default_value = "cli")]
    subject: String,
    /// How long it is valid, for example 15m, 1h or 30d.
    #[arg(long, default_value = "1h", value_parser = parse_ttl)]
    ttl: chrono::Duration,
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("SYNC_HEALTH_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    let cli = Cli::parse();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match &cli.command {
        Command::Demo(_) => log.with_max_level(tracing::Level::WARN).init(),
        _ => log.json().init(),
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    match runtime.block_on(run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => fail(&text),
    }
}

/// Prints; a reader who has seen enough and went away (`| head`) is no error.
fn show(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn fail(text: &str) -> ExitCode {
    eprintln!("sync-health: {text}");
    ExitCode::FAILURE
}

async fn run(command: Command) -> Result<(), String> {
    match command {
        Command::Serve(serve) => {
            let config = Config::new(serve.database.database_url, secret(serve.secret)?);
            let listener = bind(&serve.listen).await?;
            tracing::info!(listen = serve.listen, "listening");
            server::run(config, listener, stop_signal())
                .await
                .map_err(text)
        }
        Command::Demo(options) => run_demo(options).await,
        Command::Migrate(database) => {
            let config = Config::new(database.database_url, Vec::new());
            let db = Db::connect(&config).await.map_err(text)?;
            db.migrate().await.map_err(text)?;
            db.close().await.map_err(text)
        }
        Command::Schema => {
            show(include_str!("../schema.graphql"));
            Ok(())
        }
        Command::Token(token) => {
            let expires_at = Utc::now() + token.ttl;
            let secret = secret(token.secret)?;
            let signed = auth::sign(
                &secret,
                &token.subject,
                &token.portal,
                &token.scope,
                expires_at,
            )
            .map_err(text)?;
            show(&format!("{signed}\n"));
            Ok(())
        }
    }
}

async fn run_demo(options: Demo) -> Result<(), String> {
    let folder: PathBuf =
        std::env::temp_dir().join(format!("sync-health-demo-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let url = format!("sqlite://{}", folder.join("demo.db").display());
    let secret = format!(
        "{}{}",
        uuid::Uuid::now_v7().simple(),
        uuid::Uuid::now_v7().simple()
    );
    let listener = bind(&options.listen).await?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let tokens = demo::Tokens::sign(secret.as_bytes()).map_err(text)?;
    show(&demo::greeting(address, &tokens));
    let stop = async move {
        let end = async move {
            match options.seconds {
                Some(seconds) => tokio::time::sleep(std::time::Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! { () = stop_signal() => {}, () = end => {} }
    };
    let engine = tokio::spawn(demo::run(address, tokens));
    let served = server::run(Config::new(url, secret.into_bytes()), listener, stop)
        .await
        .map_err(text);
    engine.abort();
    let _ = std::fs::remove_dir_all(&folder);
    served
}

async fn bind(listen: &str) -> Result<TcpListener, String> {
    TcpListener::bind(listen)
        .await
        .map_err(|error| format!("cannot listen on {listen}: {error}"))
}

fn secret(secret: Secret) -> Result<Vec<u8>, String> {
    let help = "set --jwt-secret or SYNC_HEALTH_JWT_SECRET to a secret of at least 32 bytes, for example from: openssl rand -hex 32";
    let secret = secret
        .jwt_secret
        .ok_or_else(|| format!("no key to check tokens with: {help}"))?;
    if secret.len() < MIN_SECRET_BYTES {
        return Err(format!(
            "the secret has only {} bytes: {help}",
            secret.len()
        ));
    }
    Ok(secret.into_bytes())
}

/// For the person at the terminal: here, and only here, our own errors are shown as they are.
fn text(error: Error) -> String {
    match error {
        Error::Database(error) => format!("database: {error}"),
        Error::Internal(text) => text,
        other => other.answer().message,
    }
}

fn parse_ttl(text: &str) -> Result<chrono::Duration, String> {
    let help = "a number with s, m, h or d, for example 1h";
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or(help)?;
    let number: i64 = number.parse().map_err(|_| help)?;
    let duration = match unit {
        "s" => chrono::Duration::try_seconds(number),
        "m" => chrono::Duration::try_minutes(number),
        "h" => chrono::Duration::try_hours(number),
        "d" => chrono::Duration::try_days(number),
        _ => None,
    };
    duration
        .filter(|duration| *duration > chrono::Duration::zero())
        .ok_or_else(|| help.to_owned())
}

/// Ends on SIGTERM or Ctrl-C.
async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! { _ = interrupt => {}, _ = terminate.recv() => {} }
        }
        Err(_) => {
            let _ = interrupt.await;
        }
    }
}
