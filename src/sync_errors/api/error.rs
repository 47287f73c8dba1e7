//! The row of the tab.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};

use super::details::SyncErrorDetails;
use super::failure::SyncFailure;
use super::record::{AffectedRecord, Links};
use crate::classify::{
    Details, SyncDirection, SyncErrorCategory, SyncErrorType, System, error_title,
};
use crate::kernel::auth::{Read, Report, Scope};
use crate::kernel::call::Call;
use crate::kernel::error::{Error, Result};
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::limits;
use crate::kernel::page::{Connection, Cursor, Page, TotalCount};
use crate::kernel::scalars::Instant;
use crate::portals::api::{Portal, portal_gone};
use crate::portals::{self, Locale, PortalRow};
use crate::sync_errors::records::{self, Prefetched};
use crate::sync_errors::tables::sync_errors;
use crate::sync_errors::{SyncErrorStatus, list};

/// By which authority an error is shown.
enum Access {
    /// A query: all of it.
    Reading(Scope<Read>),
    /// The answer to an engine's own report: the error alone, nothing that leads on from it.
    Answer(Scope<Report>),
}

/// One cause in one portal: all failures with the same signature.
pub struct SyncError {
    access: Access,
    row: Arc<sync_errors::Model>,
    portal: Option<Arc<PortalRow>>,
    pub(in crate::sync_errors) prefetched: Prefetched,
}

impl SyncError {
    /// An error of a portal that was read in the same snapshot.
    pub(in crate::sync_errors) fn of_portal(portal: &Portal, row: sync_errors::Model) -> Self {
        let access = Access::Reading(portal.scope.clone());
        Self {
            access,
            row: Arc::new(row),
            portal: Some(portal.row.clone()),
            prefetched: Prefetched::default(),
        }
    }

    /// The error that an engine's own report led to.
    pub(in crate::sync_errors) fn of_answer(scope: Scope<Report>, row: sync_errors::Model) -> Self {
        Self {
            access: Access::Answer(scope),
            row: Arc::new(row),
            portal: None,
            prefetched: Prefetched::default(),
        }
    }

    /// The error of a global id; `None` when it does not exist.
    pub async fn load(call: &Call, scope: Scope<Read>, id: &GlobalId) -> Result<Option<Self>> {
        let Some(id) = id.uuid() else { return Ok(None) };
        let row = list::find(call, &scope, id).await?;
        let access = Access::Reading(scope);
        Ok(row.map(|row| Self {
            access,
            row: Arc::new(row),
            portal: None,
            prefetched: Prefetched::default(),
        }))
    }

    pub(in crate::sync_errors) fn row(&self) -> &sync_errors::Model {
        &self.row
    }

    /// The authority to read on from here.
    fn reading(&self, call: &Call) -> Result<Scope<Read>> {
        match &self.access {
            Access::Reading(scope) => Ok(scope.clone()),
            Access::Answer(scope) => call.viewer.scope(scope.hub_id())?.ok_or_else(portal_gone),
        }
    }

    async fn portal_row(&self, call: &Call) -> Result<Arc<PortalRow>> {
        if let Some(row) = &self.portal {
            return Ok(row.clone());
        }
        let row = match &self.access {
            Access::Reading(scope) => portals::find(call, scope).await?,
            Access::Answer(scope) => portals::find(call, scope).await?,
        };
        row.ok_or_else(portal_gone)
    }

    /// The same error with what was read ahead.
    pub(super) fn taken(&self) -> Result<Self> {
        let mut error = self.shared()?;
        error.prefetched = self.prefetched.clone();
        Ok(error)
    }

    /// The same error without what was read ahead.
    pub(super) fn shared(&self) -> Result<Self> {
        let Access::Reading(scope) = &self.access else {
            return Err(Error::Internal(
                "an error that is an answer has no records".into(),
            ));
        };
        let access = Access::Reading(scope.clone());
        Ok(Self {
            access,
            row: self.row.clone(),
            portal: self.portal.clone(),
            prefetched: Prefetched::default(),
        })
    }
}

/// One cause in one portal: all failures with the same signature (direction, type, object and what the category adds).
/// The row of the tab.
#[Object]
impl SyncError {
    /// Global id.
    pub async fn id(&self) -> ID {
        error_id(self.row.hub_id, self.row.id)
    }

    /// The portal it belongs to. FORBIDDEN in the answer to a report whose token may not read.
    async fn portal(&self, ctx: &Context<'_>) -> Result<Portal> {
        let call = Call::of(ctx)?;
        let scope = self.reading(call)?;
        Ok(Portal {
            scope,
            row: self.portal_row(call).await?,
        })
    }

    /// The card it is on.
    async fn category(&self) -> SyncErrorCategory {
        self.row.category
    }

    /// The tab's column "Error type": the stable key inside the card.
    #[graphql(name = "type")]
    async fn error_type(&self) -> SyncErrorType {
        self.row.error_type
    }

    /// The type in words, with object and fields filled in where they are known.
    async fn title(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The language; the portal's when left out.")] locale: Option<Locale>,
    ) -> Result<String> {
        let locale = match locale {
            Some(locale) => locale,
            None => self.portal_row(Call::of(ctx)?).await?.portal.locale,
        };
        let row = &self.row;
        let (own, other) = match row.system {
            System::Hubspot => (&row.hubspot_object_type, &row.salesforce_object_type),
            System::Salesforce => (&row.salesforce_object_type, &row.hubspot_object_type),
        };
        let fields = self.stored_details().field_names(row.system);
        Ok(error_title(
            row.error_type,
            locale,
            own.as_deref().or(other.as_deref()),
            &fields,
        ))
    }

    /// Whether it still holds records back.
    async fn status(&self) -> SyncErrorStatus {
        self.row.status
    }

    /// Who refused.
    async fn system(&self) -> System {
        self.row.system
    }

    /// Which way the change was to go.
    async fn direction(&self) -> SyncDirection {
        self.row.direction
    }

    /// HubSpot's object type: contact, company …; custom objects 2-N. Null when not told.
    async fn hubspot_object_type(&self) -> Option<&str> {
        self.row.hubspot_object_type.as_deref()
    }

    /// Salesforce's object type: the API name. Null when not told.
    async fn salesforce_object_type(&self) -> Option<&str> {
        self.row.salesforce_object_type.as_deref()
    }

    /// The provider's code of the latest failure, in upper case; null when it had none.
    async fn code(&self) -> Option<&str> {
        self.row.code.as_deref()
    }

    /// The innermost code of a nested failure (a validation rule inside a flow inside a trigger); null when not nested,
    /// or without code.
    async fn cause_code(&self) -> Option<&str> {
        self.row.cause_code.as_deref()
    }

    /// The innermost text of a nested failure; null when not nested.
    async fn cause_message(&self) -> Option<&str> {
        self.row.cause_message.as_deref()
    }

    /// The text of the latest failure as the provider wrote it; each record has its own. At most 16,000 characters.
    async fn message(&self) -> &str {
        &self.row.message
    }

    /// Whether trying again alone may help.
    async fn transient(&self) -> bool {
        self.row.transient
    }

    /// When a failure was first seen; an older one that is reported later moves it back.
    async fn first_seen_at(&self) -> Instant {
        Instant(self.row.first_seen_at)
    }

    /// When a failure was last seen.
    async fn last_seen_at(&self) -> Instant {
        Instant(self.row.last_seen_at)
    }

    /// When its last record was cleared; null unless RESOLVED.
    async fn resolved_at(&self) -> Option<Instant> {
        self.row.resolved_at.map(Instant)
    }

    /// Number of failures; stops at 2^31-1. Kept when the error is resolved and opens again.
    async fn occurrence_count(&self) -> i32 {
        self.row.occurrence_count
    }

    /// Number of records that do not sync because of it at present.
    async fn affected_record_count(&self) -> i32 {
        self.row.affected_record_count
    }

    /// The records that do not sync because of it, in the order in which they were first reported. FORBIDDEN in the
    /// answer to a report whose token may not read.
    async fn affected_records(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Only entries behind this cursor.")] after: Option<String>,
        #[graphql(
            desc = "A part of name, id or value, compared without case; at most 200 characters."
        )]
        search: Option<String>,
    ) -> Result<Connection<AffectedRecord>> {
        let call = Call::of(ctx)?;
        let scope = self.reading(call)?;
        let page = Page::forwards(first, after.as_deref(), records::BY_ID)?;
        limits::SEARCH_CHARACTERS.check(
            search.as_ref().map_or(0, |text| text.chars().count()),
            "search",
        )?;
        let links = Links::of(&*self.portal_row(call).await?);
        let rows = match &self.prefetched.records {
            Some(rows)
                if search.is_none()
                    && page.after.is_none()
                    && (rows.len() > page.size
                        || rows.len() >= self.prefetched_all(rows.len())) =>
            {
                rows.iter().take(page.size + 1).cloned().collect()
            }
            _ => records::of(call, &scope, self.row.id, search.as_deref(), &page).await?,
        };
        let look = ctx.look_ahead();
        let total = match &search {
            Some(search)
                if look.field("totalCount").exists()
                    || look.field("totalCountPrecision").exists() =>
            {
                records::count(call, &scope, self.row.id, search).await?
            }
            _ => TotalCount::exact(self.row.affected_record_count.into()),
        };
        let wants_error = look.field("nodes").field("syncError").exists()
            || look
                .field("edges")
                .field("node")
                .field("syncError")
                .exists();
        let mut nodes = Vec::with_capacity(rows.len());
        for row in rows {
            let error = if wants_error && matches!(self.access, Access::Reading(_)) {
                Some(self.shared()?)
            } else {
                None
            };
            nodes.push(AffectedRecord::new(
                scope.clone(),
                row,
                links.clone(),
                error,
            ));
        }
        let cursor = |record: &AffectedRecord| {
            Cursor {
                order: records::BY_ID,
                value: 0,
                id: record.row_id(),
            }
            .encode()
        };
        Ok(Connection::new(&page, nodes, cursor, total))
    }

    /// What the signature holds constant for all its records, typed by category; null in OTHER.
    async fn details(&self, ctx: &Context<'_>) -> Result<Option<SyncErrorDetails>> {
        let links = Links::of(&*self.portal_row(Call::of(ctx)?).await?);
        Ok(SyncErrorDetails::new(self.stored_details(), &links))
    }

    /// What varies between its records: up to 10 distinct rejected values, newest first. Each record has its own in
    /// `AffectedRecord.value`.
    async fn sample_values(&self) -> Vec<String> {
        serde_json::from_str(&self.row.sample_values).unwrap_or_default()
    }

    /// Why it is on this card.
    async fn classification(&self) -> Classification {
        Classification {
            rule: self.row.rule.clone(),
            overridden: self.row.overridden,
        }
    }

    /// The latest failure as it was reported: nothing lost.
    async fn latest_failure(&self, ctx: &Context<'_>) -> Result<SyncFailure> {
        let call = Call::of(ctx)?;
        let stored = match (&self.prefetched.latest_failure, &self.access) {
            (Some(stored), _) => Some(stored.clone()),
            (None, Access::Reading(scope)) => records::latest_failures(call, scope, &[self.row.id])
                .await?
                .pop()
                .map(|(_, stored)| stored),
            (None, Access::Answer(scope)) => records::latest_failures(call, scope, &[self.row.id])
                .await?
                .pop()
                .map(|(_, stored)| stored),
        };
        let failure = stored.and_then(|stored| serde_json::from_str(&stored).ok());
        let failure = failure.ok_or_else(|| {
            Error::Internal(format!("error {} has no latest failure", self.row.id))
        })?;
        Ok(SyncFailure::new(
            failure,
            Links::of(&*self.portal_row(call).await?),
        ))
    }
}

impl SyncError {
    fn stored_details(&self) -> Details {
        serde_json::from_str(&self.row.details).unwrap_or(Details::Other)
    }

    /// How many rows are all there are, when fewer were read ahead than the page wants.
    fn prefetched_all(&self, read: usize) -> usize {
        usize::try_from(self.row.affected_record_count).unwrap_or(read)
    }
}

/// The global id of an error.
pub(in crate::sync_errors) fn error_id(hub_id: i64, id: uuid::Uuid) -> ID {
    GlobalId::encode(Kind::SyncError, hub_id, id.as_bytes())
}

/// Why an error is on its card.
#[derive(SimpleObject)]
pub struct Classification {
    /// The rule that decided.
    pub rule: String,
    /// Whether the engine's own category replaced the rule's.
    pub overridden: bool,
}
