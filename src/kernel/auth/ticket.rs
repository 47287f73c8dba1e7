//! Tickets: the authority to do one thing, for clients that cannot send a token (`EventSource` sends no headers, a link
//! that a browser follows neither). Signed by the servers' own key; never good for longer than the token that it was made
//! with.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::token::Claims;
use super::{KeyMark, Portals, Viewer};
use crate::kernel::error::{Error, Result};
use crate::kernel::limits::{self, Limit};

/// What a kind of tickets is for.
#[derive(Debug)]
pub struct Purpose {
    /// No token says this of itself: a ticket is no token, no token a ticket, and none is good for something else.
    pub audience: &'static str,
    /// The mutation that makes them.
    pub mutation: &'static str,
    /// How long they are at most.
    pub limit: Limit,
}

/// Until when a ticket that is made now is good: no longer than the token, and a day at most.
pub fn until(viewer: &Viewer) -> DateTime<Utc> {
    let most = TimeDelta::seconds(limits::TICKET_SECONDS.value as i64);
    viewer.expires_at().min(Utc::now() + most)
}

#[derive(Serialize, Deserialize)]
struct TicketClaims<T> {
    aud: String,
    #[serde(flatten)]
    holder: Claims,
    /// What signed the token that it was made with.
    #[serde(default)]
    key: KeyMark,
    request: T,
}

impl Purpose {
    /// Signs a ticket for what a viewer may do in one portal.
    pub fn sign<T: Serialize>(
        &self,
        key: &[u8],
        (viewer, hub_id): (&Viewer, i64),
        request: T,
    ) -> Result<String> {
        let portals = match viewer.portals() {
            // A portal that is named exists from then on; "*" names none.
            Portals::All => Portals::All,
            Portals::Named(_) => Portals::Named(vec![hub_id]),
        };
        let claims = TicketClaims {
            aud: self.audience.into(),
            holder: Claims::of(viewer, &portals, until(viewer)),
            key: viewer.key.clone(),
            request,
        };
        let key = EncodingKey::from_secret(key);
        encode(&Header::new(Algorithm::HS256), &claims, &key)
            .map_err(|error| Error::Internal(error.to_string()))
    }

    /// The holder of a ticket, and what it is for.
    pub fn verify<T: DeserializeOwned>(
        &self,
        key: &[u8],
        leeway: Duration,
        ticket: &str,
    ) -> Result<(Viewer, T)> {
        if ticket.len() > self.limit.value {
            return Err(self.refused("it is too long"));
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = leeway.as_secs();
        validation.set_audience(&[self.audience]);
        validation.set_required_spec_claims(&["exp", "sub", "aud"]);
        let key = DecodingKey::from_secret(key);
        let read = decode::<TicketClaims<T>>(ticket, &key, &validation);
        let claims = read.map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => self.refused("it has expired"),
            ErrorKind::InvalidSignature => self.refused("its signature does not match"),
            _ => self.refused("it cannot be read"),
        })?;
        let TicketClaims {
            holder,
            key,
            request,
            ..
        } = claims.claims;
        let viewer = holder
            .viewer(leeway, key)
            .map_err(|why| self.refused(&why))?;
        Ok((viewer, request))
    }

    /// UNAUTHENTICATED, and what to do.
    pub fn refused(&self, why: &str) -> Error {
        let mutation = self.mutation;
        let message =
            format!("The ticket is not valid: {why}. Make another one by the mutation {mutation}.");
        Error::Unauthenticated(message)
    }
}
