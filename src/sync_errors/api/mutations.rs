//! Reports by GraphQL.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};

use super::SyncError;
use super::error::error_id;
use crate::kernel::auth::{Report, Scope};
use crate::kernel::call::Call;
use crate::kernel::error::Result;
use crate::kernel::limits;
use crate::kernel::scalars::count;
use crate::kernel::turns::take_break;
use crate::kernel::user_error::UserError;
use crate::portals::scope_of;
use crate::sync_errors::report::input::{SyncFailureInput, SyncSuccessInput};
use crate::sync_errors::report::{self, CheckedFailure, FailureAnswer};

/// Failures of one portal.
#[derive(Debug, InputObject)]
pub struct ReportSyncFailuresInput {
    /// The portal. May be left out when the token names exactly one.
    pub hub_id: Option<ID>,
    /// 1 to 1,000 failures. What is wrong with one refuses that one only.
    pub failures: Vec<SyncFailureInput>,
}

/// The answer to `reportSyncFailures`.
#[derive(SimpleObject, Default)]
pub struct ReportSyncFailuresPayload {
    /// Number of failures that changed something.
    pub recorded_count: i32,
    /// Number of failures that were reported before, or are older than what is known of their record.
    pub repeated_count: i32,
    /// Number of failures that were refused.
    pub refused_count: i32,
    /// One for each failure, in the order of the input.
    pub results: Vec<ReportResult>,
    /// What was refused; `elementIndex` is the position in `failures`.
    pub user_errors: Vec<UserError>,
}

/// What became of one failure.
#[derive(SimpleObject)]
pub struct ReportResult {
    /// The id of the report as given; null when none was given.
    pub report_id: Option<ID>,
    /// What became of it.
    pub outcome: ReportOutcome,
    /// The error of its first cause after this report; null when refused. To a token that may not read it tells what the
    /// error is and its counts, with objects, title and code as in this failure; what is known from other reports is
    /// FORBIDDEN.
    pub sync_error: Option<SyncError>,
}

/// What became of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum ReportOutcome {
    /// It changed something.
    Recorded,
    /// It was reported before, or is older than what is known of its record: nothing changed.
    Repeated,
    /// It was refused: `userErrors` says why.
    Refused,
}

/// Successes of one portal.
#[derive(Debug, InputObject)]
pub struct ReportSyncSuccessesInput {
    /// The portal. May be left out when the token names exactly one.
    pub hub_id: Option<ID>,
    /// 1 to 1,000 successes. What is wrong with one refuses that one only.
    pub successes: Vec<SyncSuccessInput>,
}

/// The answer to `reportSyncSuccesses`.
#[derive(SimpleObject, Default)]
pub struct ReportSyncSuccessesPayload {
    /// Number of successes that were taken, whether or not they cleared anything.
    pub recorded_count: i32,
    /// Number of successes that were refused.
    pub refused_count: i32,
    /// Number of affected records that they cleared, summed over the errors.
    pub cleared_record_count: i32,
    /// The errors that have no record left because of them.
    pub resolved_error_ids: Vec<ID>,
    /// What was refused; `elementIndex` is the position in `successes`.
    pub user_errors: Vec<UserError>,
}

/// The mutations of engines.
#[derive(Default)]
pub struct ReportMutations;

#[Object]
impl ReportMutations {
    /// Reports failures: each is classified, grouped with the failures of the same cause, and its record counted once.
    /// Sending the same report again changes nothing. Needs the scope sync-health:report.
    async fn report_sync_failures(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The failures.")] input: ReportSyncFailuresInput,
    ) -> Result<ReportSyncFailuresPayload> {
        let call = Call::of(ctx)?;
        let Some(scope) = scope_of::<Report>(call, input.hub_id.as_ref())? else {
            return Ok(ReportSyncFailuresPayload {
                user_errors: vec![UserError::unknown_portal()],
                ..Default::default()
            });
        };
        if let Some(error) =
            UserError::of_count(input.failures.len(), "failures", limits::REPORT_ELEMENTS)
        {
            return Ok(ReportSyncFailuresPayload {
                user_errors: vec![error],
                ..Default::default()
            });
        }
        let now = call.now();
        let mut checked = Vec::with_capacity(input.failures.len());
        for failure in input.failures {
            take_break().await;
            let report_id = failure.report_id.clone();
            checked.push((report_id, report::check_failure(failure, now)));
        }
        report_failures(call, &scope, checked).await
    }

    /// Reports successes: what they name is cleared, and errors without a record left are RESOLVED. A success that
    /// matches nothing changes nothing. Needs the scope sync-health:report.
    async fn report_sync_successes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The successes.")] input: ReportSyncSuccessesInput,
    ) -> Result<ReportSyncSuccessesPayload> {
        let call = Call::of(ctx)?;
        let refused = |user_errors| {
            Ok(ReportSyncSuccessesPayload {
                user_errors,
                ..Default::default()
            })
        };
        let Some(scope) = scope_of::<Report>(call, input.hub_id.as_ref())? else {
            return refused(vec![UserError::unknown_portal()]);
        };
        if let Some(error) =
            UserError::of_count(input.successes.len(), "successes", limits::REPORT_ELEMENTS)
        {
            return refused(vec![error]);
        }
        let now = call.now();
        let mut checked = Vec::with_capacity(input.successes.len());
        let mut user_errors = Vec::new();
        let mut refused_count = 0;
        for (index, success) in input.successes.into_iter().enumerate() {
            match report::check_success(success, now) {
                Ok(success) => checked.push(success),
                Err(errors) => {
                    refused_count += 1;
                    user_errors.extend(
                        errors
                            .into_iter()
                            .map(|error| error.in_element("successes", index)),
                    );
                }
            }
        }
        // They are read for by a connection of their own: nobody waits for a second one with a first in hand.
        call.snapshot.renew().await;
        let Some(answer) = report::report_successes(&call.env, &scope, &checked).await? else {
            return refused(vec![UserError::unknown_portal()]);
        };
        call.snapshot.renew().await;
        Ok(ReportSyncSuccessesPayload {
            recorded_count: count(checked.len()),
            refused_count,
            cleared_record_count: answer.cleared_record_count,
            resolved_error_ids: answer
                .resolved_error_ids
                .into_iter()
                .map(|id| error_id(scope.hub_id(), id))
                .collect(),
            user_errors,
        })
    }
}

type Checked = (Option<ID>, Result<CheckedFailure, Vec<UserError>>);

async fn report_failures(
    call: &Call,
    scope: &Scope<Report>,
    checked: Vec<Checked>,
) -> Result<ReportSyncFailuresPayload> {
    let mut payload = ReportSyncFailuresPayload::default();
    let mut failures = Vec::with_capacity(checked.len());
    let mut places = Vec::with_capacity(checked.len());
    for (index, (report_id, checked)) in checked.into_iter().enumerate() {
        match checked {
            Ok(failure) => {
                places.push(index);
                failures.push(failure);
            }
            Err(errors) => payload.user_errors.extend(
                errors
                    .into_iter()
                    .map(|error| error.in_element("failures", index)),
            ),
        }
        payload.results.push(ReportResult {
            report_id,
            outcome: ReportOutcome::Refused,
            sync_error: None,
        });
    }
    let refused = payload.results.len() - failures.len();
    payload.refused_count = count(refused);
    call.env.metrics.failures("refused", refused as u64);
    if failures.is_empty() {
        return Ok(payload);
    }
    let Some(answers) = report::report_failures(&call.env, scope, &mut failures).await? else {
        return Ok(ReportSyncFailuresPayload {
            user_errors: vec![UserError::unknown_portal()],
            ..Default::default()
        });
    };
    call.snapshot.renew().await;
    let told = failures.iter().zip(answers);
    let mut full = 0;
    for (index, (failure, answer)) in places.into_iter().zip(told) {
        let FailureAnswer {
            recorded,
            refused,
            error,
        } = answer;
        let Some(result) = payload.results.get_mut(index) else {
            continue;
        };
        if let Some(refused) = refused {
            full += 1;
            payload
                .user_errors
                .push(refused.in_element("failures", index));
            continue;
        }
        result.outcome = if recorded {
            ReportOutcome::Recorded
        } else {
            ReportOutcome::Repeated
        };
        payload.recorded_count += i32::from(recorded);
        payload.repeated_count += i32::from(!recorded);
        result.sync_error = error.map(|row| SyncError::of_report(call, scope, (row, failure)));
    }
    payload.refused_count = payload.refused_count.saturating_add(count(full));
    call.env.metrics.failures("refused", full as u64);
    payload.user_errors.sort_by_key(|error| error.element_index);
    Ok(payload)
}
