//! Engines answer what became of the records that they claimed.

use std::collections::{HashMap, HashSet};

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use serde::Deserialize;
use uuid::Uuid;

use super::item::{Placed, by_portal, claimed_item, lost, unknown};
use crate::kernel::auth::{Report, Scope};
use crate::kernel::call::Call;
use crate::kernel::clock::Micros;
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::kernel::limits;
use crate::kernel::turns::take_break;
use crate::kernel::user_error::{UserError, UserErrorCode};
use crate::resync::lease;
use crate::resync::outcome::{self, Answer, Outcome, Verdict};
use crate::sync_errors::api::SyncError;
use crate::sync_errors::report::check_attempt;
use crate::sync_errors::report::input::SyncFailureInput;

/// What became of claimed items.
#[derive(InputObject)]
pub struct ReportResyncOutcomesInput {
    /// 1 to 1,000 outcomes. What is wrong with one refuses that one only.
    outcomes: Vec<ResyncOutcomeInput>,
}

/// What became of one claimed item.
#[derive(InputObject, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResyncOutcomeInput {
    /// The item.
    item_id: ID,
    /// What became of it.
    status: ResyncOutcomeStatus,
    /// FAILED only: what the provider answered. It is classified as any failure, so the record may move to another error;
    /// its records are the item's where left out. Without it, and where the portal is full (portalErrors) and the cause new,
    /// the record failed for the same cause.
    #[serde(default)]
    failure: Option<SyncFailureInput>,
}

/// What became of a claimed item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ResyncOutcomeStatus {
    /// The record syncs again.
    Succeeded,
    /// It failed again.
    Failed,
    /// It was deleted, merged or excluded.
    RecordRemoved,
    /// It was not tried: another engine may.
    Returned,
}

/// The answer to `reportResyncOutcomes`.
#[derive(SimpleObject, Default)]
pub struct ReportResyncOutcomesPayload {
    /// One for each outcome, in the order of the input.
    results: Vec<ResyncOutcomeResult>,
    /// What was refused; `elementIndex` is the position in `outcomes`.
    user_errors: Vec<UserError>,
}

/// What became of one outcome.
#[derive(SimpleObject)]
pub struct ResyncOutcomeResult {
    /// The item as given.
    item_id: ID,
    /// Whether it counts.
    accepted: bool,
    /// The item's error after this call; null when not accepted. To a token that may not read it tells what the error is
    /// and its counts, as a claim does; what is known from other reports is FORBIDDEN.
    sync_error: Option<SyncError>,
}

/// What engines answer.
#[derive(Default)]
pub struct ResyncOutcomeMutations;

#[Object]
impl ResyncOutcomeMutations {
    /// Tells what became of claimed items. A late answer counts unless another engine has answered; the same answer again
    /// changes nothing. Needs the scope sync-health:report.
    async fn report_resync_outcomes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The outcomes.")] input: ReportResyncOutcomesInput,
    ) -> Result<ReportResyncOutcomesPayload> {
        let call = Call::of(ctx)?;
        call.viewer.require::<Report>()?;
        let limit = limits::REPORT_ELEMENTS;
        if let Some(error) = UserError::of_count(input.outcomes.len(), "outcomes", limit) {
            let user_errors = vec![error];
            return Ok(ReportResyncOutcomesPayload {
                user_errors,
                ..Default::default()
            });
        }
        let mut payload = ReportResyncOutcomesPayload::default();
        let mut outcomes = Vec::with_capacity(input.outcomes.len());
        for outcome in input.outcomes {
            payload.results.push(ResyncOutcomeResult {
                item_id: outcome.item_id,
                accepted: false,
                sync_error: None,
            });
            outcomes.push(Some((outcome.status, outcome.failure)));
        }
        let ids = payload.results.iter().map(|result| &result.item_id);
        let by_portal = by_portal(call, ids)?;
        let known: HashSet<usize> = by_portal
            .iter()
            .flat_map(|(_, items)| items.iter().map(|(index, _)| *index))
            .collect();
        for index in (0..outcomes.len()).filter(|index| !known.contains(index)) {
            payload
                .user_errors
                .push(unknown(&["itemId"]).in_element("outcomes", index));
        }
        for (scope, items) in by_portal {
            answer(call, &scope, (&items, &mut outcomes), &mut payload).await?;
        }
        payload.user_errors.sort_by_key(|error| error.element_index);
        Ok(payload)
    }
}

type Given = Option<(ResyncOutcomeStatus, Option<SyncFailureInput>)>;

/// Takes the outcomes of one portal.
async fn answer(
    call: &Call,
    scope: &Scope<Report>,
    (items, outcomes): (&Placed, &mut [Given]),
    payload: &mut ReportResyncOutcomesPayload,
) -> Result<()> {
    let ids: Vec<Uuid> = items.iter().map(|(_, item)| item.id).collect();
    let records = lease::records(&call.snapshot, scope, &ids).await?;
    let mut answers = Vec::with_capacity(items.len());
    let mut places = Vec::with_capacity(items.len());
    for (index, item) in items {
        take_break().await;
        let given = outcomes.get_mut(*index).and_then(Option::take);
        let Some((status, failure)) = given else {
            continue;
        };
        match checked(status, failure, records.get(&item.id), call.now()) {
            Ok(outcome) => {
                places.push(*index);
                answers.push(Answer {
                    item: *item,
                    outcome,
                });
            }
            Err(errors) => payload.user_errors.extend(
                errors
                    .into_iter()
                    .map(|error| error.in_element("outcomes", *index)),
            ),
        }
    }
    if answers.is_empty() {
        return Ok(());
    }
    let verdicts = outcome::report(&call.env, scope, answers).await?;
    call.snapshot.renew().await;
    let verdicts = verdicts.unwrap_or_else(|| vec![Verdict::NotFound; places.len()]);
    let accepted = verdicts.iter().filter_map(|verdict| match verdict {
        Verdict::Accepted(error_id) => Some(*error_id),
        _ => None,
    });
    let accepted: Vec<Uuid> = accepted.collect();
    let errors: HashMap<Uuid, SyncError> = SyncError::answers(call, scope, &accepted).await?;
    for (index, verdict) in places.into_iter().zip(verdicts) {
        match verdict {
            Verdict::Accepted(error_id) => {
                if let Some(result) = payload.results.get_mut(index) {
                    result.accepted = true;
                    result.sync_error = errors.get(&error_id).map(SyncError::again);
                }
            }
            Verdict::LeaseLost => payload
                .user_errors
                .push(lost(&["itemId"]).in_element("outcomes", index)),
            Verdict::NotFound => payload
                .user_errors
                .push(unknown(&["itemId"]).in_element("outcomes", index)),
        }
    }
    Ok(())
}

/// What an outcome says; a failure needs the records of its item.
fn checked(
    status: ResyncOutcomeStatus,
    failure: Option<SyncFailureInput>,
    records: Option<&lease::Records>,
    now: Micros,
) -> Result<Outcome, Vec<UserError>> {
    let misplaced = || {
        let message = "A failure goes with the status FAILED only.";
        vec![UserError::new(
            UserErrorCode::Invalid,
            &["failure"],
            message,
        )]
    };
    match (status, failure) {
        (ResyncOutcomeStatus::Failed, None) => Ok(Outcome::Failed(None)),
        (ResyncOutcomeStatus::Failed, Some(failure)) => {
            let records = records.map_or((None, None), |(a, b)| (a.as_ref(), b.as_ref()));
            let checked = check_attempt(failure, records, now).map_err(|errors| {
                errors
                    .into_iter()
                    .map(|error| error.below("failure"))
                    .collect::<Vec<_>>()
            })?;
            Ok(Outcome::Failed(Some(Box::new(checked))))
        }
        (_, Some(_)) => Err(misplaced()),
        (ResyncOutcomeStatus::Succeeded, None) => Ok(Outcome::Succeeded),
        (ResyncOutcomeStatus::RecordRemoved, None) => Ok(Outcome::Removed),
        (ResyncOutcomeStatus::Returned, None) => Ok(Outcome::Returned),
    }
}

/// What became of the outcomes that an address has answered.
#[derive(Debug, Default)]
pub(in crate::resync) struct Taken {
    /// Whether items were given back, and nothing else.
    pub(in crate::resync) only_returned: bool,
    /// What is wrong with the first one that does not.
    pub(in crate::resync) problem: Option<String>,
}

/// Takes the outcomes that a portal's own address has answered to a call with these items, each by itself: what is wrong
/// with one does not touch the others. One that is not of the call does not count.
pub(in crate::resync) async fn take_outcomes(
    env: &Env,
    scope: &Scope<Report>,
    outcomes: Vec<serde_json::Value>,
    of_call: &HashSet<Uuid>,
) -> Result<Taken> {
    let mut taken = Taken::default();
    let mut known = Vec::new();
    for value in outcomes.into_iter().take(limits::REPORT_ELEMENTS.value) {
        let outcome: ResyncOutcomeInput = match serde_json::from_value(value) {
            Ok(outcome) => outcome,
            Err(error) => {
                let told = format!("An outcome cannot be read: {error}.");
                taken.problem.get_or_insert(told);
                continue;
            }
        };
        let item = claimed_item(&outcome.item_id);
        let own =
            item.filter(|(hub_id, item)| *hub_id == scope.hub_id() && of_call.contains(&item.id));
        match own {
            Some((_, item)) => known.push((item, outcome)),
            None => {
                let told = "An outcome is not of an item of the call.".to_owned();
                taken.problem.get_or_insert(told);
            }
        }
    }
    let ids: Vec<Uuid> = known.iter().map(|(item, _)| item.id).collect();
    let records = lease::records(&env.db.moving(), scope, &ids).await?;
    let now = env.clock.now();
    let mut answers = Vec::with_capacity(known.len());
    for (item, told) in known {
        take_break().await;
        match checked(told.status, told.failure, records.get(&item.id), now) {
            Ok(outcome) => answers.push(Answer { item, outcome }),
            Err(errors) => {
                let told = errors.first().map(|error| error.message.clone());
                taken.problem = taken.problem.or(told);
            }
        }
    }
    let is_returned = |answer: &Answer| matches!(answer.outcome, Outcome::Returned);
    taken.only_returned = !answers.is_empty() && answers.iter().all(is_returned);
    if !answers.is_empty() {
        outcome::report(env, scope, answers).await?;
    }
    Ok(taken)
}
