//! What changes a portal's calls, each inside the portal's change: so no two grants see the same room.

use async_graphql::MaybeUndefined;

use crate::kernel::auth::{Manage, Report, Scope, Writing};
use crate::kernel::call::Call;
use crate::kernel::clock::Micros;
use crate::kernel::error::Result;
use crate::kernel::keys::key_of;
use crate::kernel::limits;
use crate::kernel::user_error::{UserError, UserErrorCode};
use crate::portals::{Change, PortalEventKind, check_key, check_occurred_at, find_in};
use crate::quota::api::{Quota, ReportApiUsageInput};
use crate::quota::limit_info::{self, LimitInfo};
use crate::quota::store::{self, Facts, reservations};
use crate::quota::tables::{api_reservations, api_usage_reports};
use crate::quota::{QuotaState, reservation};

/// Sets the allocation; what differs is told in the portal's changes.
pub(super) async fn set_allocation(
    call: &Call,
    scope: &Scope<Manage>,
    calls: &MaybeUndefined<i32>,
) -> Result<Result<Quota, UserError>> {
    let Some(change) = Change::begin(&call.env, scope).await? else {
        return Ok(Err(UserError::unknown_portal()));
    };
    let mut facts = store::facts_in(change.transaction(), scope.hub_id(), change.now).await?;
    let old = facts.allocated;
    facts.allocated = match calls {
        MaybeUndefined::Undefined => old,
        MaybeUndefined::Null => None,
        MaybeUndefined::Value(calls) => match check_allocation(*calls, facts.salesforce_limit) {
            Ok(()) => Some(*calls),
            Err(error) => return Ok(Err(error)),
        },
    };
    if facts.allocated != old {
        let text = |calls: Option<i32>| calls.map(|calls| calls.to_string());
        let told = ("hubspotAllocation", text(old), text(facts.allocated));
        change.tell_setting(scope.subject(), told).await?;
        store::write(change.transaction(), &facts, (facts.now, 0)).await?;
    }
    answered(call, scope, change, facts).await
}

fn check_allocation(calls: i32, limit: Option<i32>) -> Result<(), UserError> {
    let refused = |code, message: String| Err(UserError::new(code, &["calls"], message));
    match limit {
        _ if calls < 1 => refused(
            UserErrorCode::OutOfRange,
            "An allocation is at least 1. Use null for none.".into(),
        ),
        Some(limit) if calls > limit => refused(
            UserErrorCode::AboveSalesforceLimit,
            format!(
                "Salesforce allows the org {limit} calls in 24 hours: allocate at most as many."
            ),
        ),
        _ => Ok(()),
    }
}

/// Counts calls, once a report; settles the reservation that they were made under.
pub(super) async fn report(
    call: &Call,
    scope: &Scope<Report>,
    input: &ReportApiUsageInput,
) -> Result<Result<Quota, UserError>> {
    let info = match check_report(input, call.now()) {
        Ok(info) => info,
        Err(error) => return Ok(Err(error)),
    };
    let Some(change) = Change::begin(&call.env, scope).await? else {
        return Ok(Err(UserError::unknown_portal()));
    };
    let (hub_id, now) = (scope.hub_id(), change.now);
    let settled = match &input.reservation_id {
        None => None,
        Some(id) => match reservation::find(&change, id).await? {
            Some(settled) => Some(settled),
            None => {
                let message = "No reservation with this id exists in the portal.";
                let path = &["reservationId"];
                return Ok(Err(UserError::new(UserErrorCode::NotFound, path, message)));
            }
        },
    };
    let report = api_usage_reports::Model {
        hub_id,
        digest: key_of(&input.report_id),
        received_at: now,
    };
    if store::remember(change.transaction(), report).await? {
        let mut facts = store::facts_in(change.transaction(), hub_id, now).await?;
        let at = input.occurred_at.map_or(now, |at| at.0.min(now));
        facts.read(info, at);
        store::write(change.transaction(), &facts, (at, input.calls)).await?;
        if let Some(open) = settled.filter(|open| open.settled_at.is_none()) {
            let settled = api_reservations::Model {
                settled_at: Some(now),
                ..open
            };
            reservations::write(change.transaction(), settled).await?;
        }
    }
    let facts = store::facts_in(change.transaction(), hub_id, now).await?;
    answered(call, scope, change, facts).await
}

fn check_report(input: &ReportApiUsageInput, now: Micros) -> Result<Option<LimitInfo>, UserError> {
    check_key(&input.report_id, "reportId")?;
    check_calls(input.calls, 0)?;
    if let Some(at) = input.occurred_at {
        check_occurred_at(at.0, now)?;
    }
    let Some(text) = &input.sforce_limit_info else {
        return Ok(None);
    };
    match limit_info::read(text) {
        Some(info) => Ok(Some(info)),
        None => Err(UserError::new(
            UserErrorCode::Invalid,
            &["sforceLimitInfo"],
            "Not the value of Sforce-Limit-Info, for example api-usage=18/5000. Nothing was counted: leave it out and report the calls again.",
        )),
    }
}

pub(super) fn check_calls(calls: i32, least: i32) -> Result<(), UserError> {
    UserError::of_range(calls, "calls", (least, limits::API_CALLS)).map_or(Ok(()), Err)
}

/// Tells in the feed when the state is another than was told.
pub(super) async fn tell_state(change: &mut Change, facts: &mut Facts) -> Result<()> {
    let state = facts.state();
    if state == facts.told_state {
        return Ok(());
    }
    facts.told_state = state;
    store::write_row(change.transaction(), facts).await?;
    let kind = match state {
        QuotaState::Ok => PortalEventKind::Recovered,
        QuotaState::RetriesPaused => PortalEventKind::RetriesPaused,
        QuotaState::Exhausted => PortalEventKind::Exhausted,
    };
    change.tell(kind).await
}

/// Commits, rings whoever watches, and answers the calls as they are then.
async fn answered<R: Writing>(
    call: &Call,
    scope: &Scope<R>,
    mut change: Change,
    mut facts: Facts,
) -> Result<Result<Quota, UserError>> {
    tell_state(&mut change, &mut facts).await?;
    change.ring();
    change.commit().await?;
    call.snapshot.renew().await;
    let portal = find_in(&call.snapshot, scope).await?;
    let zone = portal.map(|row| row.portal.time_zone.clone());
    Ok(Ok(Quota::of(facts, zone.as_deref().unwrap_or("UTC"))))
}
