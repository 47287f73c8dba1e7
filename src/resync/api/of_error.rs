//! What an error shows of its resyncs: the latest that was asked for, and how it is tried again by itself.

use std::collections::HashMap;

use async_graphql::{Enum, Lookahead, SimpleObject};
use uuid::Uuid;

use super::{OfError, ResyncResult};
use crate::kernel::auth::{Read, Scope};
use crate::kernel::call::Call;
use crate::kernel::clock::Micros;
use crate::kernel::error::Result;
use crate::kernel::scalars::Instant;
use crate::portals::SyncState;
use crate::portals::api::Portal;
use crate::quota::{self, QuotaState};
use crate::resync::{read, retry};

/// How the records of a transient error are tried again without being asked: after 5 and 15 minutes, 1, 4, 12 and 24
/// hours, then each day, 10 times at most. It begins once an engine has claimed or listens for the portal's work, belongs to
/// no batch, and is taken over by a resync that is asked for.
#[derive(Debug, Clone, SimpleObject)]
pub struct RetryPlan {
    /// How often its records were tried again so.
    attempt_count: i32,
    /// When they are tried next, in the past while they are; null when they are not: until an engine has claimed or
    /// listens for the portal's work, and after the last attempt.
    next_at: Option<Instant>,
    /// Why they wait for longer; null while nothing holds them up.
    paused_reason: Option<RetryPauseReason>,
}

/// Why automatic retries wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum RetryPauseReason {
    /// 75 % of the allocation are used: new changes come first.
    #[graphql(name = "ALLOCATION_ABOVE_75_PERCENT")]
    AllocationAbove75Percent,
    /// No API calls are left.
    AllocationExhausted,
    /// The portal does not sync at present.
    SyncSuspended,
    /// They were tried as often as they are.
    AttemptsExhausted,
}

/// What errors of one portal show of their resyncs.
#[derive(Debug, Clone, Default)]
pub struct OfErrors {
    by_error: HashMap<Uuid, OfError>,
    retries: Option<Retries>,
}

/// What holds for all retries of a portal.
#[derive(Debug, Clone)]
struct Retries {
    have_begun: bool,
    pause: Option<RetryPauseReason>,
}

impl OfErrors {
    /// Reads what the selections want, for all errors at once.
    pub async fn read(
        call: &Call,
        portal: &Portal,
        error_ids: &[Uuid],
        wanted: &[Lookahead<'_>],
    ) -> Result<Option<Self>> {
        let wants = |name: &str| wanted.iter().any(|look| look.field(name).exists());
        if error_ids.is_empty() || !(wants("latestResync") || wants("retry")) {
            return Ok(None);
        }
        let retries = match wants("retry") {
            true => Some(retries(call, portal).await?),
            false => None,
        };
        let by_error = read::of_errors(&call.snapshot, &portal.scope, error_ids).await?;
        Ok(Some(Self { by_error, retries }))
    }

    /// The same for one error and both fields.
    pub async fn one(call: &Call, portal: &Portal, error_id: Uuid) -> Result<Self> {
        Ok(Self {
            by_error: read::of_errors(&call.snapshot, &portal.scope, &[error_id]).await?,
            retries: Some(retries(call, portal).await?),
        })
    }

    /// Whether it was read for a selection of `retry`.
    pub fn has_retries(&self) -> bool {
        self.retries.is_some()
    }

    /// The latest resync that was asked for.
    pub fn latest(&self, scope: &Scope<Read>, error_id: Uuid) -> Option<ResyncResult> {
        let row = self.by_error.get(&error_id)?.latest.clone()?;
        Some(ResyncResult::new(scope.clone(), row))
    }

    /// How a transient error that was opened then is tried again.
    pub fn plan(&self, error_id: Uuid, opened_at: Option<Micros>) -> Option<RetryPlan> {
        let retries = self.retries.as_ref()?;
        let automatic = self
            .by_error
            .get(&error_id)
            .and_then(|known| known.automatic.as_ref())
            .filter(|result| retry::counts(result, opened_at.unwrap_or(0)));
        let attempt_count = automatic.map_or(0, |result| result.attempt_count);
        let due = match automatic {
            Some(result) if attempt_count > 0 || result.finished_at.is_none() => result.next_at,
            _ => None,
        };
        let is_exhausted = attempt_count >= retry::ATTEMPTS;
        let first = opened_at.map(|at| at + retry::FIRST_DELAY);
        let next_at = due.or(first.filter(|_| attempt_count == 0));
        Some(RetryPlan {
            attempt_count,
            next_at: next_at
                .filter(|_| retries.have_begun && !is_exhausted)
                .map(Instant),
            paused_reason: match is_exhausted {
                true => Some(RetryPauseReason::AttemptsExhausted),
                false => retries.pause,
            },
        })
    }
}

async fn retries(call: &Call, portal: &Portal) -> Result<Retries> {
    let scope = &portal.scope;
    let is_suspended = portal.row.portal.sync_state == SyncState::Suspended;
    let facts = quota::facts(&call.snapshot, &[scope.hub_id()], call.now()).await?;
    let pause = match facts.first().map(quota::Facts::state) {
        _ if is_suspended => Some(RetryPauseReason::SyncSuspended),
        Some(QuotaState::Exhausted) => Some(RetryPauseReason::AllocationExhausted),
        Some(QuotaState::RetriesPaused) => Some(RetryPauseReason::AllocationAbove75Percent),
        Some(QuotaState::Ok) | None => None,
    };
    Ok(Retries {
        have_begun: read::has_claimed(&call.snapshot, scope).await?,
        pause,
    })
}
