//! An engine claims records to try again: in turn from each batch of the portal, within the calls that are left.

mod take;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::kernel::auth::{Portals, Report, Scope};
use crate::kernel::call::Call;
use crate::kernel::clock::Micros;
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::kernel::scalars::count;
use crate::kernel::user_error::UserError;
use crate::portals::{Change, SyncState, find_in};
use crate::quota::api::ApiCallReservation;
use crate::quota::{ApiCallPurpose, Room};
use crate::resync::board::Board;
use crate::resync::claimable;
use crate::resync::lease::return_expired;
use crate::resync::tables::{resync_batches, resync_items};
use crate::resync::{AUTOMATIC, Stage};
use crate::sync_errors::report::attempts::{Attempts, ErrorFacts};
use crate::sync_errors::to_try::RecordToTry;

/// What an engine asks for.
pub(super) struct Order {
    pub(super) limit: usize,
    pub(super) lease: Micros,
    pub(super) calls_per_item: i32,
}

/// An item with what its engine needs to know.
pub(super) struct Work {
    pub(super) item: resync_items::Model,
    pub(super) record: RecordToTry,
    pub(super) error: ErrorFacts,
}

/// What an engine is given.
#[derive(Default)]
pub(super) struct Claim {
    pub(super) works: Vec<Work>,
    pub(super) reservation: Option<ApiCallReservation>,
    /// When calls will be left.
    pub(super) retry_at: Option<Micros>,
}

/// A claim under way.
struct Claiming<'a> {
    scope: &'a Scope<Report>,
    change: Change,
    board: Board,
    attempts: Attempts,
    lease_expires_at: Micros,
    taken: Vec<(resync_items::Model, RecordToTry)>,
}

/// Claims items of a portal; refuses what could never be granted. `None` when it does not exist. What finds nothing takes
/// no lock.
pub(super) async fn claim(
    env: &Env,
    scope: &Scope<Report>,
    order: &Order,
) -> Result<Option<Result<Claim, UserError>>> {
    let snapshot = env.db.snapshot().of_portal(scope.hub_id());
    let portal = find_in(&snapshot, scope).await?;
    let state = portal.map(|row| row.portal.sync_state);
    if !claimable::may_be(&snapshot, scope.hub_id(), env.clock.now()).await? {
        let exists = scope.is_named() || state.is_some();
        return Ok(exists.then(|| Ok(Claim::default())));
    }
    drop(snapshot);
    let Some(change) = Change::begin(env, scope).await? else {
        return Ok(None);
    };
    let attempts = Attempts::new(&change);
    let mut claiming = Claiming {
        scope,
        lease_expires_at: change.now + order.lease,
        change,
        board: Board::default(),
        attempts,
        taken: Vec::new(),
    };
    let room = Room::of(&claiming.change).await?;
    if let Err(error) = check(&room, order) {
        return Ok(Some(Err(error)));
    }
    let claim = claiming
        .run(order, room, state == Some(SyncState::Suspended))
        .await?;
    let Claiming {
        mut change,
        board,
        attempts,
        ..
    } = claiming;
    board.save(&mut change, &attempts).await?;
    change.commit().await?;
    let claimed = claim.works.len() as u64;
    env.metrics.resync_items("claimed", claimed);
    Ok(Some(Ok(claim)))
}

/// Calls for one item have to fit into the portal's limits.
fn check(room: &Room, order: &Order) -> Result<(), UserError> {
    let most = room.most(ApiCallPurpose::NewChange);
    match most.filter(|most| i64::from(order.calls_per_item) > *most) {
        None => Ok(()),
        Some(most) => Err(UserError::above_allocation(most, "callsPerItem")),
    }
}

impl Claiming<'_> {
    async fn run(&mut self, order: &Order, room: Room, is_suspended: bool) -> Result<Claim> {
        let change = &self.change;
        self.board.load_batches(change, [AUTOMATIC]).await?;
        let automatic = self.board.batches.entry(AUTOMATIC);
        automatic.or_insert_with(|| resync_batches::Model::automatic(change.hub_id(), change.now));
        return_expired(change, &mut self.board).await?;
        let waiting = self.waiting(order.limit).await?;
        let calls_per_item = i64::from(order.calls_per_item);
        let fits = |purpose| {
            let calls = room.calls(purpose).unwrap_or(i64::MAX);
            usize::try_from(calls / calls_per_item).unwrap_or(usize::MAX)
        };
        let most = order.limit.min(fits(ApiCallPurpose::NewChange));
        self.take_in_turn(&waiting, most).await?;
        let asked_for = self.taken.len();
        let retries = order.limit.min(fits(ApiCallPurpose::Retry));
        if asked_for < retries && !is_suspended {
            self.take(AUTOMATIC, retries - asked_for).await?;
        }
        self.attempts
            .load(
                &self.change,
                self.taken.iter().map(|(item, _)| item.error_id),
            )
            .await?;
        self.board.end(&self.change, &mut self.attempts).await?;
        let mut claim = Claim::default();
        let purpose = match asked_for {
            0 => ApiCallPurpose::Retry,
            _ => ApiCallPurpose::NewChange,
        };
        if self.taken.is_empty() {
            claim.retry_at = self
                .retry_at(&room, &waiting, (calls_per_item, is_suspended))
                .await?;
        } else {
            let calls = count(self.taken.len()).saturating_mul(order.calls_per_item);
            let until = self.lease_expires_at;
            let (id, reservation) = room
                .set_aside(&mut self.change, (calls, purpose), until)
                .await?;
            claim.reservation = Some(reservation);
            claim.works = self.works(id);
        }
        Ok(claim)
    }

    /// The batches that were asked for and have records waiting, the one that was claimed from longest ago first.
    async fn waiting(&mut self, limit: usize) -> Result<Vec<Uuid>> {
        use resync_batches::Column;
        let find = resync_batches::Entity::find()
            .filter(Column::HubId.eq(self.change.hub_id()))
            // Literal, so that SQLite finds its partial index.
            .filter(Expr::cust("waiting_count > 0"))
            .filter(Column::Id.ne(AUTOMATIC))
            .order_by_asc(Column::ClaimedAt)
            .order_by_asc(Column::Id)
            .limit(limit as u64);
        for row in find.all(self.change.transaction()).await? {
            // What was given back just now is counted already.
            self.board.batches.entry(row.id).or_insert(row);
        }
        let waits = |batch: &&resync_batches::Model| {
            batch.id != AUTOMATIC && batch.waiting_count > 0 && batch.status == Stage::Running
        };
        let mut waiting: Vec<_> = self.board.batches.values().filter(waits).collect();
        waiting.sort_unstable_by_key(|batch| (batch.claimed_at, batch.id));
        Ok(waiting.iter().take(limit).map(|batch| batch.id).collect())
    }

    /// Takes the same share from each batch, then what is left from whoever has it.
    async fn take_in_turn(&mut self, batches: &[Uuid], most: usize) -> Result<()> {
        for round in 0..2 {
            for (place, batch_id) in batches.iter().enumerate() {
                let left = most.saturating_sub(self.taken.len());
                if left == 0 {
                    return Ok(());
                }
                let share = match round {
                    0 => left.div_ceil(batches.len() - place),
                    _ => left,
                };
                self.take(*batch_id, share).await?;
            }
        }
        Ok(())
    }

    fn works(&mut self, reservation_id: Uuid) -> Vec<Work> {
        let mut works = Vec::with_capacity(self.taken.len());
        for (mut item, record) in std::mem::take(&mut self.taken) {
            item.reservation_id = Some(reservation_id);
            self.board.items.insert(item.id, item.clone());
            if let Some(error) = self.attempts.facts(item.error_id) {
                works.push(Work {
                    item,
                    record,
                    error,
                });
            }
        }
        works
    }

    /// When calls will be left for what waits; `None` when nothing waits for them.
    async fn retry_at(
        &mut self,
        room: &Room,
        waiting: &[Uuid],
        (calls, is_suspended): (i64, bool),
    ) -> Result<Option<Micros>> {
        let waits = |batch: &resync_batches::Model| batch.waiting_count > 0;
        let asked_for = waiting
            .iter()
            .any(|id| self.board.batches.get(id).is_some_and(waits));
        let automatic = self.board.batches.get(&AUTOMATIC).is_some_and(waits);
        let purpose = match asked_for {
            true => ApiCallPurpose::NewChange,
            false if automatic && !is_suspended => ApiCallPurpose::Retry,
            false => return Ok(None),
        };
        if room.calls(purpose).is_none_or(|left| left >= calls) {
            return Ok(None);
        }
        let at = room.retry_at(&self.change, (calls, purpose)).await?;
        for id in waiting {
            if let Some(batch) = self.board.batches.get_mut(id) {
                batch.waiting_until = Some(at);
            }
        }
        Ok(Some(at))
    }
}

/// An engine listens for the work of these portals: their automatic retries begin, as with a first claim.
pub(super) async fn begin_retries(call: &Call, portals: &Portals) -> Result<()> {
    loop {
        let new = claimable::without_retries(&call.env.db.moving(), portals).await?;
        let scopes = new
            .into_iter()
            .map(|hub_id| call.viewer.scope::<Report>(hub_id));
        let scopes: Vec<_> = scopes.collect::<Result<_>>()?;
        let mut begun = 0;
        for scope in scopes.iter().flatten() {
            let Some(mut change) = Change::begin(&call.env, scope).await? else {
                continue;
            };
            let mut board = Board::default();
            board.load_batches(&change, [AUTOMATIC]).await?;
            let automatic = resync_batches::Model::automatic(scope.hub_id(), change.now);
            board.batches.entry(AUTOMATIC).or_insert(automatic);
            let attempts = Attempts::new(&change);
            board.save(&mut change, &attempts).await?;
            change.commit().await?;
            begun += 1;
        }
        if begun == 0 {
            return Ok(());
        }
    }
}
