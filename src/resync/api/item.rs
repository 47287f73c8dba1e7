//! What engines are given, and how they name it.

use std::collections::BTreeMap;

use async_graphql::{ID, SimpleObject};
use serde::Serialize;

use crate::classify::{SyncDirection, SyncErrorType, System};
use crate::kernel::auth::{Report, Scope};
use crate::kernel::call::Call;
use crate::kernel::error::Result;
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::scalars::Instant;
use crate::kernel::user_error::{UserError, UserErrorCode};
use crate::resync::claim::Work;
use crate::resync::lease::ClaimedItem;
use crate::sync_errors::api::{Links, RecordRef, error_id};

/// A record that an engine has claimed to try again.
#[derive(Debug, Clone, SimpleObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResyncItem {
    /// Names this claim of the record: what `reportResyncOutcomes` and `renewResyncItems` take.
    id: ID,
    /// How often it was claimed, this time included.
    attempt: i32,
    /// Until when it is the engine's.
    lease_expires_at: Instant,
    /// Which way the change is to go.
    direction: SyncDirection,
    /// Its side in HubSpot; null when it does not exist there yet, or was not told.
    hubspot_record: Option<RecordRef>,
    /// Its side in Salesforce; null when it does not exist there yet, or was not told.
    salesforce_record: Option<RecordRef>,
    /// The error's global id.
    sync_error_id: ID,
    /// The error's type.
    #[graphql(name = "type")]
    #[serde(rename = "type")]
    error_type: SyncErrorType,
    /// The error's latest code; null when it had none.
    code: Option<String>,
    /// The fields or properties that the error is about.
    fields: Vec<String>,
}

impl ResyncItem {
    pub(in crate::resync) fn of(work: Work, links: &Links) -> Self {
        let Work {
            item,
            record,
            error,
        } = work;
        let key = [&item.id.as_bytes()[..], &item.attempt.to_be_bytes()].concat();
        let side = |system, record| RecordRef::of_record(system, record, links);
        Self {
            id: GlobalId::encode(Kind::ResyncItem, item.hub_id, &key),
            attempt: item.attempt,
            lease_expires_at: Instant(item.lease_expires_at.unwrap_or_default()),
            direction: item.direction,
            hubspot_record: record
                .hubspot_record
                .map(|record| side(System::Hubspot, record)),
            salesforce_record: record
                .salesforce_record
                .map(|record| side(System::Salesforce, record)),
            sync_error_id: error_id(item.hub_id, item.error_id),
            error_type: error.error_type,
            code: error.code,
            fields: error.fields,
        }
    }
}

/// The portal and the claim that an item's global id names.
pub(super) fn claimed_item(id: &ID) -> Option<(i64, ClaimedItem)> {
    let decoded = GlobalId::decode(id).filter(|id| id.kind == Kind::ResyncItem)?;
    let (id, attempt) = decoded.uuid_and_number()?;
    Some((decoded.hub_id, ClaimedItem { id, attempt }))
}

/// Records of a portal that wait for an engine.
#[derive(Debug, Clone, SimpleObject)]
pub struct ResyncWork {
    /// The portal.
    pub(in crate::resync) hub_id: ID,
    /// How many. Stops at 2^31-1.
    pub(in crate::resync) waiting_count: i32,
}

/// Items with their places in the input.
pub(super) type Placed = Vec<(usize, ClaimedItem)>;

/// Items by portal, each with its place; those of portals that the token does not name are left out.
pub(super) fn by_portal<'a>(
    call: &Call,
    ids: impl Iterator<Item = &'a ID>,
) -> Result<Vec<(Scope<Report>, Placed)>> {
    let mut portals: BTreeMap<i64, Placed> = BTreeMap::new();
    for (index, id) in ids.enumerate() {
        if let Some((hub_id, item)) = claimed_item(id) {
            portals.entry(hub_id).or_default().push((index, item));
        }
    }
    let mut scoped = Vec::with_capacity(portals.len());
    for (hub_id, items) in portals {
        if let Some(scope) = call.viewer.scope::<Report>(hub_id)? {
            scoped.push((scope, items));
        }
    }
    Ok(scoped)
}

pub(super) fn lost(path: &[&str]) -> UserError {
    let message = "The lease has ended, another engine has claimed or answered this item since, or its batch was cancelled.";
    UserError::new(UserErrorCode::LeaseLost, path, message)
}

pub(super) fn unknown(path: &[&str]) -> UserError {
    let message = "No item with this id exists in the portals that the token names.";
    UserError::new(UserErrorCode::NotFound, path, message)
}
