//! What engines are given.

use async_graphql::{ID, SimpleObject};

use crate::classify::{SyncDirection, SyncErrorType, System};
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::scalars::Instant;
use crate::resync::claim::Work;
use crate::resync::lease::ClaimedItem;
use crate::sync_errors::api::{Links, RecordRef, error_id};

/// A record that an engine has claimed to try again.
#[derive(Debug, Clone, SimpleObject)]
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
    error_type: SyncErrorType,
    /// The error's latest code; null when it had none.
    code: Option<String>,
    /// The fields or properties that the error is about.
    fields: Vec<String>,
}

impl ResyncItem {
    pub(super) fn of(work: Work, links: &Links) -> Self {
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
    /// How many.
    pub(in crate::resync) waiting_count: i32,
}
