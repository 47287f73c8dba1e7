//! Calls that are set aside before they are made, inside the portal's change: so no two grants see the same room.

use async_graphql::ID;
use uuid::Uuid;

use crate::kernel::auth::{Report, Scope};
use crate::kernel::call::Call;
use crate::kernel::clock::{Micros, SECOND};
use crate::kernel::error::Result;
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::keys::key_of;
use crate::kernel::limits;
use crate::kernel::user_error::UserError;
use crate::portals::{Change, check_key};
use crate::quota::ApiCallPurpose;
use crate::quota::api::{ApiCallReservation, ReserveApiCallsInput};
use crate::quota::change::{check_calls, tell_state};
use crate::quota::store::{self, Facts, reservations};
use crate::quota::tables::api_reservations;

/// What is answered to who wants calls.
pub(super) enum Granted {
    /// They are set aside.
    Now(api_reservations::Model),
    /// They will fit then.
    Later(Micros),
}

/// The calls that a portal has left, inside its change.
pub struct Room(Facts);

impl Room {
    /// As it is now.
    pub async fn of(change: &Change) -> Result<Self> {
        let facts = store::facts_in(change.transaction(), change.hub_id(), change.now).await?;
        Ok(Self(facts))
    }

    /// How many calls fit for a purpose; absent: any number.
    pub fn calls(&self, purpose: ApiCallPurpose) -> Option<i64> {
        self.0.room(purpose).map(|calls| calls.max(0))
    }

    /// The most that could ever be granted at once; absent: any number.
    pub fn most(&self, purpose: ApiCallPurpose) -> Option<i64> {
        self.0.most(purpose)
    }

    /// When so many calls will fit, if nobody else takes them.
    pub async fn retry_at(&self, change: &Change, wanted: (i64, ApiCallPurpose)) -> Result<Micros> {
        let (minutes, open) = store::releases(change.transaction(), &self.0).await?;
        Ok(self.0.retry_at(wanted, &minutes, &open))
    }

    /// Sets calls aside until an instant; how many fit was asked before.
    pub async fn set_aside(
        self,
        change: &mut Change,
        (calls, purpose): (i32, ApiCallPurpose),
        expires_at: Micros,
    ) -> Result<(Uuid, ApiCallReservation)> {
        let reservation = api_reservations::Model {
            hub_id: change.hub_id(),
            id: Uuid::now_v7(),
            calls,
            purpose,
            expires_at,
            settled_at: None,
            idempotency_digest: None,
        };
        let told = (reservation.id, ApiCallReservation::of(&reservation));
        self.write(change, reservation).await?;
        Ok(told)
    }

    /// Keeps calls aside for longer; what was given back already stays so.
    pub async fn extend(change: &Change, ids: &[Uuid], expires_at: Micros) -> Result<()> {
        reservations::extend(change, ids, expires_at).await
    }

    async fn write(
        mut self,
        change: &mut Change,
        reservation: api_reservations::Model,
    ) -> Result<()> {
        reservations::write(change.transaction(), reservation).await?;
        store::write(change.transaction(), &self.0, (change.now, 0)).await?;
        tell_state(change, &mut self.0).await?;
        change.ring();
        Ok(())
    }
}

/// Sets calls aside, or answers when to ask again.
pub(super) async fn reserve(
    call: &Call,
    scope: &Scope<Report>,
    input: &ReserveApiCallsInput,
) -> Result<Result<Granted, UserError>> {
    if let Err(error) = check_reserve(input) {
        return Ok(Err(error));
    }
    let Some(mut change) = Change::begin(&call.env, scope).await? else {
        return Ok(Err(UserError::unknown_portal()));
    };
    let (hub_id, now) = (scope.hub_id(), change.now);
    let idempotency_digest = input.idempotency_key.as_deref().map(key_of);
    let mut id = Uuid::now_v7();
    if let Some(digest) = idempotency_digest {
        let before = reservations::reserved_before(change.transaction(), hub_id, digest).await?;
        if let Some(before) = before {
            if (before.calls, before.purpose) != (input.calls, input.purpose) {
                return Ok(Err(UserError::idempotency_key_reused()));
            }
            if before.settled_at.is_some() || before.expires_at > now {
                return Ok(Ok(Granted::Now(before)));
            }
            // It was given back: whether it still fits is asked anew.
            id = before.id;
        }
    }
    let room = Room::of(&change).await?;
    let wanted = (i64::from(input.calls), input.purpose);
    if let Some(most) = room.most(input.purpose).filter(|most| wanted.0 > *most) {
        return Ok(Err(UserError::above_allocation(most, "calls")));
    }
    if room
        .calls(input.purpose)
        .is_some_and(|calls| wanted.0 > calls)
    {
        return Ok(Ok(Granted::Later(room.retry_at(&change, wanted).await?)));
    }
    let reservation = api_reservations::Model {
        hub_id,
        id,
        calls: input.calls,
        purpose: input.purpose,
        expires_at: now + limits::RESERVATION_SECONDS.value as Micros * SECOND,
        settled_at: None,
        idempotency_digest,
    };
    room.write(&mut change, reservation.clone()).await?;
    change.commit().await?;
    Ok(Ok(Granted::Now(reservation)))
}

fn check_reserve(input: &ReserveApiCallsInput) -> Result<(), UserError> {
    check_calls(input.calls, 1)?;
    match &input.idempotency_key {
        Some(key) => check_key(key, "idempotencyKey"),
        None => Ok(()),
    }
}

/// A reservation of the change's portal by its global id.
pub(super) async fn find(change: &Change, id: &ID) -> Result<Option<api_reservations::Model>> {
    let decoded = GlobalId::decode(id)
        .filter(|id| id.kind == Kind::ApiCallReservation && id.hub_id == change.hub_id());
    match decoded.and_then(|id| id.uuid()) {
        Some(id) => reservations::find(change.transaction(), change.hub_id(), id).await,
        None => Ok(None),
    }
}
