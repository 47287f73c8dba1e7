//! Authority is a value: a [`Viewer`] is made only by verifying a token, a [`Scope`] from a viewer, or by the
//! server itself for what time does ([`Scope::of_server`]) and by commands on the database ([`Scope::of_operator`]); each
//! store function takes the scope it needs. A forgotten check does not compile.

mod key_set;
mod ticket;
mod token;
mod verifier;

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::kernel::error::{Error, Result};

pub use key_set::KeySource;
pub use ticket::{Purpose, until};
pub use token::sign;
pub use verifier::{Verifier, VerifierConfig};

/// The right to query and subscribe.
#[derive(Debug, Clone, Copy)]
pub struct Read;
/// The right to change settings; includes [`Read`].
#[derive(Debug, Clone, Copy)]
pub struct Manage;
/// The right to report, as an engine does; reads only the answers to its own calls.
#[derive(Debug, Clone, Copy)]
pub struct Report;

/// A right that a token's `scope` claim can hold.
pub trait Right {
    /// The scope that grants it.
    const SCOPE: &'static str;
    /// Whether the viewer holds it.
    fn held_by(viewer: &Viewer) -> bool;
}

/// All scopes.
pub const SCOPES: [&str; 3] = [Read::SCOPE, Manage::SCOPE, Report::SCOPE];

impl Right for Read {
    const SCOPE: &'static str = "sync-health:read";
    fn held_by(viewer: &Viewer) -> bool {
        viewer.has_scope(Self::SCOPE) || Manage::held_by(viewer)
    }
}

impl Right for Manage {
    const SCOPE: &'static str = "sync-health:manage";
    fn held_by(viewer: &Viewer) -> bool {
        viewer.has_scope(Self::SCOPE)
    }
}

impl Right for Report {
    const SCOPE: &'static str = "sync-health:report";
    fn held_by(viewer: &Viewer) -> bool {
        viewer.has_scope(Self::SCOPE)
    }
}

/// A right that allows to write.
pub trait Writing: Right {}
impl Writing for Manage {}
impl Writing for Report {}

/// The authority to use right `R` in one portal.
#[derive(Debug, Clone)]
pub struct Scope<R> {
    hub_id: i64,
    subject: Arc<str>,
    named: bool,
    right: PhantomData<R>,
}

impl<R> Scope<R> {
    /// The portal.
    pub fn hub_id(&self) -> i64 {
        self.hub_id
    }

    /// Who acts: the token's `sub`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether the token names this portal, which makes it exist; `"*"` names none.
    pub fn is_named(&self) -> bool {
        self.named
    }
}

impl Scope<Report> {
    /// The server's own authority, for what time does to a portal.
    pub fn of_server(hub_id: i64) -> Self {
        Self {
            hub_id,
            subject: "sync-health".into(),
            named: false,
            right: PhantomData,
        }
    }
}

impl<R: Right> Scope<R> {
    /// The authority of whoever has the database itself: a command on it. It names its portal, as a token would.
    pub fn of_operator(hub_id: i64) -> Self {
        Self {
            hub_id,
            subject: "import".into(),
            named: true,
            right: PhantomData,
        }
    }
}

impl Scope<Manage> {
    /// Managing includes reading.
    pub fn reading(&self) -> Scope<Read> {
        Scope {
            hub_id: self.hub_id,
            subject: self.subject.clone(),
            named: self.named,
            right: PhantomData,
        }
    }
}

/// The portals of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Portals {
    /// `"*"`: all that exist.
    All,
    /// These, which exist from the start; sorted, each once.
    Named(Vec<i64>),
}

/// Which key a token was signed with: authority ends with it, however long the token would be good.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyMark {
    /// The `kid` of a public key; absent for the secret.
    kid: Option<Arc<str>>,
    /// A digest of the key itself: another one may get the same `kid`.
    digest: Arc<str>,
}

impl KeyMark {
    fn of(kid: Option<&str>, key: &[u8]) -> Self {
        const BYTES: usize = 8;
        let digest = Sha256::digest(key);
        let digest: String = digest
            .iter()
            .take(BYTES)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            kid: kid.map(Arc::from),
            digest: digest.into(),
        }
    }
}

/// Whoever holds a verified token.
#[derive(Debug, Clone)]
pub struct Viewer {
    subject: Arc<str>,
    scopes: Vec<String>,
    portals: Portals,
    expires_at: DateTime<Utc>,
    leeway: Duration,
    key: KeyMark,
}

impl Viewer {
    /// The token's `sub`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The token's scopes, as it lists them.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// The token's portals.
    pub fn portals(&self) -> &Portals {
        &self.portals
    }

    /// When the token ends.
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.expires_at
    }

    /// For how long the token will be accepted: until it expires, and the leeway.
    pub fn time_left(&self) -> Duration {
        let leeway = i64::try_from(self.leeway.as_millis()).unwrap_or(i64::MAX);
        let left = (self.expires_at - Utc::now()).num_milliseconds();
        Duration::from_millis(u64::try_from(left.saturating_add(leeway)).unwrap_or(0))
    }

    fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|s| s == scope)
    }

    /// Refuses with FORBIDDEN unless the token holds the right.
    pub fn require<R: Right>(&self) -> Result<()> {
        if R::held_by(self) {
            return Ok(());
        }
        Err(Error::Forbidden(format!(
            "This needs a token with the scope {}.",
            R::SCOPE
        )))
    }

    /// The authority in one portal. FORBIDDEN without the right; `None` when the token does not name the portal:
    /// it then answers as one that does not exist.
    pub fn scope<R: Right>(&self, hub_id: i64) -> Result<Option<Scope<R>>> {
        self.require::<R>()?;
        let (allowed, named) = match &self.portals {
            Portals::All => (true, false),
            Portals::Named(ids) => (ids.binary_search(&hub_id).is_ok(), true),
        };
        Ok(allowed.then(|| Scope {
            hub_id,
            subject: self.subject.clone(),
            named,
            right: PhantomData,
        }))
    }

    /// The portal of an optional `hubId`: the one given, else the only one that the token names.
    pub fn hub_id(&self, given: Option<&str>) -> Result<Option<i64>> {
        match (given, &self.portals) {
            (Some(text), _) => Ok(parse_hub_id(text)),
            (None, Portals::Named(ids)) if ids.len() == 1 => Ok(ids.first().copied()),
            (None, _) => Err(Error::BadUserInput(
                "hubId is needed: it may be left out only with a token that names exactly one portal.".into(),
            )),
        }
    }
}

/// HubSpot's number as a decimal text without sign; `None` for anything else.
pub fn parse_hub_id(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits
        .then(|| text.parse().ok())
        .flatten()
        .filter(|id| *id > 0)
}
