//! Engines claim records, and keep them for longer.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use super::ResyncItem;
use super::item::{by_portal, lost, unknown};
use crate::kernel::auth::{Portals, Report, Scope};
use crate::kernel::call::Call;
use crate::kernel::clock::{Micros, SECOND};
use crate::kernel::error::Result;
use crate::kernel::limits::{self, Limit};
use crate::kernel::scalars::Instant;
use crate::kernel::user_error::UserError;
use crate::portals::{find, scope_of};
use crate::quota::api::ApiCallReservation;
use crate::resync::claim::{self, Claim, Order};
use crate::resync::{claimable, lease};
use crate::sync_errors::api::Links;

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

/// What engines claim.
#[derive(Default)]
pub struct ResyncClaimMutations;

#[Object]
impl ResyncClaimMutations {
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
        let scopes = match &input.hub_id {
            Some(_) => scope_of::<Report>(call, input.hub_id.as_ref())?
                .into_iter()
                .collect(),
            None => in_turn(call).await?,
        };
        if scopes.is_empty() && input.hub_id.is_some() {
            return refused(UserError::unknown_portal());
        }
        // Each claim reads by a connection of its own: nobody waits for a second one with a first in hand.
        call.snapshot.renew().await;
        let mut retry_at: Option<Micros> = None;
        for scope in &scopes {
            let claim = match claim::claim(&call.env, scope, &order).await? {
                Some(Ok(claim)) => claim,
                Some(Err(error)) => return refused(error),
                None if input.hub_id.is_some() => return refused(UserError::unknown_portal()),
                None => continue,
            };
            if !claim.works.is_empty() {
                return shown(call, scope, claim).await;
            }
            retry_at = retry_at.into_iter().chain(claim.retry_at).min();
        }
        Ok(ClaimResyncItemsPayload {
            retry_at: retry_at.map(Instant),
            ..Default::default()
        })
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
        let refused = UserError::of_count(input.item_ids.len(), "itemIds", limits::CLAIMED_ITEMS);
        if let Some(error) = refused.or(check_lease(seconds).err()) {
            let user_errors = vec![error];
            return Ok(RenewResyncItemsPayload {
                user_errors,
                ..Default::default()
            });
        }
        let lease = Micros::from(seconds) * SECOND;
        let mut renewed = vec![lease::Renewed::NotFound; input.item_ids.len()];
        for (scope, items) in by_portal(call, input.item_ids.iter())? {
            let claimed: Vec<_> = items.iter().map(|(_, item)| *item).collect();
            let kept = lease::renew(&call.env, &scope, &claimed, lease).await?;
            for ((index, _), kept) in items.iter().zip(kept.unwrap_or_default()) {
                renewed[*index] = kept;
            }
        }
        let mut payload = RenewResyncItemsPayload::default();
        for (index, (item_id, renewed)) in input.item_ids.into_iter().zip(renewed).enumerate() {
            let (lease_expires_at, refused) = match renewed {
                lease::Renewed::Until(at) => (Some(Instant(at)), None),
                lease::Renewed::Lost => (None, Some(lost(&[]))),
                lease::Renewed::NotFound => (None, Some(unknown(&[]))),
            };
            let refused = refused.map(|error| error.in_element("itemIds", index));
            payload.user_errors.extend(refused);
            payload.results.push(RenewResyncItemResult {
                item_id,
                lease_expires_at,
            });
        }
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

fn check_range(value: i32, key: &str, range: (i32, Limit)) -> Result<(), UserError> {
    UserError::of_range(value, key, range).map_or(Ok(()), Err)
}

/// The token's portals to claim from, the one whose records have waited longest first.
async fn in_turn(call: &Call) -> Result<Vec<Scope<Report>>> {
    /// Portals that are asked in one call: those without calls left, or suspended, are passed over.
    const ASKED: usize = 20;
    let portals = call.viewer.portals();
    let hub_ids = match portals {
        // Also if nothing waits: its first claim starts automatic retries.
        Portals::Named(hub_ids) if hub_ids.len() == 1 => hub_ids.clone(),
        _ => {
            let waiting = claimable::waiting(&call.snapshot, portals, call.now()).await?;
            let new = claimable::without_retries(&call.snapshot, portals).await?;
            let waiting = waiting.into_iter().map(|portal| portal.hub_id);
            waiting.chain(new).take(ASKED).collect()
        }
    };
    let scopes = hub_ids.into_iter().map(|hub_id| call.viewer.scope(hub_id));
    Ok(scopes
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect())
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
