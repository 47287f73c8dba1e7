//! Batches.

use std::borrow::Cow;

use async_graphql::{Context, Enum, ID, Object, OutputType};
use uuid::Uuid;

use super::ResyncResult;
use super::result::list_results;
use crate::kernel::auth::{Read, Scope};
use crate::kernel::call::Call;
use crate::kernel::clock::Micros;
use crate::kernel::connection::{Connection, wants_total};
use crate::kernel::error::Result;
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::page::{Cursor, Page, TotalCount};
use crate::kernel::plain::Plain;
use crate::kernel::scalars::Instant;
use crate::resync::tables::resync_batches;
use crate::resync::{Stage, read};

/// The order of their cursors: part of every cursor that was given out.
const BATCHES: u8 = 30;

/// Whether a batch goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum ResyncBatchStatus {
    /// Records wait for an engine or for its answer.
    Running,
    /// No API calls are left for it: `waitingUntil` says until when.
    WaitingForQuota,
    /// All its records are settled.
    Completed,
    /// It was cancelled; what engines had claimed may still be answered.
    Cancelled,
}

/// A page of a portal's batches, newest first.
pub async fn list_batches(
    ctx: &Context<'_>,
    scope: &Scope<Read>,
    (first, after): (Option<i32>, Option<&str>),
    statuses: &[ResyncBatchStatus],
) -> Result<Connection<ResyncBatch>> {
    let call = Call::of(ctx)?;
    let page = Page::forwards(first, after, BATCHES)?;
    let now = call.now();
    let select = read::batches(scope, statuses, now);
    let rows = read::batches_page(&call.snapshot, select.clone(), &page).await?;
    let total = match wants_total(&ctx.look_ahead()) {
        true => TotalCount::of(&call.snapshot, select).await?,
        false => TotalCount::exact(0),
    };
    let batches = rows
        .into_iter()
        .map(|row| ResyncBatch::new(scope.clone(), row, now));
    let cursor = |batch: &ResyncBatch| {
        let (order, id) = (BATCHES, batch.row.id);
        Cursor {
            order,
            value: 0,
            id,
        }
        .encode()
    };
    Ok(Connection::new(&page, batches.collect(), cursor, total))
}

/// The global id of a batch.
pub(super) fn batch_id(hub_id: i64, id: Uuid) -> ID {
    GlobalId::encode(Kind::ResyncBatch, hub_id, id.as_bytes())
}

/// One request to try records again.
#[derive(Clone)]
pub struct ResyncBatch {
    scope: Scope<Read>,
    row: resync_batches::Model,
    /// As of when it is shown.
    now: Micros,
}

impl ResyncBatch {
    pub(in crate::resync) fn new(
        scope: Scope<Read>,
        row: resync_batches::Model,
        now: Micros,
    ) -> Self {
        Self { scope, row, now }
    }

    /// A batch by its key; `None` when it does not exist.
    pub(super) async fn read(call: &Call, scope: &Scope<Read>, id: Uuid) -> Result<Option<Self>> {
        let row = read::batch(&call.snapshot, scope, id).await?;
        Ok(row.map(|row| Self::new(scope.clone(), row, call.now())))
    }

    /// The batch of a global id; `None` when it does not exist.
    pub async fn load(call: &Call, scope: Scope<Read>, id: &GlobalId) -> Result<Option<Self>> {
        match id.uuid().filter(|_| id.kind == Kind::ResyncBatch) {
            Some(id) => Self::read(call, &scope, id).await,
            None => Ok(None),
        }
    }

    fn waits_until(&self) -> Option<Micros> {
        let until = self.row.waiting_until.filter(|until| *until > self.now);
        until.filter(|_| self.row.status == Stage::Running)
    }
}

/// One request to try records again: up to 100 chosen errors, or all that match a filter, worked off 100 errors at a
/// time. Its unit of work and of progress is the record.
#[Object]
impl ResyncBatch {
    /// Global id.
    pub async fn id(&self) -> ID {
        batch_id(self.row.hub_id, self.row.id)
    }

    /// Whether it goes on.
    async fn status(&self) -> ResyncBatchStatus {
        match self.row.status {
            Stage::Running if self.waits_until().is_some() => ResyncBatchStatus::WaitingForQuota,
            Stage::Running => ResyncBatchStatus::Running,
            Stage::Completed => ResyncBatchStatus::Completed,
            Stage::Cancelled => ResyncBatchStatus::Cancelled,
        }
    }

    /// By whom it was requested: the subject of the token.
    async fn requested_by(&self) -> &str {
        &self.row.requested_by
    }

    /// When it was requested.
    async fn requested_at(&self) -> Instant {
        Instant(self.row.requested_at)
    }

    /// When its last record was settled; null until then.
    async fn finished_at(&self) -> Option<Instant> {
        self.row.finished_at.map(Instant)
    }

    /// When API calls will be left again; null unless WAITING_FOR_QUOTA.
    async fn waiting_until(&self) -> Option<Instant> {
        self.waits_until().map(Instant)
    }

    /// Number of its errors; those that it has not reached yet as they were when it was requested. Stops at
    /// 2^31-1.
    async fn error_count(&self) -> i32 {
        self.row.error_count
    }

    /// Number of its records: waiting, claimed, succeeded, failed and cancelled ones together. Those of errors that it
    /// has not reached yet as they were when it was requested. Stops at 2^31-1.
    async fn record_count(&self) -> i32 {
        let row = &self.row;
        let open = row.waiting_count.saturating_add(row.claimed_count);
        let tried = row.succeeded_count.saturating_add(row.failed_count);
        open.saturating_add(tried)
            .saturating_add(row.cancelled_count)
    }

    /// Records that wait for an engine.
    async fn waiting_count(&self) -> i32 {
        self.row.waiting_count
    }

    /// Records that an engine has claimed and not answered.
    async fn claimed_count(&self) -> i32 {
        self.row.claimed_count
    }

    /// Records that sync again, or are gone; also those that had synced before they were claimed.
    async fn succeeded_count(&self) -> i32 {
        self.row.succeeded_count
    }

    /// Records that failed again.
    async fn failed_count(&self) -> i32 {
        self.row.failed_count
    }

    /// Records that were not tried because the batch was cancelled.
    async fn cancelled_count(&self) -> i32 {
        self.row.cancelled_count
    }

    /// What became of each of its errors that it has reached.
    async fn results(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Only entries behind this cursor.")] after: Option<String>,
    ) -> Result<Connection<ResyncResult>> {
        list_results(ctx, &self.scope, self.row.id, (first, after.as_deref())).await
    }
}

/// Lists of it are short, or rare.
impl Plain for ResyncBatch {
    fn name() -> Cow<'static, str> {
        <Self as OutputType>::type_name()
    }
}
