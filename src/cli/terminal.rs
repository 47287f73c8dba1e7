//! What a person at a terminal sees.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sync_health::kernel::error::Error;

/// Prints; a reader who has seen enough and went away (`| head`) is no error.
pub fn show(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// An error in words: here, and only here, our own errors are shown as they are.
pub fn text(error: Error) -> String {
    match error {
        Error::Database(error) => format!("database: {error}"),
        Error::Internal(text) => text,
        other => other.answer().message,
    }
}

/// A bar on standard error, where that is a terminal. The style is a template of indicatif.
pub fn progress(length: Option<u64>, style: &str) -> ProgressBar {
    let target = match io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(length, target);
    match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
