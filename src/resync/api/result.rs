//! What became of errors in a batch.

use std::borrow::Cow;

use async_graphql::{Context, ID, Object, OutputType};
use uuid::Uuid;

use super::batch::batch_id;
use crate::kernel::auth::{Read, Scope};
use crate::kernel::call::Call;
use crate::kernel::connection::{Connection, wants_total};
use crate::kernel::error::Result;
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::page::{Cursor, Page, TotalCount};
use crate::kernel::plain::Plain;
use crate::kernel::scalars::Instant;
use crate::resync::tables::resync_results;
use crate::resync::{AUTOMATIC, ResultStatus, read};
use crate::sync_errors::api::SyncError;

/// The order of their cursors: part of every cursor that was given out.
const RESULTS: u8 = 31;

/// A page of a batch's results, with their errors where the request wants them.
pub(super) async fn list_results(
    ctx: &Context<'_>,
    scope: &Scope<Read>,
    batch: Uuid,
    (first, after): (Option<i32>, Option<&str>),
) -> Result<Connection<ResyncResult>> {
    let call = Call::of(ctx)?;
    let page = Page::forwards(first, after, RESULTS)?;
    let select = read::results(scope, batch);
    let rows = read::results_page(&call.snapshot, select.clone(), &page).await?;
    let look = ctx.look_ahead();
    let total = match wants_total(&look) {
        true => TotalCount::of(&call.snapshot, select).await?,
        false => TotalCount::exact(0),
    };
    let mut results: Vec<_> = rows
        .into_iter()
        .map(|row| ResyncResult::new(scope.clone(), row))
        .collect();
    let wanted = [
        look.field("nodes").field("syncError"),
        look.field("edges").field("node").field("syncError"),
    ];
    if wanted.iter().any(|selection| selection.exists()) {
        let ids: Vec<Uuid> = results.iter().map(|result| result.row.error_id).collect();
        let mut errors = SyncError::many(call, scope, &ids, &wanted).await?;
        for result in &mut results {
            result.error = Some(errors.remove(&result.row.error_id));
        }
    }
    let cursor = |result: &ResyncResult| {
        let (order, id) = (RESULTS, result.row.error_id);
        Cursor {
            order,
            value: 0,
            id,
        }
        .encode()
    };
    Ok(Connection::new(&page, results, cursor, total))
}

/// What became of one error in one batch.
pub struct ResyncResult {
    scope: Scope<Read>,
    row: resync_results::Model,
    /// Its error, or that there is none, where it was read ahead.
    error: Option<Option<SyncError>>,
}

impl ResyncResult {
    pub(in crate::resync) fn new(scope: Scope<Read>, row: resync_results::Model) -> Self {
        let error = None;
        Self { scope, row, error }
    }

    /// The result of a global id; `None` when it does not exist.
    pub async fn load(call: &Call, scope: Scope<Read>, id: &GlobalId) -> Result<Option<Self>> {
        let Some(key) = id.two_uuids().filter(|key| key.0 != AUTOMATIC) else {
            return Ok(None);
        };
        let row = read::result(&call.snapshot, &scope, key).await?;
        Ok(row.map(|row| Self::new(scope, row)))
    }
}

/// What became of one error in one batch.
#[Object]
impl ResyncResult {
    /// Global id.
    pub async fn id(&self) -> ID {
        let key = [
            self.row.batch_id.into_bytes(),
            self.row.error_id.into_bytes(),
        ]
        .concat();
        GlobalId::encode(Kind::ResyncResult, self.row.hub_id, &key)
    }

    /// The batch's global id.
    async fn batch_id(&self) -> ID {
        batch_id(self.row.hub_id, self.row.batch_id)
    }

    /// The error as it is now; null when it was swept since.
    async fn sync_error(&self, ctx: &Context<'_>) -> Result<Option<SyncError>> {
        match &self.error {
            Some(Some(error)) => Ok(Some(error.taken())),
            Some(None) => Ok(None),
            None => {
                let look = [ctx.look_ahead()];
                let id = self.row.error_id;
                let mut errors = SyncError::many(Call::of(ctx)?, &self.scope, &[id], &look).await?;
                Ok(errors.remove(&id))
            }
        }
    }

    /// What became of it.
    async fn status(&self) -> ResultStatus {
        self.row.status
    }

    /// Number of its records in the batch.
    async fn record_count(&self) -> i32 {
        let row = &self.row;
        let open = row.waiting_count.saturating_add(row.claimed_count);
        let tried = row.succeeded_count.saturating_add(row.failed_count);
        open.saturating_add(tried)
            .saturating_add(row.cancelled_count)
    }

    /// Records that sync again, or are gone.
    async fn succeeded_count(&self) -> i32 {
        self.row.succeeded_count
    }

    /// Records that failed again.
    async fn failed_count(&self) -> i32 {
        self.row.failed_count
    }

    /// When its last record was settled; null until then.
    async fn finished_at(&self) -> Option<Instant> {
        self.row.finished_at.map(Instant)
    }
}

/// Lists of it are short, or rare.
impl Plain for ResyncResult {
    fn name() -> Cow<'static, str> {
        <Self as OutputType>::type_name()
    }
}
