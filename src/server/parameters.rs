//! The parameters of an address, each of them once.

use axum::http::{StatusCode, Uri};

use super::answer::Refusal;

/// Those that are known; others are ignored.
pub(super) struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    /// Reads them. One that stands twice is refused: which of the two is meant, nobody knows, and a proxy on the way may
    /// have looked at the other.
    pub(super) fn of(uri: &Uri, known: &[&'static str]) -> Result<Self, Refusal> {
        let query = uri.query().unwrap_or_default();
        let mut found: Vec<(&'static str, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let Some(name) = known.iter().copied().find(|known| *known == name) else {
                continue;
            };
            if found.iter().any(|(before, _)| *before == name) {
                let message =
                    format!("The parameter {name} stands there more than once: send it once.");
                return Err(Refusal::status(StatusCode::BAD_REQUEST, &message));
            }
            found.push((name, value.into_owned()));
        }
        Ok(Self(found))
    }

    /// The value of one, once.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.swap_remove(place).1)
    }
}
