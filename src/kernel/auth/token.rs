//! What a token says.

use std::time::Duration;

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};

use super::{KeyMark, Portals, Viewer, parse_hub_id};
use crate::kernel::error::{Error, Result};
use crate::kernel::limits;

/// The claims that are read; others are ignored, after `iss`, `aud` and `nbf` were checked.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    sub: String,
    exp: i64,
    #[serde(default)]
    scope: String,
    #[serde(default, deserialize_with = "one_or_many")]
    portals: Vec<serde_json::Value>,
}

/// A list, or what would be its only element: issuers write a single one alone.
fn one_or_many<'de, D: serde::Deserializer<'de>>(
    claim: D,
) -> std::result::Result<Vec<serde_json::Value>, D::Error> {
    Ok(match serde_json::Value::deserialize(claim)? {
        serde_json::Value::Array(portals) => portals,
        serde_json::Value::Null => Vec::new(),
        portal => vec![portal],
    })
}

impl Claims {
    /// What a viewer's token says, for these portals.
    pub(super) fn of(viewer: &Viewer, portals: &Portals, until: DateTime<Utc>) -> Self {
        let portals = match portals {
            Portals::All => vec!["*".into()],
            Portals::Named(ids) => ids.iter().map(|id| (*id).into()).collect(),
        };
        Self {
            sub: viewer.subject().to_owned(),
            exp: until.timestamp(),
            scope: viewer.scopes().join(" "),
            portals,
        }
    }

    /// Whoever the token was made for; in words what is wrong with it.
    pub(super) fn viewer(
        self,
        leeway: Duration,
        key: KeyMark,
    ) -> std::result::Result<Viewer, String> {
        let portals = parse_portals(&self.portals)?;
        let expires_at =
            DateTime::from_timestamp(self.exp, 0).ok_or("its exp is out of range".to_owned())?;
        if self.sub.contains('\0') {
            return Err("its sub holds the character U+0000".into());
        }
        Ok(Viewer {
            subject: self.sub.into(),
            scopes: self.scope.split_whitespace().map(str::to_owned).collect(),
            portals,
            expires_at,
            leeway,
            key,
        })
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
