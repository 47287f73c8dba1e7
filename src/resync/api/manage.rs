//! What operators ask for.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use super::ResyncBatch;
use crate::kernel::auth::{Manage, Scope};
use crate::kernel::call::Call;
use crate::kernel::error::Result;
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::limits;
use crate::kernel::user_error::{UserError, UserErrorCode};
use crate::portals::{check_key, scope_of};
use crate::resync::request::{self, ResyncRequestOutcome, Terms};
use crate::sync_errors::api::{SyncError, SyncErrorFilter};

/// Errors to try again.
#[derive(InputObject)]
pub struct ResyncSyncErrorsInput {
    /// 1 to 100 global ids of errors of one portal.
    error_ids: Vec<ID>,
    /// At most so many records of each error: 1 tries a fix on one record first. All when left out.
    records_per_error: Option<i32>,
    /// A name of this request, at most 255 characters: sent again, it gets the same batch.
    idempotency_key: Option<String>,
}

/// The answer to `resyncSyncErrors`.
#[derive(SimpleObject, Default)]
pub struct ResyncSyncErrorsPayload {
    /// The batch of the accepted errors; null when none was.
    batch: Option<ResyncBatch>,
    /// One for each error, in the order of the input; empty when the request was refused as a whole.
    results: Vec<ResyncRequestResult>,
    /// What was refused; `elementIndex` is the position in `errorIds`.
    user_errors: Vec<UserError>,
}

/// What became of the request for one error.
#[derive(SimpleObject)]
pub struct ResyncRequestResult {
    /// The id as given.
    error_id: ID,
    /// What became of it.
    outcome: ResyncRequestOutcome,
    /// The error after this request; null when not found.
    sync_error: Option<SyncError>,
}

/// Errors to try again, by what holds for them.
#[derive(InputObject)]
pub struct ResyncMatchingSyncErrorsInput {
    /// The portal. May be left out when the token names exactly one.
    hub_id: Option<ID>,
    /// Which of the OPEN errors: {} for all.
    filter: SyncErrorFilter,
    /// At most so many records of each error. All when left out.
    records_per_error: Option<i32>,
    /// Refused when more errors match than this.
    max_error_count: Option<i32>,
    /// A name of this request, at most 255 characters: sent again, it gets the same batch.
    idempotency_key: Option<String>,
}

/// The answer to `resyncMatchingSyncErrors`.
#[derive(SimpleObject)]
pub struct ResyncMatchingSyncErrorsPayload {
    /// The batch, COMPLETED at once when nothing matches; null when the request was refused.
    batch: Option<ResyncBatch>,
    /// What was refused.
    user_errors: Vec<UserError>,
}

/// A batch to end.
#[derive(InputObject)]
pub struct CancelResyncBatchInput {
    /// Its global id.
    batch_id: ID,
}

/// The answer to `cancelResyncBatch`.
#[derive(SimpleObject)]
pub struct CancelResyncBatchPayload {
    /// The batch as it is now; null when it was not found.
    batch: Option<ResyncBatch>,
    /// What was refused.
    user_errors: Vec<UserError>,
}

/// The mutations of operators.
#[derive(Default)]
pub struct ResyncMutations;

#[Object]
impl ResyncMutations {
    /// Asks for all records of up to 100 errors to be tried again, within the allocation. Each error answers for itself.
    /// More than 100: RESYNC_LIMIT_EXCEEDED. Needs the scope sync-health:manage.
    async fn resync_sync_errors(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which errors.")] input: ResyncSyncErrorsInput,
    ) -> Result<ResyncSyncErrorsPayload> {
        let call = Call::of(ctx)?;
        call.viewer.require::<Manage>()?;
        let ResyncSyncErrorsInput {
            error_ids,
            records_per_error,
            idempotency_key,
        } = input;
        let terms = Terms {
            records_per_error,
            max_error_count: None,
            idempotency_key,
        };
        let refused = |error| {
            Ok(ResyncSyncErrorsPayload {
                user_errors: vec![error],
                ..Default::default()
            })
        };
        if let Err(error) = check_ids(&error_ids).and_then(|()| check(&terms)) {
            return refused(error);
        }
        match chosen(call, error_ids, &terms).await? {
            Ok(payload) => Ok(payload),
            Err(error) => refused(error),
        }
    }

    /// Asks for the records of all OPEN errors that match a filter to be tried again, whatever their number: they are
    /// worked off 100 errors at a time. Needs the scope sync-health:manage.
    async fn resync_matching_sync_errors(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which errors.")] input: ResyncMatchingSyncErrorsInput,
    ) -> Result<ResyncMatchingSyncErrorsPayload> {
        let call = Call::of(ctx)?;
        let refused = |error| {
            let user_errors = vec![error];
            Ok(ResyncMatchingSyncErrorsPayload {
                batch: None,
                user_errors,
            })
        };
        let Some(scope) = scope_of::<Manage>(call, input.hub_id.as_ref())? else {
            return refused(UserError::unknown_portal());
        };
        let terms = Terms {
            records_per_error: input.records_per_error,
            max_error_count: input.max_error_count,
            idempotency_key: input.idempotency_key,
        };
        if let Err(error) = check(&terms) {
            return refused(error);
        }
        match request::matching(&call.env, &scope, &input.filter, &terms).await? {
            Err(error) => refused(error),
            Ok(batch_id) => {
                call.snapshot.renew().await;
                Ok(ResyncMatchingSyncErrorsPayload {
                    batch: ResyncBatch::read(call, &scope.reading(), batch_id).await?,
                    user_errors: Vec::new(),
                })
            }
        }
    }

    /// Ends a batch: what waits is not tried any more, what an engine has claimed may still be answered. A batch that has
    /// ended stays as it is. Needs the scope sync-health:manage.
    async fn cancel_resync_batch(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which batch.")] input: CancelResyncBatchInput,
    ) -> Result<CancelResyncBatchPayload> {
        let call = Call::of(ctx)?;
        call.viewer.require::<Manage>()?;
        let id = GlobalId::decode(&input.batch_id).filter(|id| id.kind == Kind::ResyncBatch);
        let mut batch = None;
        if let Some((hub_id, id)) = id.and_then(|id| Some((id.hub_id, id.uuid()?)))
            && let Some(scope) = call.viewer.scope::<Manage>(hub_id)?
            && request::cancel(&call.env, &scope, id).await?.is_some()
        {
            call.snapshot.renew().await;
            batch = ResyncBatch::read(call, &scope.reading(), id).await?;
        }
        let user_errors = match batch {
            Some(_) => Vec::new(),
            None => {
                let message =
                    "No resync batch with this id exists in the portals that the token names.";
                vec![UserError::new(
                    UserErrorCode::NotFound,
                    &["batchId"],
                    message,
                )]
            }
        };
        Ok(CancelResyncBatchPayload { batch, user_errors })
    }
}

/// Asks for errors of one portal. Ids that are none, and those of portals that the token does not name, are not found.
async fn chosen(
    call: &Call,
    error_ids: Vec<ID>,
    terms: &Terms,
) -> Result<Result<ResyncSyncErrorsPayload, UserError>> {
    let mut scope: Option<Scope<Manage>> = None;
    let mut keys = Vec::with_capacity(error_ids.len());
    for (index, given) in request::given(&error_ids).into_iter().enumerate() {
        let Some((hub_id, id)) = given else {
            keys.push(None);
            continue;
        };
        match (&scope, call.viewer.scope::<Manage>(hub_id)?) {
            (Some(first), Some(own)) if own.hub_id() != first.hub_id() => {
                let message = "The errors of one request belong to one portal: send the others in a request of their own.";
                let error = UserError::new(UserErrorCode::Invalid, &[], message);
                return Ok(Err(error.in_element("errorIds", index)));
            }
            (_, Some(own)) => {
                keys.push(Some(id));
                scope.get_or_insert(own);
            }
            (_, None) => keys.push(None),
        }
    }
    let mut payload = ResyncSyncErrorsPayload::default();
    let known: Vec<_> = keys.iter().flatten().copied().collect();
    let mut outcomes = Vec::new();
    let mut errors = std::collections::HashMap::new();
    if let Some(scope) = &scope {
        let (batch_id, told) = match request::chosen(&call.env, scope, &known, terms).await? {
            Ok(told) => told,
            Err(error) => return Ok(Err(error)),
        };
        outcomes = told;
        call.snapshot.renew().await;
        let reading = scope.reading();
        errors = SyncError::many(call, &reading, &known, &[]).await?;
        if let Some(batch_id) = batch_id {
            payload.batch = ResyncBatch::read(call, &reading, batch_id).await?;
        }
    }
    let mut outcomes = outcomes.into_iter();
    for (error_id, key) in error_ids.into_iter().zip(keys) {
        let outcome = key.and_then(|_| outcomes.next());
        let error = key.and_then(|key| errors.get(&key));
        payload.results.push(ResyncRequestResult {
            error_id,
            outcome: outcome.unwrap_or(ResyncRequestOutcome::NotFound),
            sync_error: error.map(SyncError::taken),
        });
    }
    Ok(Ok(payload))
}

fn check_ids(ids: &[ID]) -> Result<(), UserError> {
    let limit = limits::RESYNC_ERRORS;
    if ids.is_empty() {
        let message = "errorIds is empty: name at least one error.";
        return Err(UserError::new(
            UserErrorCode::TooMany,
            &["errorIds"],
            message,
        ));
    }
    if ids.len() <= limit.value {
        return Ok(());
    }
    let message = format!(
        "At most {} errors at once ({}). For more: resyncMatchingSyncErrors, import the records from Salesforce again, \
        or update a mapped property of them.",
        limit.value, limit.name
    );
    let code = UserErrorCode::ResyncLimitExceeded;
    Err(UserError::new(code, &["errorIds"], message))
}

fn check(terms: &Terms) -> Result<(), UserError> {
    let counts = [
        ("recordsPerError", terms.records_per_error),
        ("maxErrorCount", terms.max_error_count),
    ];
    for (key, count) in counts {
        if count.is_some_and(|count| count < 1) {
            let message = "At least 1. Leave it out for any number.";
            return Err(UserError::new(UserErrorCode::OutOfRange, &[key], message));
        }
    }
    match terms.idempotency_key.as_deref() {
        Some(key) => check_key(key, "idempotencyKey"),
        None => Ok(()),
    }
}
