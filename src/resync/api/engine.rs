//! What engines call: claim, renew, answer.

use std::collections::{BTreeMap, HashMap};

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use uuid::Uuid;

use super::ResyncItem;
use super::item::claimed_item;
use crate::kernel::auth::{Report, Scope};
use crate::kernel::call::Call;
use crate::kernel::clock::{Micros, SECOND};
use crate::kernel::error::Result;
use crate::kernel::limits::{self, Limit};
use crate::kernel::scalars::Instant;
use crate::kernel::user_error::{UserError, UserErrorCode};
use crate::portals::{find, scope_of};
use crate::quota::api::ApiCallReservation;
use crate::resync::claim::{self, Claim, Order};
use crate::resync::outcome::{self, Answer, Outcome, Verdict};
use crate::resync::{claimable, lease};
use crate::sync_errors::api::{Links, SyncError};
use crate::sync_errors::report::check_attempt;
use crate::sync_errors::report::input::SyncFailureInput;

/// Records to be tried by an engine.
#[derive(InputObject)]
pub struct ClaimResyncItemsInput {
    /// The portal. When left out, the one of the token's portals whose records have waited longest.
    hub_id: Option<ID>,
    /// How many at most: 1 to 100.
    #[graphql(default = 10)]
    limit: Option<i32>,
    /// For how long they are the engine's: 10 to 3,600.
    #[graphql(default = 300)]
    lease_seconds: Option<i32>,
    /// API calls to set aside for each: 1 to 100.
    #[graphql(default = 1)]
    calls_per_item: Option<i32>,
}

/// The answer to `claimResyncItems`. That nothing is to be claimed is an answer, not a user error.
#[derive(SimpleObject, Default)]
pub struct ClaimResyncItemsPayload {
    /// The portal that the items belong to; null without items.
    hub_id: Option<ID>,
    /// What is the engine's now: of one portal, in turn from each of its batches.
    items: Vec<ResyncItem>,
    /// The calls that were set aside for them: to be settled by `reportApiUsage`. Null without items.
    reservation: Option<ApiCallReservation>,
    /// When calls will be left; null unless records wait for want of them.
    retry_at: Option<Instant>,
    /// What was refused.
    user_errors: Vec<UserError>,
}

/// Claimed items to keep for longer.
#[derive(InputObject)]
pub struct RenewResyncItemsInput {
    /// 1 to 100 items.
    item_ids: Vec<ID>,
    /// For how long from now on: 10 to 3,600.
    #[graphql(default = 300)]
    lease_seconds: Option<i32>,
}

/// The answer to `renewResyncItems`.
#[derive(SimpleObject, Default)]
pub struct RenewResyncItemsPayload {
    /// One for each item, in the order of the input.
    results: Vec<RenewResyncItemResult>,
    /// What was refused; `elementIndex` is the position in `itemIds`.
    user_errors: Vec<UserError>,
}

/// What became of one lease.
#[derive(SimpleObject)]
pub struct RenewResyncItemResult {
    /// The item as given.
    item_id: ID,
    /// Until when it is the engine's; null when it is not any more.
    lease_expires_at: Option<Instant>,
}

/// What became of claimed items.
#[derive(InputObject)]
pub struct ReportResyncOutcomesInput {
    /// 1 to 1,000 outcomes. What is wrong with one refuses that one only.
    outcomes: Vec<ResyncOutcomeInput>,
}

/// What became of one claimed item.
#[derive(InputObject)]
pub struct ResyncOutcomeInput {
    /// The item.
    item_id: ID,
    /// What became of it.
    status: ResyncOutcomeStatus,
    /// FAILED only: what the provider answered. It is classified as any failure, so the record may move to another error;
    /// its records are the item's where left out. Without it, the record failed for the same cause.
    failure: Option<SyncFailureInput>,
}

/// What became of a claimed item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
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
    /// The item's error after this call; null when not accepted. Readable with the scope sync-health:report, except for
    /// what leads on from it.
    sync_error: Option<SyncError>,
}

/// The mutations of engines.
#[derive(Default)]
pub struct ResyncEngineMutations;

#[Object]
impl ResyncEngineMutations {
    /// Gives an engine records to try again, each leased to it, with API calls set aside for them. What is not answered
    /// within the lease is given to the next engine that asks. Needs the scope sync-health:report.
    async fn claim_resync_items(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many.")] input: ClaimResyncItemsInput,
    ) -> Result<ClaimResyncItemsPayload> {
        let call = Call::of(ctx)?;
        call.viewer.require::<Report>()?;
        let refused = |error| {
            Ok(ClaimResyncItemsPayload {
                user_errors: vec![error],
                ..Default::default()
            })
        };
        let order = match order(&input) {
            Ok(order) => order,
            Err(error) => return refused(error),
        };
        let scope = match &input.hub_id {
            Some(_) => scope_of::<Report>(call, input.hub_id.as_ref())?,
            None => match longest_waiting(call).await? {
                Some(scope) => Some(scope),
                None => return Ok(ClaimResyncItemsPayload::default()),
            },
        };
        let Some(scope) = scope else {
            return refused(UserError::unknown_portal());
        };
        match claim::claim(&call.env, &scope, &order).await? {
            Some(claim) => shown(call, &scope, claim).await,
            None => refused(UserError::unknown_portal()),
        }
    }

    /// Keeps claimed items for longer, and the calls that were set aside for them. Needs the scope sync-health:report.
    async fn renew_resync_items(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which items.")] input: RenewResyncItemsInput,
    ) -> Result<RenewResyncItemsPayload> {
        let call = Call::of(ctx)?;
        call.viewer.require::<Report>()?;
        let seconds = input.lease_seconds.unwrap_or(300);
        let checked = check_list(input.item_ids.len(), "itemIds", limits::CLAIMED_ITEMS);
        if let Err(error) = checked.and_then(|()| check_lease(seconds)) {
            let user_errors = vec![error];
            return Ok(RenewResyncItemsPayload {
                user_errors,
                ..Default::default()
            });
        }
        let lease = Micros::from(seconds) * SECOND;
        let mut until = vec![None; input.item_ids.len()];
        for (scope, items) in by_portal(call, input.item_ids.iter())? {
            let claimed: Vec<_> = items.iter().map(|(_, item)| *item).collect();
            let kept = lease::renew(&call.env, &scope, &claimed, lease).await?;
            for ((index, _), kept) in items.iter().zip(kept.unwrap_or_default()) {
                until[*index] = kept;
            }
        }
        let mut payload = RenewResyncItemsPayload::default();
        for (index, (item_id, until)) in input.item_ids.into_iter().zip(until).enumerate() {
            if until.is_none() {
                payload
                    .user_errors
                    .push(lost(&[]).in_element("itemIds", index));
            }
            let lease_expires_at = until.map(Instant);
            payload.results.push(RenewResyncItemResult {
                item_id,
                lease_expires_at,
            });
        }
        Ok(payload)
    }

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
        if let Err(error) = check_list(input.outcomes.len(), "outcomes", limit) {
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
        let known: Vec<usize> = by_portal
            .iter()
            .flat_map(|(_, items)| items.iter().map(|(index, _)| *index))
            .collect();
        for index in (0..outcomes.len()).filter(|index| !known.contains(index)) {
            payload
                .user_errors
                .push(unknown().in_element("outcomes", index));
        }
        for (scope, items) in by_portal {
            answer(call, &scope, (&items, &mut outcomes), &mut payload).await?;
        }
        payload.user_errors.sort_by_key(|error| error.element_index);
        Ok(payload)
    }
}

fn order(input: &ClaimResyncItemsInput) -> Result<Order, UserError> {
    let limit = input.limit.unwrap_or(10);
    check_range(limit, "limit", (1, limits::CLAIMED_ITEMS))?;
    let seconds = input.lease_seconds.unwrap_or(300);
    check_lease(seconds)?;
    let calls_per_item = input.calls_per_item.unwrap_or(1);
    check_range(calls_per_item, "callsPerItem", (1, limits::CALLS_PER_ITEM))?;
    Ok(Order {
        limit: usize::try_from(limit).unwrap_or(1),
        lease: Micros::from(seconds) * SECOND,
        calls_per_item,
    })
}

fn check_lease(seconds: i32) -> Result<(), UserError> {
    /// A shorter lease would end while its answer is on the way.
    const SHORTEST: i32 = 10;
    check_range(seconds, "leaseSeconds", (SHORTEST, limits::LEASE_SECONDS))
}

fn check_range(value: i32, key: &str, (least, limit): (i32, Limit)) -> Result<(), UserError> {
    if (least..=limit.value as i32).contains(&value) {
        return Ok(());
    }
    let message = format!(
        "{least} to {} {} ({}).",
        limit.value, limit.unit, limit.name
    );
    Err(UserError::new(UserErrorCode::OutOfRange, &[key], message))
}

fn check_list(count: usize, list: &str, limit: Limit) -> Result<(), UserError> {
    let message = match count {
        0 => format!("{list} is empty: send at least one."),
        count if count > limit.value => format!(
            "At most {} {list} in one call ({}): send the rest in further ones.",
            limit.value, limit.name
        ),
        _ => return Ok(()),
    };
    Err(UserError::new(UserErrorCode::TooMany, &[list], message))
}

/// Of the token's portals the one whose records have waited longest.
async fn longest_waiting(call: &Call) -> Result<Option<Scope<Report>>> {
    // A token of one portal claims there even if nothing waits: its first claim starts automatic retries.
    if let Ok(Some(hub_id)) = call.viewer.hub_id(None) {
        return call.viewer.scope(hub_id);
    }
    let waiting = claimable::waiting(&call.snapshot, call.viewer.portals()).await?;
    match waiting.first() {
        Some(portal) => call.viewer.scope(portal.hub_id),
        None => Ok(None),
    }
}

async fn shown(
    call: &Call,
    scope: &Scope<Report>,
    claim: Claim,
) -> Result<ClaimResyncItemsPayload> {
    call.snapshot.renew().await;
    let mut payload = ClaimResyncItemsPayload {
        reservation: claim.reservation,
        retry_at: claim.retry_at.map(Instant),
        ..Default::default()
    };
    if claim.works.is_empty() {
        return Ok(payload);
    }
    let portal = find(call, scope)
        .await?
        .ok_or_else(crate::portals::unknown_portal)?;
    let links = Links::of(&portal);
    payload.hub_id = Some(ID(scope.hub_id().to_string()));
    payload.items = claim
        .works
        .into_iter()
        .map(|work| ResyncItem::of(work, &links))
        .collect();
    Ok(payload)
}

type Placed = Vec<(usize, lease::ClaimedItem)>;

/// Items by portal, each with its place; those of portals that the token does not name are left out.
fn by_portal<'a>(
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
    let mut errors: HashMap<Uuid, SyncError> = SyncError::answers(call, scope, &accepted).await?;
    for (index, verdict) in places.into_iter().zip(verdicts) {
        match verdict {
            Verdict::Accepted(error_id) => {
                if let Some(result) = payload.results.get_mut(index) {
                    result.accepted = true;
                    result.sync_error =
                        errors.get_mut(&error_id).map(|error| error.answered(scope));
                }
            }
            Verdict::LeaseLost => payload
                .user_errors
                .push(lost(&["itemId"]).in_element("outcomes", index)),
            Verdict::NotFound => payload
                .user_errors
                .push(unknown().in_element("outcomes", index)),
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

fn lost(path: &[&str]) -> UserError {
    let message =
        "Another engine has claimed or answered this item since, or its batch was cancelled.";
    UserError::new(UserErrorCode::LeaseLost, path, message)
}

fn unknown() -> UserError {
    let message = "No item with this id exists in the portals that the token names.";
    UserError::new(UserErrorCode::NotFound, &["itemId"], message)
}
