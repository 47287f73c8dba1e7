//! The program: one role per subcommand.

mod cli;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use sync_health::kernel::panics::Panics;
use sync_health::kernel::tls;
use sync_health::server;
use tokio::signal::unix::{self, SignalKind};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use cli::{Cli, text};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = Cli::parse().command;
    tls::choose_provider();
    let traces = command.traces();
    let traces = match traces.map(server::tracer_provider).transpose() {
        Ok(traces) => traces,
        Err(error) => return fail(&text(error)),
    };
    if let Err(error) = log(command.is_for_people(), traces.as_ref()) {
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
    let ended = runtime.block_on(async {
        // A file that may not grow (RLIMIT_FSIZE) is then an error of the write, and not the end of the process.
        let _file_size = unix::signal(SignalKind::from_raw(SIGXFSZ));
        command.run(panics).await
    });
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

fn fail(text: &str) -> ExitCode {
    eprintln!("sync-health: {text}");
    ExitCode::FAILURE
}

/// Linux's number (signal(7)).
const SIGXFSZ: i32 = 25;
