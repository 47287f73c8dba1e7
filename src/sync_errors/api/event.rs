//! Entries of the feed.

use async_graphql::{ID, Object};

use super::SyncError;
use super::error::error_id;
use crate::kernel::auth::{Read, Scope};
use crate::kernel::call::Call;
use crate::kernel::error::Result;
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::progress::Position;
use crate::kernel::scalars::Instant;
use crate::portals;
use crate::sync_errors::tables::sync_error_events;
use crate::sync_errors::{SyncErrorEventKind, SyncErrorStatus, feed};

/// An entry of the feed.
pub struct SyncErrorEvent {
    pub(in crate::sync_errors) epoch: i64,
    pub(in crate::sync_errors) row: sync_error_events::Model,
    pub(in crate::sync_errors) error: Option<SyncError>,
}

impl SyncErrorEvent {
    pub(in crate::sync_errors) fn position(&self) -> Position {
        Position {
            epoch: self.epoch,
            sequence: self.row.sequence,
            digest: Some(self.row.digest()),
        }
    }

    pub(super) fn global_id(&self) -> ID {
        GlobalId::encode(
            Kind::SyncErrorEvent,
            self.row.hub_id,
            &self.position().key(),
        )
    }

    /// The event of a global id; `None` when the portal's feed does not hold it.
    pub async fn load(call: &Call, scope: Scope<Read>, id: &GlobalId) -> Result<Option<Self>> {
        let Some(portal) = portals::find(call, &scope).await? else {
            return Ok(None);
        };
        let epoch = portal.head.epoch;
        let Some(at) = Position::of_key(&id.key).filter(|at| at.epoch == epoch) else {
            return Ok(None);
        };
        let row = feed::find(&call.snapshot, &scope, at.sequence).await?;
        let Some(row) = row.filter(|row| !at.differs_from(Some(row.digest()))) else {
            return Ok(None);
        };
        let error = GlobalId {
            kind: Kind::SyncError,
            hub_id: row.hub_id,
            key: row.error_id.as_bytes().to_vec(),
        };
        let error = SyncError::load(call, scope, &error).await?;
        Ok(Some(Self { epoch, row, error }))
    }
}

/// An entry of the feed: what a change did to one error. At most one per error and change.
#[Object]
impl SyncErrorEvent {
    /// Global id.
    pub async fn id(&self) -> ID {
        self.global_id()
    }

    /// Its place in the feed: what `after` takes to go on behind it.
    async fn cursor(&self) -> String {
        self.position().encode()
    }

    /// What happened.
    async fn kind(&self) -> SyncErrorEventKind {
        self.row.kind
    }

    /// When the change was made.
    async fn at(&self) -> Instant {
        Instant(self.row.occurred_at)
    }

    /// The error's status right after the change.
    async fn status(&self) -> SyncErrorStatus {
        self.row.status
    }

    /// The error's number of affected records right after the change.
    async fn affected_record_count(&self) -> i32 {
        self.row.affected_record_count
    }

    /// Global id of the error.
    async fn sync_error_id(&self) -> ID {
        error_id(self.row.hub_id, self.row.error_id)
    }

    /// The error as it is now, never older than the event; null when it does not exist any more.
    async fn sync_error(&self) -> Option<SyncError> {
        self.error.as_ref().map(SyncError::taken)
    }
}
