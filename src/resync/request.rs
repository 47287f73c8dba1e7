//! Requests: try these errors again, all that match, or stop it.

use async_graphql::ID;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::kernel::auth::{Manage, Scope};
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::kernel::keys::key_of;
use crate::kernel::scalars::count;
use crate::kernel::user_error::{UserError, UserErrorCode};
use crate::portals::Change;
use crate::resync::board::{Board, Part, unfinished};
use crate::resync::reach::{is_resynced, reach_next, take_on};
use crate::resync::tables::{resync_batches, resync_items, resync_results};
use crate::resync::{AUTOMATIC, Settled, Stage};
use crate::sync_errors::SyncErrorStatus;
use crate::sync_errors::api::SyncErrorFilter;
use crate::sync_errors::filter;
use crate::sync_errors::report::attempts::Attempts;
use crate::sync_errors::to_try;

/// What became of the request to try an error's records again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
pub enum ResyncRequestOutcome {
    /// They will be tried again.
    Accepted,
    /// Another batch tries them at present.
    AlreadyResyncing,
    /// No record is left.
    AlreadyResolved,
    /// Nothing of this id exists in the portals that the token names.
    NotFound,
}

/// How a request is to be worked off.
#[derive(Debug, Default)]
pub(super) struct Terms {
    pub(super) records_per_error: Option<i32>,
    pub(super) max_error_count: Option<i32>,
    pub(super) idempotency_key: Option<String>,
}

/// What a request led to.
pub(super) type Requested<T> = Result<T, UserError>;

/// Asks for chosen errors; answers the batch, none where none was accepted, and an outcome for each.
pub(super) async fn chosen(
    env: &Env,
    scope: &Scope<Manage>,
    error_ids: &[Uuid],
    terms: &Terms,
) -> Result<Requested<(Option<Uuid>, Vec<ResyncRequestOutcome>)>> {
    let Some(mut change) = Change::begin(env, scope).await? else {
        return Ok(Ok((
            None,
            vec![ResyncRequestOutcome::NotFound; error_ids.len()],
        )));
    };
    let request = key_of(&format!("{error_ids:?} {:?}", terms.records_per_error));
    let repeated = match repeated(&change, terms, request).await? {
        Ok(repeated) => repeated,
        Err(error) => return Ok(Err(error)),
    };
    let (mut board, mut attempts) = (Board::default(), Attempts::new(&change));
    attempts.load(&change, error_ids.iter().copied()).await?;
    if let Some(batch_id) = repeated {
        board
            .load_results(&change, error_ids.iter().copied(), unfinished())
            .await?;
        let of_batch = resync_results::Column::BatchId.eq(batch_id);
        let of_batch = sea_orm::Condition::all().add(of_batch);
        board
            .load_results(&change, error_ids.iter().copied(), of_batch)
            .await?;
        let outcome = |id: &Uuid| match board.results.contains_key(&(batch_id, *id)) {
            true => ResyncRequestOutcome::Accepted,
            false => outcome(&board, &attempts, *id),
        };
        return Ok(Ok((
            Some(batch_id),
            error_ids.iter().map(outcome).collect(),
        )));
    }
    board
        .load_results(&change, error_ids.iter().copied(), unfinished())
        .await?;
    let outcomes: Vec<_> = error_ids
        .iter()
        .map(|id| outcome(&board, &attempts, *id))
        .collect();
    let mut accepted: Vec<Uuid> = Vec::new();
    for (id, outcome) in error_ids.iter().zip(&outcomes) {
        if *outcome == ResyncRequestOutcome::Accepted && !accepted.contains(id) {
            accepted.push(*id);
        }
    }
    if accepted.is_empty() {
        return Ok(Ok((None, outcomes)));
    }
    let batch = new_batch(&change, scope, terms, request);
    let batch_id = batch.id;
    board.batches.insert(batch_id, batch);
    take_on(&change, (&mut board, &mut attempts), batch_id, &accepted).await?;
    board.end(&change, &mut attempts).await?;
    board.save(&mut change, &attempts).await?;
    change.commit().await?;
    Ok(Ok((Some(batch_id), outcomes)))
}

fn outcome(board: &Board, attempts: &Attempts, error_id: Uuid) -> ResyncRequestOutcome {
    match attempts.facts(error_id) {
        None => ResyncRequestOutcome::NotFound,
        Some(facts) if facts.status == SyncErrorStatus::Resolved => {
            ResyncRequestOutcome::AlreadyResolved
        }
        Some(_) if is_resynced(board, error_id) => ResyncRequestOutcome::AlreadyResyncing,
        Some(_) => ResyncRequestOutcome::Accepted,
    }
}

/// Asks for all OPEN errors that match.
pub(super) async fn matching(
    env: &Env,
    scope: &Scope<Manage>,
    filter: &SyncErrorFilter,
    terms: &Terms,
) -> Result<Requested<Uuid>> {
    // An estimate: counting far needs no lock.
    let (errors, records) =
        to_try::extent(&env.db.moving(), scope, filter, terms.records_per_error).await?;
    let Some(mut change) = Change::begin(env, scope).await? else {
        return Ok(Err(UserError::unknown_portal()));
    };
    let filter_kept = filter::kept(filter)?;
    let request = key_of(&format!("{filter_kept} {:?}", terms.records_per_error));
    match repeated(&change, terms, request).await? {
        Ok(None) => {}
        Ok(Some(batch_id)) => return Ok(Ok(batch_id)),
        Err(error) => return Ok(Err(error)),
    }
    if let Some(most) = terms
        .max_error_count
        .filter(|most| errors > i64::from(*most))
    {
        let message = format!(
            "{errors} errors match, more than maxErrorCount ({most}): narrow the filter, or allow more."
        );
        return Ok(Err(UserError::new(
            UserErrorCode::OutOfRange,
            &["maxErrorCount"],
            message,
        )));
    }
    let mut batch = new_batch(&change, scope, terms, request);
    batch.filter = Some(filter_kept);
    batch.unreached_error_count = count(errors);
    batch.unreached_record_count = count(records);
    batch.error_count = batch.unreached_error_count;
    batch.waiting_count = batch.unreached_record_count;
    let batch_id = batch.id;
    let (mut board, mut attempts) = (Board::default(), Attempts::new(&change));
    board.batches.insert(batch_id, batch);
    reach_next(&change, scope, (&mut board, &mut attempts), batch_id).await?;
    board.end(&change, &mut attempts).await?;
    board.save(&mut change, &attempts).await?;
    change.commit().await?;
    Ok(Ok(batch_id))
}

/// Ends a batch; `None` when it does not exist.
pub(super) async fn cancel(env: &Env, scope: &Scope<Manage>, id: Uuid) -> Result<Option<Uuid>> {
    let Some(mut change) = Change::begin(env, scope).await? else {
        return Ok(None);
    };
    if id == AUTOMATIC {
        return Ok(None);
    }
    let (mut board, mut attempts) = (Board::default(), Attempts::new(&change));
    board.load_batches(&change, [id]).await?;
    let Some(batch) = board.batches.get_mut(&id) else {
        return Ok(None);
    };
    if batch.status != Stage::Running {
        return Ok(Some(id));
    }
    batch.status = Stage::Cancelled;
    batch.filter = None;
    batch.waiting_until = None;
    batch.waiting_count -= batch.unreached_record_count;
    batch.cancelled_count += std::mem::take(&mut batch.unreached_record_count);
    batch.unreached_error_count = 0;
    use resync_results::Column;
    let results = resync_results::Entity::find()
        .filter(Column::HubId.eq(scope.hub_id()))
        .filter(Column::BatchId.eq(id))
        .filter(Column::FinishedAt.is_null());
    board.put_results(results.all(change.transaction()).await?);
    let keys: Vec<_> = board.results.keys().copied().collect();
    for key in keys {
        board.drop_untaken(key, Part::Cancelled);
    }
    use resync_items::Column as Item;
    let waiting = resync_items::Entity::find()
        .filter(Item::HubId.eq(scope.hub_id()))
        .filter(Item::BatchId.eq(id))
        .filter(Item::SettledAt.is_null())
        .filter(Item::LeaseExpiresAt.is_null());
    for item in waiting.all(change.transaction()).await? {
        board.settle(item, (Part::Cancelled, Settled::Cancelled), change.now);
    }
    board.end(&change, &mut attempts).await?;
    board.save(&mut change, &attempts).await?;
    change.commit().await?;
    Ok(Some(id))
}

/// The batch that the same request made before.
async fn repeated(
    change: &Change,
    terms: &Terms,
    request: Uuid,
) -> Result<Result<Option<Uuid>, UserError>> {
    let Some(key) = &terms.idempotency_key else {
        return Ok(Ok(None));
    };
    use resync_batches::Column;
    let find = resync_batches::Entity::find()
        .filter(Column::HubId.eq(change.hub_id()))
        .filter(Column::IdempotencyDigest.eq(key_of(key)));
    Ok(match find.one(change.transaction()).await? {
        None => Ok(None),
        Some(batch) if batch.request_digest == Some(request) => Ok(Some(batch.id)),
        Some(_) => Err(UserError::idempotency_key_reused()),
    })
}

fn new_batch(
    change: &Change,
    scope: &Scope<Manage>,
    terms: &Terms,
    request: Uuid,
) -> resync_batches::Model {
    resync_batches::Model {
        id: Uuid::now_v7(),
        requested_by: scope.subject().to_owned(),
        records_per_error: terms.records_per_error,
        idempotency_digest: terms.idempotency_key.as_deref().map(key_of),
        request_digest: Some(request),
        ..resync_batches::Model::automatic(change.hub_id(), change.now)
    }
}

/// Ids of errors as clients gave them; those that are none are not found.
pub(super) fn given(ids: &[ID]) -> Vec<Option<(i64, Uuid)>> {
    use crate::kernel::global_id::{GlobalId, Kind};
    let decode = |id: &ID| {
        let id = GlobalId::decode(id).filter(|id| id.kind == Kind::SyncError)?;
        Some((id.hub_id, id.uuid()?))
    };
    ids.iter().map(decode).collect()
}
