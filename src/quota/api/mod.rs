//! The GraphQL objects of calls.

mod mutations;

use std::sync::Arc;

use async_graphql::{Context, ID, Lookahead, Object, SimpleObject};

use crate::kernel::auth::{Read, Scope};
use crate::kernel::call::Call;
use crate::kernel::error::Result;
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::scalars::{Instant, count};
use crate::kernel::steps::{Interval, Span};
use crate::portals::api::Portal;
use crate::quota::ledger::Minute;
use crate::quota::store::{self, Facts};
use crate::quota::tables::api_reservations;
use crate::quota::{QuotaState, history};

pub use crate::quota::live::QuotaSubscription;
pub use mutations::{QuotaMutations, ReportApiUsageInput, ReserveApiCallsInput};

/// The fields that need the minutes one by one.
const BY_MINUTE: [&str; 2] = ["exhaustionForecastAt", "resumesAt"];

/// API calls of a portal as of one instant.
#[derive(Clone)]
pub struct Quota {
    pub(in crate::quota) facts: Facts,
    /// Where a list has read those of all its portals.
    minutes: Option<Arc<[Minute]>>,
    /// The portal's, for days.
    time_zone: Arc<str>,
}

impl Quota {
    pub(in crate::quota) fn of(facts: Facts, time_zone: &str) -> Self {
        Self {
            facts,
            minutes: None,
            time_zone: time_zone.into(),
        }
    }

    /// The quota of one portal.
    pub async fn load(call: &Call, portal: &Portal) -> Result<Self> {
        let hub_id = portal.scope.hub_id();
        let facts = store::facts(&call.snapshot, &[hub_id], call.now()).await?;
        let facts = facts.into_iter().next();
        let facts = facts.unwrap_or_else(|| Facts::none(hub_id, call.now()));
        Ok(Self::of(facts, &portal.row.portal.time_zone))
    }

    /// Those of all portals of a page, and their minutes where the selection needs them: a statement each.
    pub async fn load_all(
        call: &Call,
        portals: &[(i64, &str)],
        wanted: &[Lookahead<'_>],
    ) -> Result<Vec<Self>> {
        let hub_ids: Vec<i64> = portals.iter().map(|(hub_id, _)| *hub_id).collect();
        let facts = store::facts(&call.snapshot, &hub_ids, call.now()).await?;
        let by_minute = wanted
            .iter()
            .any(|quota| BY_MINUTE.iter().any(|name| quota.field(name).exists()));
        let minutes = match by_minute {
            true => store::minutes(&call.snapshot, &hub_ids, call.now()).await?,
            false => Vec::new(),
        };
        let quota = |(facts, (hub_id, zone)): (Facts, &(i64, &str))| {
            let own = minutes.iter().filter(|(of, _)| of == hub_id);
            Self {
                minutes: by_minute.then(|| own.map(|(_, minute)| *minute).collect()),
                ..Self::of(facts, zone)
            }
        };
        Ok(facts.into_iter().zip(portals).map(quota).collect())
    }

    /// The quota of a global id.
    pub async fn find(call: &Call, scope: Scope<Read>) -> Result<Option<Self>> {
        match Portal::load(call, scope).await? {
            Some(portal) => Ok(Some(Self::load(call, &portal).await?)),
            None => Ok(None),
        }
    }

    async fn minutes(&self, call: &Call) -> Result<Arc<[Minute]>> {
        if let Some(minutes) = &self.minutes {
            return Ok(minutes.clone());
        }
        let minutes = store::minutes(&call.snapshot, &[self.facts.hub_id], self.facts.now).await?;
        Ok(minutes.into_iter().map(|(_, minute)| minute).collect())
    }
}

/// Salesforce API calls of a portal: what limits them and what was used. HubSpot's tab shows the same.
#[Object]
impl Quota {
    /// Global id.
    pub async fn id(&self) -> ID {
        GlobalId::encode(Kind::Quota, self.facts.hub_id, &[])
    }

    /// Calls used in the last 24 hours, as reported; rolling, exact to the minute. Stops at 2^31-1.
    async fn used_last24_hours(&self) -> i32 {
        count(self.facts.used)
    }

    /// Calls set aside by reservations that are neither settled nor expired. Stops at 2^31-1.
    async fn reserved(&self) -> i32 {
        count(self.facts.reserved)
    }

    /// Calls that Salesforce allows the whole org in 24 hours; null until a reading was reported.
    async fn limited_by_salesforce(&self) -> Option<i32> {
        self.facts.salesforce_limit
    }

    /// Calls that the whole org used, as Salesforce said last; null until a reading was reported.
    async fn org_used_last24_hours(&self) -> Option<i32> {
        self.facts.org_used
    }

    /// Calls that HubSpot may use in 24 hours; null when not set.
    async fn allocated_to_hubspot(&self) -> Option<i32> {
        self.facts.allocated
    }

    /// Calls that can still be reserved: of the allocation and of the org, the smaller. A reading of the org counts for
    /// an hour; null when neither is known. Stops at 2^31-1.
    async fn remaining(&self) -> Option<i32> {
        self.facts.remaining().map(count)
    }

    /// What the portal may do with its calls.
    async fn state(&self) -> QuotaState {
        self.facts.state()
    }

    /// When the allocation will be used up at the pace of the last hour; null when not within 24 hours, and when it is.
    async fn exhaustion_forecast_at(&self, ctx: &Context<'_>) -> Result<Option<Instant>> {
        if self.facts.allocated.is_none() {
            return Ok(None);
        }
        let minutes = self.minutes(Call::of(ctx)?).await?;
        Ok(self.facts.exhaustion_forecast(&minutes).map(Instant))
    }

    /// When the state will be better without further calls; null while OK, and where it depends on the org's other calls.
    async fn resumes_at(&self, ctx: &Context<'_>) -> Result<Option<Instant>> {
        if self.facts.state() == QuotaState::Ok {
            return Ok(None);
        }
        let minutes = self.minutes(Call::of(ctx)?).await?;
        Ok(self.facts.resumes_at(&minutes).map(Instant))
    }

    /// The latest report of use; null before the first.
    async fn measured_at(&self) -> Option<Instant> {
        self.facts.measured_at.map(Instant)
    }

    /// Use in steps of time, for a plot, oldest first; at most 1,500 points. Needs the scope sync-health:read.
    async fn history(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "From when on; the first step is the one that holds it.")] since: Instant,
        #[graphql(desc = "Until when, exclusive; now when left out.")] until: Option<Instant>,
        #[graphql(desc = "The length of a step.", default_with = "Interval::Hour")]
        interval: Interval,
    ) -> Result<Vec<QuotaPoint>> {
        let call = Call::of(ctx)?;
        call.viewer.require::<Read>()?;
        let span = Span {
            since: since.0,
            until: until.map_or(call.now(), |until| until.0),
            interval,
        };
        history::points(&call.snapshot, (self.facts.hub_id, &self.time_zone), span).await
    }
}

/// Calls in one step of time.
#[derive(SimpleObject)]
pub struct QuotaPoint {
    /// When the step begins.
    pub at: Instant,
    /// Calls used in the step. Stops at 2^31-1.
    pub used_count: i32,
    /// What Salesforce allowed the org at its end, in 24 hours; null before the first reading.
    pub limited_by_salesforce: Option<i32>,
    /// What was allocated to HubSpot at its end, in 24 hours; null while not set.
    pub allocated_to_hubspot: Option<i32>,
}

/// Calls that are set aside.
#[derive(SimpleObject)]
pub struct ApiCallReservation {
    /// What `reportApiUsage` takes as `reservationId`.
    pub id: ID,
    /// How many.
    pub calls: i32,
    /// Until when: what was not used by then is given back.
    pub expires_at: Instant,
}

impl ApiCallReservation {
    pub(super) fn of(row: &api_reservations::Model) -> Self {
        Self {
            id: GlobalId::encode(Kind::ApiCallReservation, row.hub_id, row.id.as_bytes()),
            calls: row.calls,
            expires_at: Instant(row.expires_at),
        }
    }
}
