//! What the servers of this process log.

use std::sync::{Arc, Mutex, OnceLock};

use sync_health::kernel::panics::Panics;

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
        let log = tracing_subscriber::fmt()
            .json()
            .with_env_filter(filter)
            .with_writer(move || capture.clone());
        log.init();
        buffer
    });
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
