//! Views are saved and deleted.

use async_graphql::{Context, ID, InputObject, Object, OneofObject, SimpleObject};
use uuid::Uuid;

use super::{RecordView, SyncErrorFilter};
use crate::classify::System;
use crate::kernel::auth::Manage;
use crate::kernel::call::Call;
use crate::kernel::error::Result;
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::limits;
use crate::kernel::text::one_line;
use crate::kernel::user_error::{UserError, UserErrorCode};
use crate::portals::api::Portal;
use crate::portals::{Change, check_key, scope_of};
use crate::sync_errors::tables::record_views;
use crate::sync_errors::{filter, list, views};

/// A new view.
#[derive(InputObject)]
struct CreateRecordViewInput {
    /// The portal. May be left out when the token names exactly one, or the source is an error.
    hub_id: Option<ID>,
    /// Its name, 1 to 255 characters.
    name: String,
    /// On which side its records are of the object type.
    system: System,
    /// Their object type: HubSpot's contact, company …, 2-N, or Salesforce's API name, compared without case.
    object_type: String,
    /// Whose records.
    source: RecordViewSourceInput,
}

/// Whose records a view shows: exactly one of these.
#[derive(OneofObject)]
#[expect(clippy::large_enum_variant, reason = "one is made for each request")]
enum RecordViewSourceInput {
    /// One error: its global id.
    ErrorId(ID),
    /// All unresolved errors that match.
    Filter(SyncErrorFilter),
}

/// The answer to `createRecordView`.
#[derive(SimpleObject)]
struct CreateRecordViewPayload {
    /// The view; null when something was refused.
    record_view: Option<RecordView>,
    /// What was refused.
    user_errors: Vec<UserError>,
}

/// Which view to delete.
#[derive(InputObject)]
struct DeleteRecordViewInput {
    /// Its global id.
    record_view_id: ID,
}

/// The answer to `deleteRecordView`.
#[derive(SimpleObject)]
struct DeleteRecordViewPayload {
    /// The view that is gone; null when something was refused.
    deleted_record_view_id: Option<ID>,
    /// What was refused.
    user_errors: Vec<UserError>,
}

/// The mutations of views.
#[derive(Default)]
pub struct RecordViewMutations;

#[Object]
impl RecordViewMutations {
    /// Saves a view of affected records; at most 100 a portal. Needs the scope sync-health:manage.
    async fn create_record_view(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it shows.")] input: CreateRecordViewInput,
    ) -> Result<CreateRecordViewPayload> {
        let call = Call::of(ctx)?;
        Ok(match create(call, input).await? {
            Ok(view) => CreateRecordViewPayload {
                record_view: Some(view),
                user_errors: Vec::new(),
            },
            Err(error) => CreateRecordViewPayload {
                record_view: None,
                user_errors: vec![error],
            },
        })
    }

    /// Deletes a saved view; the records stay. Needs the scope sync-health:manage.
    async fn delete_record_view(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] input: DeleteRecordViewInput,
    ) -> Result<DeleteRecordViewPayload> {
        let call = Call::of(ctx)?;
        call.viewer.require::<Manage>()?;
        let is_deleted = match GlobalId::decode(&input.record_view_id) {
            Some(id) if id.kind == Kind::RecordView => delete(call, &id).await?,
            _ => false,
        };
        let user_error = || {
            let message = "No view with this id exists in the portals that the token names.";
            UserError::new(UserErrorCode::NotFound, &["recordViewId"], message)
        };
        Ok(DeleteRecordViewPayload {
            deleted_record_view_id: is_deleted.then_some(input.record_view_id),
            user_errors: (!is_deleted).then(user_error).into_iter().collect(),
        })
    }
}

async fn delete(call: &Call, id: &GlobalId) -> Result<bool> {
    let (Some(key), Some(scope)) = (id.uuid(), call.viewer.scope::<Manage>(id.hub_id)?) else {
        return Ok(false);
    };
    match Change::begin(&call.env, &scope).await? {
        Some(change) => views::delete(change, &scope, key).await,
        None => Ok(false),
    }
}

async fn create(
    call: &Call,
    input: CreateRecordViewInput,
) -> Result<Result<RecordView, UserError>> {
    let refused = |code, path: &[&str], message: &str| Ok(Err(UserError::new(code, path, message)));
    call.viewer.require::<Manage>()?;
    let unknown = || {
        let message = "No sync error with this id exists in the portals that the token names.";
        UserError::new(UserErrorCode::NotFound, &["source", "errorId"], message)
    };
    let error = match &input.source {
        RecordViewSourceInput::Filter(_) => None,
        RecordViewSourceInput::ErrorId(id) => match GlobalId::decode(id) {
            Some(id) if id.kind == Kind::SyncError => Some(id),
            _ => return Ok(Err(unknown())),
        },
    };
    let scope = match &error {
        Some(id) => call.viewer.scope::<Manage>(id.hub_id)?,
        None => scope_of::<Manage>(call, input.hub_id.as_ref())?,
    };
    let Some(scope) = scope else {
        return Ok(Err(
            error.map_or_else(UserError::unknown_portal, |_| unknown())
        ));
    };
    if error.is_some()
        && input
            .hub_id
            .as_ref()
            .is_some_and(|hub_id| hub_id.0 != scope.hub_id().to_string())
    {
        return refused(
            UserErrorCode::Invalid,
            &["hubId"],
            "The error belongs to another portal: leave hubId out.",
        );
    }
    let name = one_line(&input.name);
    for (text, key) in [
        (name.trim(), "name"),
        (input.object_type.trim(), "objectType"),
    ] {
        if let Err(error) = check_key(text, key) {
            return Ok(Err(error));
        }
    }
    let filter = match &input.source {
        RecordViewSourceInput::Filter(filter) => {
            list::matching(&scope, list::UNRESOLVED.to_vec(), filter)?;
            Some(filter::kept(filter)?)
        }
        RecordViewSourceInput::ErrorId(_) => None,
    };
    let error_id = error.and_then(|id| id.uuid());
    if let Some(id) = error_id
        && list::find(call, &scope, id).await?.is_none()
    {
        return Ok(Err(unknown()));
    }
    let Some(change) = Change::begin(&call.env, &scope).await? else {
        return Ok(Err(UserError::unknown_portal()));
    };
    let row = record_views::Model {
        hub_id: scope.hub_id(),
        id: Uuid::now_v7(),
        name: name.trim().to_owned(),
        created_by: scope.subject().to_owned(),
        created_at: change.now,
        system: input.system,
        object_type: input.object_type.trim().to_owned(),
        error_id,
        filter,
    };
    if !views::insert(change, &row).await? {
        let limit = limits::RECORD_VIEWS;
        let message = format!(
            "At most {} {} ({}): delete one first.",
            limit.value, limit.unit, limit.name
        );
        return refused(UserErrorCode::TooMany, &[], &message);
    }
    call.snapshot.renew().await;
    let portal = Portal::load(call, scope.reading()).await?;
    Ok(portal
        .map(|portal| RecordView::new(portal, row))
        .ok_or_else(UserError::unknown_portal))
}
