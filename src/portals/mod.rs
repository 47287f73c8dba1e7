//! The tenant: a HubSpot account connected to one Salesforce org, its settings and sync state, and the one way to
//! change what belongs to it ([`Change`]).
//!
//! A portal that a token names exists from the start, empty: its row is made when it is first needed.

pub mod api;
mod change;
pub mod erasure;
mod head;
mod list;
pub mod mutations;
mod settings;
mod state;
mod store;
mod tables;
mod webhook;

use async_graphql::{Enum, ID};
use sea_orm::{DeriveActiveEnum, EnumIter};

pub use crate::classify::Language as Locale;
use crate::kernel::auth::{Right, Scope};
use crate::kernel::call::Call;
use crate::kernel::clock::{Micros, SECOND};
use crate::kernel::error::{Error, Result};
use crate::kernel::limits;
use crate::kernel::user_error::{UserError, UserErrorCode};
pub use change::Change;
pub use head::{Head, cursor_expired, decoded, event_digest};
pub use settings::{check_key, check_length};
pub use state::PortalEventKind;
pub use store::{CategoryCounters, PortalRow, epoch, exists, find, find_in, heads};
pub use tables::category_counters;
pub use webhook::checked_address;

/// Whether a portal syncs at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum SyncState {
    /// It syncs.
    #[sea_orm(num_value = 0)]
    Active,
    /// It does not: `suspension` says since when and why. Reported, or told by a failure of the last 15 minutes with
    /// REQUEST_LIMIT_EXCEEDED, API_CURRENTLY_DISABLED or API_DISABLED_FOR_ORG of Salesforce; a later success ends it.
    #[sea_orm(num_value = 1)]
    Suspended,
}

/// Why a portal does not sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum SuspensionReason {
    /// The Salesforce org has no API calls left.
    #[sea_orm(num_value = 0)]
    OrgLimitReached,
    /// The org's API is switched off, or its edition has none.
    #[sea_orm(num_value = 1)]
    ApiDisabled,
    /// The connected user may not use an object that is synced.
    #[sea_orm(num_value = 2)]
    ObjectPermissionMissing,
    /// Not told.
    #[sea_orm(num_value = 3)]
    Unknown,
}

/// The authority for an optional `hubId`; FORBIDDEN without the right, `None` for a portal that the token does not name.
pub fn scope_of<R: Right>(call: &Call, hub_id: Option<&ID>) -> Result<Option<Scope<R>>> {
    call.viewer.require::<R>()?;
    match call.viewer.hub_id(hub_id.map(|id| id.as_str()))? {
        Some(hub_id) => call.viewer.scope(hub_id),
        None => Ok(None),
    }
}

/// The portal does not exist, or the token does not name it.
pub fn unknown_portal() -> Error {
    Error::NotFound("No portal with this Hub ID exists in the portals that the token names.".into())
}

/// An instant that something happened at: since 2000, and hardly later than now.
pub fn check_occurred_at(occurred_at: Micros, now: Micros) -> Result<(), UserError> {
    /// 2000-01-01T00:00:00Z.
    const EARLIEST: Micros = 946_684_800 * SECOND;
    let skew = limits::CLOCK_SKEW_SECONDS;
    if (EARLIEST..=now + skew.value as Micros * SECOND).contains(&occurred_at) {
        return Ok(());
    }
    let message = format!(
        "Between 2000-01-01 and {} seconds from now ({}). Is the clock right?",
        skew.value, skew.name
    );
    Err(UserError::new(
        UserErrorCode::OutOfRange,
        &["occurredAt"],
        message,
    ))
}
