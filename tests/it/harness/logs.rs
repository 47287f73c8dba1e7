//! What the servers of this process log.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, OnceLock};

use sync_health::kernel::panics::Panics;
use tracing::field::{Field, Visit};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

static LOGS: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();

#[derive(Clone)]
struct Capture(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("the log").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Where this process panicked.
static PLACES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What the servers of this process count; each of them is told of every panic.
pub fn panics() -> Panics {
    static PANICS: OnceLock<Panics> = OnceLock::new();
    let watch = || {
        let (panics, before) = (Panics::default(), std::panic::take_hook());
        let noted = panics.clone();
        std::panic::set_hook(Box::new(move |panic| {
            noted.note(panic);
            let place = panic.location().map(ToString::to_string);
            if let Ok(mut places) = PLACES.lock() {
                places.push(place.unwrap_or_default());
            }
            before(panic);
        }));
        panics
    };
    PANICS.get_or_init(watch).clone()
}

/// Takes the panics away and answers where they were: for tests that provoke some.
pub fn take_panics() -> Vec<String> {
    std::mem::take(&mut PLACES.lock().expect("the places"))
}

pub fn capture() {
    LOGS.get_or_init(|| {
        let buffer = Arc::new(Mutex::new(Vec::new()));
        let capture = Capture(buffer.clone());
        let filter = tracing_subscriber::EnvFilter::new("info,sqlx=warn");
        let log = tracing_subscriber::fmt::layer()
            .json()
            .with_writer(move || capture.clone());
        let sent = Sent.with_filter(filter_fn(|told| told.target() == "sync_health::sql"));
        tracing_subscriber::registry()
            .with(log.with_filter(filter))
            .with(sent)
            .init();
        buffer
    });
}

/// The statements that the servers of this process have sent, each once.
static STATEMENTS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Takes down which statements are sent.
struct Sent;

impl<S: tracing::Subscriber> Layer<S> for Sent {
    fn on_event(&self, told: &tracing::Event<'_>, _: Context<'_, S>) {
        told.record(&mut Sent);
    }
}

impl Visit for Sent {
    fn record_str(&mut self, field: &Field, sql: &str) {
        if field.name() == "sql" {
            STATEMENTS
                .lock()
                .expect("the statements")
                .insert(sql.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

/// The statements that were sent so far.
pub fn statements() -> Vec<String> {
    let statements = STATEMENTS.lock().expect("the statements");
    statements.iter().cloned().collect()
}

/// The lines that were logged so far.
pub fn logs() -> Vec<String> {
    let bytes = LOGS
        .get()
        .map(|log| log.lock().expect("the log").clone())
        .unwrap_or_default();
    String::from_utf8_lossy(&bytes)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Takes the ERROR lines away and answers them: for tests that provoke some.
pub fn take_error_logs() -> Vec<String> {
    let Some(log) = LOGS.get() else {
        return Vec::new();
    };
    let mut bytes = log.lock().expect("the log");
    let all = String::from_utf8_lossy(&bytes).into_owned();
    let (errors, rest): (Vec<&str>, Vec<&str>) = all
        .lines()
        .partition(|line| line.contains("\"level\":\"ERROR\""));
    *bytes = rest
        .iter()
        .flat_map(|line| line.bytes().chain([b'\n']))
        .collect();
    errors.into_iter().map(str::to_owned).collect()
}
