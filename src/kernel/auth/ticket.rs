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

/// What is in a ticket that needs no token.
#[derive(Serialize, Deserialize)]
struct OpenClaims<T> {
    aud: String,
    request: T,
}

impl Purpose {
    /// Signs a ticket that does not depend on the token of whoever led to it; its request says until when it is good.
    pub fn sign_open<T: Serialize>(&self, key: &[u8], request: T) -> Result<String> {
        let claims = OpenClaims {
            aud: self.audience.into(),
            request,
        };
        signed(key, &claims)
    }

    /// What such a ticket is for.
    pub fn verify_open<T: DeserializeOwned>(&self, key: &[u8], ticket: &str) -> Result<T> {
        let claims: OpenClaims<T> = self.read(key, ticket, |validation| {
            validation.validate_exp = false;
            validation.set_required_spec_claims(&["aud"]);
        })?;
        Ok(claims.request)
    }

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
        signed(key, &claims)
    }

    /// The holder of a ticket, and what it is for.
    pub fn verify<T: DeserializeOwned>(
        &self,
        key: &[u8],
        leeway: Duration,
        ticket: &str,
    ) -> Result<(Viewer, T)> {
        let claims: TicketClaims<T> = self.read(key, ticket, |validation| {
            validation.leeway = leeway.as_secs();
            validation.set_required_spec_claims(&["exp", "sub", "aud"]);
        })?;
        let TicketClaims {
            holder,
            key,
            request,
            ..
        } = claims;
        let viewer = holder
            .viewer(leeway, key)
            .map_err(|why| self.refused(&why))?;
        Ok((viewer, request))
    }

    fn read<C: DeserializeOwned>(
        &self,
        key: &[u8],
        ticket: &str,
        demand: impl FnOnce(&mut Validation),
    ) -> Result<C> {
        if ticket.len() > self.limit.value {
            return Err(self.refused("it is too long"));
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[self.audience]);
        demand(&mut validation);
        let read = decode::<C>(ticket, &DecodingKey::from_secret(key), &validation);
        let claims = read.map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => self.refused("it has expired"),
            ErrorKind::InvalidSignature => self.refused("its signature does not match"),
            _ => self.refused("it cannot be read"),
        })?;
        Ok(claims.claims)
    }

    /// UNAUTHENTICATED, and what to do.
    pub fn refused(&self, why: &str) -> Error {
        let mutation = self.mutation;
        let message =
            format!("The ticket is not valid: {why}. Make another one by the mutation {mutation}.");
        Error::Unauthenticated(message)
    }
}

fn signed<C: Serialize>(key: &[u8], claims: &C) -> Result<String> {
    let key = EncodingKey::from_secret(key);
    encode(&Header::new(Algorithm::HS256), claims, &key)
        .map_err(|error| Error::Internal(error.to_string()))
}
