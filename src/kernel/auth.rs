//! Authority is a value: a [`Viewer`] is made only by verifying a token, a [`Scope`] only from a viewer, and
//! each store function takes the scope it needs. A forgotten check does not compile.

use std::marker::PhantomData;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::kernel::error::{Error, Result};
use crate::kernel::limits;

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

/// Whoever holds a verified token.
#[derive(Debug, Clone)]
pub struct Viewer {
    subject: Arc<str>,
    scopes: Vec<String>,
    portals: Portals,
    expires_at: DateTime<Utc>,
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

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: String,
    exp: i64,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    portals: Vec<serde_json::Value>,
}

/// Verifies tokens.
#[derive(Clone)]
pub struct Verifier {
    key: Arc<DecodingKey>,
    validation: Arc<Validation>,
}

impl Verifier {
    /// Verifies HS256 tokens signed by `secret`; `exp` and `sub` are required.
    pub fn new(secret: &[u8]) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp", "sub"]);
        validation.validate_nbf = true;
        validation.validate_aud = false;
        Self {
            key: Arc::new(DecodingKey::from_secret(secret)),
            validation: Arc::new(validation),
        }
    }

    /// The viewer of the value of an `Authorization` header.
    pub fn verify_header(&self, header: Option<&[u8]>) -> Result<Viewer> {
        let token = header
            .and_then(|value| std::str::from_utf8(value).ok())
            .and_then(|value| {
                let (scheme, token) = value.split_once(' ')?;
                scheme
                    .eq_ignore_ascii_case("bearer")
                    .then_some(token.trim())
            });
        match token {
            Some(token) => self.verify(token),
            None => Err(Error::Unauthenticated(
                "Send the header \"Authorization: Bearer TOKEN\".".into(),
            )),
        }
    }

    /// The viewer of a token.
    pub fn verify(&self, token: &str) -> Result<Viewer> {
        let refuse = |why: &str| Error::Unauthenticated(format!("The token is not valid: {why}."));
        if token.len() > limits::TOKEN_BYTES.value {
            return Err(refuse("it is too long"));
        }
        let claims = decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|e| refuse(reason(e.kind())))?
            .claims;
        let portals = parse_portals(&claims.portals).map_err(|why| refuse(&why))?;
        let expires_at = DateTime::from_timestamp(claims.exp, 0)
            .ok_or_else(|| refuse("its exp is out of range"))?;
        let scopes = claims.scope.split_whitespace().map(str::to_owned).collect();
        Ok(Viewer {
            subject: claims.sub.into(),
            scopes,
            portals,
            expires_at,
        })
    }
}

/// Why a token is refused, in words that give nothing away but help its owner.
fn reason(kind: &jsonwebtoken::errors::ErrorKind) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match kind {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not valid yet (nbf)",
        ErrorKind::InvalidSignature => "its signature does not match",
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => {
            "it is not signed with HS256"
        }
        ErrorKind::MissingRequiredClaim(_) => "it needs the claims sub and exp",
        _ => "it cannot be read (a JWT with the claims sub, exp, scope and portals is needed)",
    }
}

fn parse_portals(claim: &[serde_json::Value]) -> std::result::Result<Portals, String> {
    if claim.len() > limits::TOKEN_PORTALS.value {
        return Err(format!(
            "its claim portals names more than {} portals",
            limits::TOKEN_PORTALS.value
        ));
    }
    let mut ids = Vec::with_capacity(claim.len());
    for value in claim {
        let id = match value {
            serde_json::Value::String(text) if text == "*" => return Ok(Portals::All),
            serde_json::Value::String(text) => parse_hub_id(text),
            serde_json::Value::Number(number) => number.as_i64().filter(|id| *id > 0),
            _ => None,
        };
        ids.push(id.ok_or("its claim portals holds something else than Hub IDs or \"*\"")?);
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(Portals::Named(ids))
}

/// Signs a token: for the commands `token` and `demo`.
///
/// `portals` are Hub IDs or `"*"`; `scope` is a list separated by spaces.
pub fn sign(
    secret: &[u8],
    subject: &str,
    portals: &[String],
    scope: &str,
    expires_at: DateTime<Utc>,
) -> Result<String> {
    let claims = Claims {
        sub: subject.to_owned(),
        exp: expires_at.timestamp(),
        scope: scope.to_owned(),
        portals: portals
            .iter()
            .map(|p| serde_json::Value::String(p.clone()))
            .collect(),
    };
    parse_portals(&claims.portals).map_err(Error::BadUserInput)?;
    encode(
        &Header::new(Algorithm::HS256),
        &claims,
        &EncodingKey::from_secret(secret),
    )
    .map_err(|e| Error::Internal(e.to_string()))
}
