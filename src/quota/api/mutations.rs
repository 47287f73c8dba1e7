//! What changes calls: by people (`setHubspotAllocation`), by engines (`reportApiUsage`, `reserveApiCalls`).

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};

use super::{ApiCallReservation, Quota};
use crate::kernel::auth::{Manage, Report};
use crate::kernel::call::Call;
use crate::kernel::error::Result;
use crate::kernel::scalars::Instant;
use crate::kernel::user_error::UserError;
use crate::portals::scope_of;
use crate::quota::ApiCallPurpose;
use crate::quota::change;
use crate::quota::reservation::{self, Granted};

/// How many calls HubSpot may use.
#[derive(InputObject)]
pub struct SetHubspotAllocationInput {
    /// The portal. May be left out when the token names exactly one.
    pub(in crate::quota) hub_id: Option<ID>,
    /// Calls in 24 hours: at least 1, and not more than Salesforce allows the org, where that is known. Null removes
    /// the allocation; left out: nothing changes.
    pub(in crate::quota) calls: MaybeUndefined<i32>,
}

/// The answer to `setHubspotAllocation`.
#[derive(SimpleObject)]
pub struct SetHubspotAllocationPayload {
    /// The calls as they are now; null when something was refused.
    quota: Option<Quota>,
    /// What was refused.
    user_errors: Vec<UserError>,
}

/// Calls that were made.
#[derive(InputObject)]
pub struct ReportApiUsageInput {
    /// The portal. May be left out when the token names exactly one.
    pub(in crate::quota) hub_id: Option<ID>,
    /// A name of this report, at most 255 characters: sent again within 7 days, it counts nothing.
    pub(in crate::quota) report_id: ID,
    /// When the calls were made; now when left out.
    pub(in crate::quota) occurred_at: Option<Instant>,
    /// How many: 0 to 1,000,000.
    pub(in crate::quota) calls: i32,
    /// The value of Salesforce's response header Sforce-Limit-Info, as it came.
    pub(in crate::quota) sforce_limit_info: Option<String>,
    /// The reservation that they were made under: it is settled, and what it has left is given back.
    pub(in crate::quota) reservation_id: Option<ID>,
}

/// The answer to `reportApiUsage`.
#[derive(SimpleObject)]
pub struct ReportApiUsagePayload {
    /// The calls as they are now; null when something was refused.
    quota: Option<Quota>,
    /// What was refused.
    user_errors: Vec<UserError>,
}

/// Calls to set aside.
#[derive(InputObject)]
pub struct ReserveApiCallsInput {
    /// The portal. May be left out when the token names exactly one.
    pub(in crate::quota) hub_id: Option<ID>,
    /// How many: 1 to 1,000,000.
    pub(in crate::quota) calls: i32,
    /// What they are for.
    #[graphql(default_with = "ApiCallPurpose::NewChange")]
    pub(in crate::quota) purpose: ApiCallPurpose,
    /// A name of this request, at most 255 characters: sent again, it gets the same reservation.
    pub(in crate::quota) idempotency_key: Option<String>,
}

/// The answer to `reserveApiCalls`. A refusal is an answer, not a user error.
#[derive(SimpleObject, Default)]
pub struct ReserveApiCallsPayload {
    /// What was set aside; null when not enough is left.
    reservation: Option<ApiCallReservation>,
    /// When to ask again; null with a reservation and with user errors.
    retry_at: Option<Instant>,
    /// What was refused.
    user_errors: Vec<UserError>,
}

/// The mutations of this domain.
#[derive(Default)]
pub struct QuotaMutations;

#[Object]
impl QuotaMutations {
    /// Sets how many API calls HubSpot may use; told in `Portal.changes`. Needs the scope sync-health:manage.
    async fn set_hubspot_allocation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many.")] input: SetHubspotAllocationInput,
    ) -> Result<SetHubspotAllocationPayload> {
        let call = Call::of(ctx)?;
        let set = match scope_of::<Manage>(call, input.hub_id.as_ref())? {
            Some(scope) => change::set_allocation(call, &scope, &input.calls).await?,
            None => Err(UserError::unknown_portal()),
        };
        let (quota, user_errors) = told(set);
        Ok(SetHubspotAllocationPayload { quota, user_errors })
    }

    /// Counts API calls that were made; reads the org's limit and use from Salesforce's header. It is never refused for
    /// want of calls. Needs the scope sync-health:report.
    async fn report_api_usage(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The calls.")] input: ReportApiUsageInput,
    ) -> Result<ReportApiUsagePayload> {
        let call = Call::of(ctx)?;
        let reported = match scope_of::<Report>(call, input.hub_id.as_ref())? {
            Some(scope) => change::report(call, &scope, &input).await?,
            None => Err(UserError::unknown_portal()),
        };
        let (quota, user_errors) = told(reported);
        Ok(ReportApiUsagePayload { quota, user_errors })
    }

    /// Sets API calls aside before they are made, so that all engines together stay within the allocation. What is not
    /// reported within 300 seconds is given back. Needs the scope sync-health:report.
    async fn reserve_api_calls(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, and what for.")] input: ReserveApiCallsInput,
    ) -> Result<ReserveApiCallsPayload> {
        let call = Call::of(ctx)?;
        let granted = match scope_of::<Report>(call, input.hub_id.as_ref())? {
            Some(scope) => reservation::reserve(call, &scope, &input).await?,
            None => Err(UserError::unknown_portal()),
        };
        let mut payload = ReserveApiCallsPayload::default();
        match granted {
            Ok(Granted::Now(reservation)) => {
                payload.reservation = Some(ApiCallReservation::of(&reservation))
            }
            Ok(Granted::Later(at)) => payload.retry_at = Some(Instant(at)),
            Err(error) => payload.user_errors.push(error),
        }
        Ok(payload)
    }
}

/// What a payload holds: the calls, or what was refused.
fn told(answer: Result<Quota, UserError>) -> (Option<Quota>, Vec<UserError>) {
    match answer {
        Ok(quota) => (Some(quota), Vec::new()),
        Err(error) => (None, vec![error]),
    }
}
