//! The program: one role per subcommand.

mod cli;
mod explain;
mod export;
mod import;
mod operator;
mod restore;

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use chrono::Utc;
use clap::Parser;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use sync_health::kernel::auth::{self, VerifierConfig};
use sync_health::kernel::config::Config;
use sync_health::kernel::error::Error;
use sync_health::kernel::mail::MailConfig;
use sync_health::kernel::panics::Panics;
use sync_health::kernel::tls;
use sync_health::{demo, server};
use tokio::net::TcpListener;
use tokio::signal::unix::SignalKind;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use cli::{Cli, Command, Demo, Serve};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    tls::choose_provider();
    let traces = match &cli.command {
        Command::Serve(serve) => serve.otlp_endpoint.as_deref(),
        _ => None,
    };
    let traces = match traces.map(server::tracer_provider).transpose() {
        Ok(traces) => traces,
        Err(error) => return fail(&text(error)),
    };
    let for_people = matches!(
        cli.command,
        Command::Demo(_)
            | Command::Import(_)
            | Command::Export(_)
            | Command::Backup(_)
            | Command::Restore(_)
            | Command::Migrate(_)
            | Command::Doctor(_)
            | Command::Forget(_)
    );
    if let Err(error) = log(for_people, traces.as_ref()) {
        return fail(&format!("SYNC_HEALTH_LOG: {error}"));
    }
    let panics = Panics::default();
    panics.watch();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    let ended = runtime.block_on(run(cli.command, panics));
    if let Some(Err(error)) = traces.map(|traces| traces.shutdown()) {
        tracing::warn!(%error, "the last traces were not sent");
    }
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => fail(&text),
    }
}

/// The log: JSON on standard error, words for people in demo and in commands on a database; and traces, where they are sent.
fn log(for_people: bool, traces: Option<&SdkTracerProvider>) -> Result<(), String> {
    let default = if for_people {
        "warn"
    } else {
        "info,sqlx=warn,sea_orm_migration=warn"
    };
    let wanted = std::env::var("SYNC_HEALTH_LOG").unwrap_or_else(|_| default.to_owned());
    let filter = EnvFilter::try_new(wanted).map_err(|error| error.to_string())?;
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let lines = match for_people {
        true => lines.boxed(),
        false => lines.json().boxed(),
    };
    let traces = traces.map(|traces| {
        let layer = tracing_opentelemetry::layer().with_tracer(traces.tracer("sync-health"));
        // The exporter's own requests would be traced too, for ever.
        layer.with_filter(EnvFilter::new("off,sync_health=info"))
    });
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(traces)
        .init();
    Ok(())
}

/// Prints; a reader who has seen enough and went away (`| head`) is no error.
pub(crate) fn show(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn fail(text: &str) -> ExitCode {
    eprintln!("sync-health: {text}");
    ExitCode::FAILURE
}

async fn run(command: Command, panics: Panics) -> Result<(), String> {
    // A file that may not grow (RLIMIT_FSIZE) is then an error of the write, and not the end of the process.
    let _file_size = tokio::signal::unix::signal(SignalKind::from_raw(SIGXFSZ));
    match command {
        Command::Serve(serve) => run_serve(*serve, panics).await,
        Command::Demo(options) => run_demo(options, panics).await,
        Command::Migrate(database) => operator::migrate(&database).await,
        Command::Backup(options) => operator::backup(&options).await,
        Command::Restore(options) => restore::run(&options).await,
        Command::Doctor(database) => operator::doctor(&database).await,
        Command::Forget(options) => operator::forget(&options).await,
        Command::Schema => {
            show(include_str!("../schema.graphql"));
            Ok(())
        }
        Command::Classify(options) => explain::run(options),
        Command::Import(options) => import::run(*options).await,
        Command::Export(options) => export::run(*options).await,
        Command::Token(token) => {
            let expires_at = Utc::now() + token.ttl;
            refuse_unknown_scopes(&token.scope)?;
            let secret = token.secret.needed()?;
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

fn refuse_unknown_scopes(scopes: &str) -> Result<(), String> {
    let unknown = scopes
        .split(' ')
        .find(|scope| !auth::SCOPES.contains(scope));
    match unknown {
        None => Ok(()),
        Some(scope) => Err(format!(
            "there is no scope {scope:?}; separated by a space: {}",
            auth::SCOPES.join(", ")
        )),
    }
}

async fn run_serve(serve: Serve, panics: Panics) -> Result<(), String> {
    let listen = serve.listen.clone();
    let config = Config {
        panics,
        ..serve.config()?
    };
    let listener = bind(&listen).await?;
    server::run(config, listener, stop_signal())
        .await
        .map_err(text)
}

async fn run_demo(options: Demo, panics: Panics) -> Result<(), String> {
    let listener = bind(&options.listen).await?;
    let folder: PathBuf =
        std::env::temp_dir().join(format!("sync-health-demo-{}", uuid::Uuid::now_v7()));
    let mails = folder.join("mails");
    std::fs::create_dir_all(&mails).map_err(|error| error.to_string())?;
    let url = format!("sqlite://{}", folder.join("demo.db").display());
    let secret = format!(
        "{}{}",
        uuid::Uuid::now_v7().simple(),
        uuid::Uuid::now_v7().simple()
    );
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let tokens = demo::Tokens::sign(secret.as_bytes()).map_err(text)?;
    show(&demo::greeting(address, &tokens, &mails));
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
    let auth = VerifierConfig::of_secret(secret.into_bytes());
    let mail = MailConfig::Folder {
        path: mails,
        from: demo::MAIL_FROM.to_owned(),
    };
    let config = Config {
        graphiql: true,
        panics,
        gathering: demo::GATHERING,
        // The folder is the only recipient.
        confirms_emails: false,
        mail,
        ..Config::new(url, auth)
    };
    let served = server::run(config, listener, stop).await.map_err(text);
    engine.abort();
    let _ = std::fs::remove_dir_all(&folder);
    served
}

async fn bind(listen: &str) -> Result<TcpListener, String> {
    TcpListener::bind(listen).await.map_err(|error| {
        let why = match error.kind() {
            ErrorKind::AddrInUse => "the port is taken".to_owned(),
            ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
            ErrorKind::PermissionDenied => "permission denied".to_owned(),
            ErrorKind::InvalidInput => {
                "an address and a port are needed, for example 127.0.0.1:8080".to_owned()
            }
            _ => error.to_string(),
        };
        format!("cannot listen on {listen} (--listen): {why}")
    })
}

/// For the person at the terminal: here, and only here, our own errors are shown as they are.
pub(crate) fn text(error: Error) -> String {
    match error {
        Error::Database(error) => format!("database: {error}"),
        Error::Internal(text) => text,
        other => other.answer().message,
    }
}

/// Linux's number (signal(7)).
const SIGXFSZ: i32 = 25;

/// Ends on SIGTERM, on Ctrl-C, and when the terminal is closed; not where that was to be survived (nohup).
async fn stop_signal() {
    tokio::select! {
        () = signal(SignalKind::interrupt()) => {}
        () = signal(SignalKind::terminate()) => {}
        () = signal(SignalKind::hangup()), if !ignores_hangup() => {}
    }
}

async fn signal(kind: SignalKind) {
    match tokio::signal::unix::signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

/// Whether the process was started so that SIGHUP is ignored.
fn ignores_hangup() -> bool {
    let status = procfs::process::Process::myself().and_then(|own| own.status());
    status.is_ok_and(|status| status.sigign & 1 == 1)
}
