//! Tickets: the authority to run one subscription, for clients that cannot send a token (`EventSource` sends no
//! headers). Signed by the servers' own key; good for as long as the token that it was made with.

use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use super::token::Claims;
use super::{Portals, Viewer};
use crate::kernel::error::{Error, Result};
use crate::kernel::limits;

/// No token says this of itself: a ticket is no token, and no token a ticket.
const AUDIENCE: &str = "sync-health stream ticket";

/// The one subscription of a ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TicketedRequest {
    /// The document.
    pub query: String,
    /// Its variables, a JSON object.
    pub variables: serde_json::Map<String, serde_json::Value>,
    /// Which of the document's operations.
    pub operation_name: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct TicketClaims {
    aud: String,
    #[serde(flatten)]
    holder: Claims,
    request: TicketedRequest,
}

/// Signs a ticket for what a viewer may do in one portal.
pub fn sign_ticket(
    key: &[u8],
    viewer: &Viewer,
    hub_id: i64,
    request: TicketedRequest,
) -> Result<String> {
    let portals = match viewer.portals() {
        // A portal that is named exists from then on; "*" names none.
        Portals::All => Portals::All,
        Portals::Named(_) => Portals::Named(vec![hub_id]),
    };
    let claims = TicketClaims {
        aud: AUDIENCE.into(),
        holder: Claims::of(viewer, &portals),
        request,
    };
    let key = EncodingKey::from_secret(key);
    encode(&Header::new(Algorithm::HS256), &claims, &key)
        .map_err(|error| Error::Internal(error.to_string()))
}

/// The holder of a ticket, and what it is for.
pub fn verify_ticket(
    key: &[u8],
    leeway: Duration,
    ticket: &str,
) -> Result<(Viewer, TicketedRequest)> {
    let refuse = |why: &str| {
        let message = format!(
            "The ticket is not valid: {why}. Make another one by the mutation createStreamTicket."
        );
        Error::Unauthenticated(message)
    };
    if ticket.len() > limits::STREAM_TICKET_BYTES.value {
        return Err(refuse("it is too long"));
    }
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = leeway.as_secs();
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "sub", "aud"]);
    let read = decode::<TicketClaims>(ticket, &DecodingKey::from_secret(key), &validation);
    let claims = read.map_err(|error| match error.kind() {
        ErrorKind::ExpiredSignature => refuse("it has expired"),
        ErrorKind::InvalidSignature => refuse("its signature does not match"),
        _ => refuse("it cannot be read"),
    })?;
    let TicketClaims {
        holder, request, ..
    } = claims.claims;
    let viewer = holder.viewer(leeway).map_err(|why| refuse(&why))?;
    Ok((viewer, request))
}
