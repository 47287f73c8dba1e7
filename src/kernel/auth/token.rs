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
    /// Who it is from is checked before; here, that it is one text (RFC 7519, section 4.1.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(deserialize_with = "whole_seconds")]
    exp: i64,
    #[serde(default)]
    scope: String,
    #[serde(default, deserialize_with = "one_or_many")]
    portals: Vec<serde_json::Value>,
}

/// A NumericDate may have a fraction (RFC 7519, section 2), of which nothing depends here.
fn whole_seconds<'de, D: serde::Deserializer<'de>>(claim: D) -> std::result::Result<i64, D::Error> {
    let number = serde_json::Number::deserialize(claim)?;
    let whole = number.as_i64().or_else(|| {
        let seconds = number.as_f64()?.floor();
        // Of a later one no calendar tells.
        (seconds.abs() < 1e15).then_some(seconds as i64)
    });
    whole.ok_or_else(|| serde::de::Error::custom("no NumericDate"))
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
            iss: None,
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
            scopes: scopes(&self.scope),
            portals,
            expires_at,
            leeway,
            key,
        })
    }
}

/// Separated by U+0020 and nothing else (RFC 8693, section 4.2).
fn scopes(claim: &str) -> Vec<String> {
    let scopes = claim.split(' ').filter(|scope| !scope.is_empty());
    scopes.map(str::to_owned).collect()
}

fn parse_portals(claim: &[serde_json::Value]) -> std::result::Result<Portals, String> {
    if claim.len() > limits::TOKEN_PORTALS.value {
        return Err(format!(
            "its claim portals names more than {} portals",
            limits::TOKEN_PORTALS.value
        ));
    }
    let mut ids = Vec::with_capacity(claim.len());
    let mut are_all = false;
    for value in claim {
        let id = match value {
            serde_json::Value::String(text) if text == "*" => {
                are_all = true;
                continue;
            }
            serde_json::Value::String(text) => parse_hub_id(text),
            serde_json::Value::Number(number) => number.as_i64().filter(|id| *id > 0),
            _ => None,
        };
        ids.push(id.ok_or("its claim portals holds something else than Hub IDs or \"*\"")?);
    }
    if are_all {
        return Ok(Portals::All);
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
        iss: None,
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
