//! Exports are ordered here, and downloaded at the address that is answered.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use super::SyncErrorFilter;
use crate::kernel::auth::{Read, Scope};
use crate::kernel::call::Call;
use crate::kernel::error::{Error, Result};
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::limits;
use crate::kernel::scalars::{Instant, Url};
use crate::kernel::user_error::{UserError, UserErrorCode};
use crate::portals::{self, Locale, scope_of};
use crate::sync_errors::export::{ExportFormat, Exports, Order, Ordered, Source, file_name};
use crate::sync_errors::{SyncErrorStatus, filter, list, views};

/// What an export holds.
#[derive(InputObject)]
struct ExportSyncErrorsInput {
    /// The portal. May be left out when the token names exactly one.
    hub_id: Option<ID>,
    /// Errors in one of these; [] and null: in any.
    #[graphql(default_with = "list::default_statuses()")]
    statuses: Option<Vec<SyncErrorStatus>>,
    /// Only errors that it holds for; short enough for an address of 6 KiB.
    filter: Option<SyncErrorFilter>,
    /// What kind of file.
    #[graphql(default_with = "ExportFormat::Csv")]
    format: ExportFormat,
    /// The language of headings and texts; the portal's when left out.
    locale: Option<Locale>,
}

/// Which view to export.
#[derive(InputObject)]
struct ExportRecordViewInput {
    /// Its global id.
    record_view_id: ID,
    /// What kind of file.
    #[graphql(default_with = "ExportFormat::Csv")]
    format: ExportFormat,
    /// The language of headings and texts; the portal's when left out.
    locale: Option<Locale>,
}

/// Where an export is.
#[derive(SimpleObject, Default)]
struct Download {
    /// Where the file is: GET it, without a token. It is written while it is downloaded, as things are then. Whoever has
    /// the address can read it. Null when something was refused.
    download_url: Option<Url>,
    /// Until when, as often as it is asked: 10 minutes, at most as long as the token. Null when something was refused.
    expires_at: Option<Instant>,
    /// What the file is called: the portal, and the day there. Null when something was refused.
    file_name: Option<String>,
    /// What was refused.
    user_errors: Vec<UserError>,
}

impl Download {
    fn refused(error: UserError) -> Self {
        Self {
            user_errors: vec![error],
            ..Self::default()
        }
    }
}

/// The answer to `exportSyncErrors`.
#[derive(SimpleObject)]
struct ExportSyncErrorsPayload {
    #[graphql(flatten)]
    download: Download,
}

/// The answer to `exportRecordView`.
#[derive(SimpleObject)]
struct ExportRecordViewPayload {
    #[graphql(flatten)]
    download: Download,
}

/// The mutations of exports.
#[derive(Default)]
pub struct ExportMutations;

#[Object]
impl ExportMutations {
    /// Gives the address of a file with the records of a portal's errors: one row for each error and affected record, and
    /// one for each error without. Needs the scope sync-health:read.
    async fn export_sync_errors(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the file holds.")] input: ExportSyncErrorsInput,
    ) -> Result<ExportSyncErrorsPayload> {
        let call = Call::of(ctx)?;
        call.viewer.require::<Read>()?;
        let download = match scope_of::<Read>(call, input.hub_id.as_ref())? {
            None => Download::refused(UserError::unknown_portal()),
            Some(scope) => {
                let filter = input.filter.unwrap_or_default();
                let statuses = input.statuses.unwrap_or_default();
                list::matching(&scope, statuses.clone(), &filter)?;
                let order = Order {
                    source: Source::Errors(statuses, filter::kept(&filter)?),
                    format: input.format,
                    locale: input.locale,
                };
                ordered(ctx, (scope, order), "filter").await?
            }
        };
        Ok(ExportSyncErrorsPayload { download })
    }

    /// Gives the address of a file with the records that a saved view has when it is downloaded. Needs the scope
    /// sync-health:read.
    async fn export_record_view(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which view.")] input: ExportRecordViewInput,
    ) -> Result<ExportRecordViewPayload> {
        let call = Call::of(ctx)?;
        call.viewer.require::<Read>()?;
        let download = match known_view(call, &input.record_view_id).await? {
            None => {
                let message = "No view with this id exists in the portals that the token names.";
                let path = &["recordViewId"];
                Download::refused(UserError::new(UserErrorCode::NotFound, path, message))
            }
            Some((scope, source)) => {
                let order = Order {
                    source,
                    format: input.format,
                    locale: input.locale,
                };
                ordered(ctx, (scope, order), "recordViewId").await?
            }
        };
        Ok(ExportRecordViewPayload { download })
    }
}

async fn known_view(call: &Call, id: &ID) -> Result<Option<(Scope<Read>, Source)>> {
    let id = GlobalId::decode(id).filter(|id| id.kind == Kind::RecordView);
    let Some((id, key)) = id.and_then(|id| Some((id.hub_id, id.uuid()?))) else {
        return Ok(None);
    };
    let Some(scope) = call.viewer.scope::<Read>(id)? else {
        return Ok(None);
    };
    let view = views::find(&call.snapshot, &scope, key).await?;
    Ok(view.map(|view| (scope, Source::View(view.id))))
}

/// Orders an export; `cause` is the key that makes an address long.
async fn ordered(
    ctx: &Context<'_>,
    (scope, order): (Scope<Read>, Order),
    cause: &str,
) -> Result<Download> {
    let call = Call::of(ctx)?;
    let exports = ctx.data::<Arc<Exports>>();
    let exports = exports.map_err(|_| Error::Internal("a schema without exports".into()))?;
    let Some(portal) = portals::find(call, &scope).await? else {
        return Ok(Download::refused(UserError::unknown_portal()));
    };
    let now = call.env.clock.now();
    let until = Exports::until(&call.viewer, now);
    let file_name = file_name(&portal, order.format, now);
    let ordered = Ordered {
        hub_id: scope.hub_id(),
        order,
        file_name: file_name.clone(),
        until,
    };
    let Some(url) = exports.url(&call.env, &call.viewer, ordered).await? else {
        let limit = limits::EXPORT_TICKET_BYTES;
        let message = format!(
            "The address would have more than {} {} ({}). Filter by less.",
            limit.value, limit.unit, limit.name
        );
        let error = UserError::new(UserErrorCode::TooLong, &[cause], message);
        return Ok(Download::refused(error));
    };
    Ok(Download {
        download_url: Some(Url(url)),
        expires_at: Some(Instant(until)),
        file_name: Some(file_name),
        user_errors: Vec::new(),
    })
}
