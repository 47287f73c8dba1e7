//! The row of the tab: by which authority it is shown, and what is at hand of it. Its fields are in [`fields`].

mod fields;

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, ID, Lookahead, SimpleObject};
use uuid::Uuid;

use super::record::{AffectedRecord, Links};
use crate::classify::{Details, System, error_title};
use crate::kernel::auth::{Read, Report, Scope};
use crate::kernel::call::Call;
use crate::kernel::connection::Connection;
use crate::kernel::error::Result;
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::page::{Cursor, Page, TotalCount};
use crate::portals::api::{Portal, portal_gone};
use crate::portals::{self, Locale, PortalRow};
use crate::resync::api::OfErrors;
use crate::sync_errors::list;
use crate::sync_errors::records::{self, Prefetched};
use crate::sync_errors::report::{CheckedFailure, as_told};
use crate::sync_errors::tables::{affected_records, sync_errors};

/// By which authority an error is shown.
#[derive(Clone)]
enum Access {
    /// By one that may read: all of it.
    Reading(Scope<Read>),
    /// The answer to the report of an engine that may not: what it is and its counts. Whoever may only report could
    /// otherwise read what others told by telling the same cause once more.
    Answer(Scope<Report>),
}

impl Access {
    /// To whom an answer to a report is shown.
    fn to_answer(call: &Call, scope: &Scope<Report>) -> Self {
        match call.viewer.scope::<Read>(scope.hub_id()) {
            Ok(Some(reading)) => Self::Reading(reading),
            _ => Self::Answer(scope.clone()),
        }
    }
}

/// One cause in one portal: all failures with the same signature.
pub struct SyncError {
    access: Access,
    row: Arc<sync_errors::Model>,
    portal: Option<Arc<PortalRow>>,
    pub(in crate::sync_errors) prefetched: Prefetched,
    /// What was read ahead of its resyncs, with those of other errors.
    resyncs: Option<Arc<OfErrors>>,
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
            resyncs: None,
        }
    }

    /// The error that an engine's own report led to, and what that report said.
    pub(in crate::sync_errors) fn of_report(
        call: &Call,
        scope: &Scope<Report>,
        (row, told): (sync_errors::Model, &CheckedFailure),
    ) -> Self {
        let access = Access::to_answer(call, scope);
        let row = match access {
            Access::Reading(_) => row,
            Access::Answer(_) => as_told(row, told),
        };
        Self::of_answer(access, row)
    }

    fn of_answer(access: Access, row: sync_errors::Model) -> Self {
        Self {
            access,
            row: Arc::new(row),
            portal: None,
            prefetched: Prefetched::default(),
            resyncs: None,
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
            resyncs: None,
        }))
    }

    /// Errors by their keys, with what the selections want of them.
    pub async fn many(
        call: &Call,
        scope: &Scope<Read>,
        ids: &[Uuid],
        wanted: &[Lookahead<'_>],
    ) -> Result<HashMap<Uuid, Self>> {
        let Some(row) = portals::find(call, scope).await? else {
            return Ok(HashMap::new());
        };
        let portal = Portal::of(scope.clone(), row);
        let rows = list::find_many(call, scope, ids).await?;
        let errors = rows.into_iter().map(|row| Self::of_portal(&portal, row));
        let mut errors: Vec<Self> = errors.collect();
        prefetch(call, &portal, wanted, errors.iter_mut()).await?;
        Ok(errors
            .into_iter()
            .map(|error| (error.row.id, error))
            .collect())
    }

    /// Errors by their keys, as an engine's own call led to them.
    pub async fn answers(
        call: &Call,
        scope: &Scope<Report>,
        ids: &[Uuid],
    ) -> Result<HashMap<Uuid, Self>> {
        let rows = list::find_many(call, scope, ids).await?;
        let access = Access::to_answer(call, scope);
        let answer = |row: sync_errors::Model| (row.id, Self::of_answer(access.clone(), row));
        Ok(rows.into_iter().map(answer).collect())
    }

    pub(in crate::sync_errors) fn row(&self) -> &sync_errors::Model {
        &self.row
    }

    /// The authority to read on from here, and what others have told.
    fn reading(&self, call: &Call) -> Result<Scope<Read>> {
        match &self.access {
            Access::Reading(scope) => Ok(scope.clone()),
            Access::Answer(scope) => call.viewer.scope(scope.hub_id())?.ok_or_else(portal_gone),
        }
    }

    /// The row with what others have told of it.
    fn readable(&self, ctx: &Context<'_>) -> Result<&sync_errors::Model> {
        self.reading(Call::of(ctx)?)?;
        Ok(&self.row)
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
    pub fn taken(&self) -> Self {
        Self {
            prefetched: self.prefetched.clone(),
            resyncs: self.resyncs.clone(),
            ..self.again()
        }
    }

    /// The same error without what was read ahead.
    pub fn again(&self) -> Self {
        Self {
            access: self.access.clone(),
            row: self.row.clone(),
            portal: self.portal.clone(),
            prefetched: Prefetched::default(),
            resyncs: None,
        }
    }
}

/// Reads for all errors of a page what the request selects below them.
pub(in crate::sync_errors) async fn prefetch<'a>(
    call: &Call,
    portal: &Portal,
    wanted: &[Lookahead<'_>],
    errors: impl Iterator<Item = &'a mut SyncError>,
) -> Result<()> {
    let mut errors: Vec<&mut SyncError> = errors.collect();
    let ids: Vec<Uuid> = errors.iter().map(|error| error.row.id).collect();
    if let Some(resyncs) = OfErrors::read(call, portal, &ids, wanted).await? {
        let resyncs = Arc::new(resyncs);
        for error in &mut errors {
            error.resyncs = Some(resyncs.clone());
        }
    }
    records::prefetch(call, &portal.scope, wanted, errors.into_iter()).await
}

impl SyncError {
    fn stored_details(&self) -> Details {
        serde_json::from_str(&self.row.details).unwrap_or(Details::Other)
    }

    /// The first records, up to one more than a page has, where they were read ahead.
    fn read_ahead(&self, size: usize) -> Option<Vec<Arc<affected_records::Model>>> {
        let rows = self.prefetched.records.as_ref()?;
        let all = usize::try_from(self.row.affected_record_count).unwrap_or(rows.len());
        // Fewer rows than the page wants will do when they are all there are.
        let is_enough = rows.len() > size || rows.len() >= all;
        is_enough.then(|| rows.iter().take(size + 1).cloned().collect())
    }

    pub(super) fn global_id(&self) -> ID {
        error_id(self.row.hub_id, self.row.id)
    }

    pub(super) fn samples(&self) -> Vec<String> {
        serde_json::from_str(&self.row.sample_values).unwrap_or_default()
    }

    fn total(&self) -> TotalCount {
        TotalCount::exact(self.row.affected_record_count.into())
    }

    /// The first records without waiting: where they were read ahead, with the portal, by a query.
    pub(super) fn known_records(&self, first: Option<i32>) -> Option<Connection<AffectedRecord>> {
        let Access::Reading(scope) = &self.access else {
            return None;
        };
        let page = Page::forwards(first, None, records::BY_ID).ok()?;
        let links = Arc::new(Links::of(self.portal.as_ref()?));
        let rows = self.read_ahead(page.size)?.into_iter();
        let nodes = rows.map(|row| AffectedRecord::new(scope.clone(), row, links.clone(), None));
        let nodes = nodes.collect();
        Some(Connection::new(&page, nodes, record_cursor, self.total()))
    }

    /// The title without waiting, where the portal is at hand.
    pub(super) fn known_title(&self, locale: Option<Locale>) -> Option<String> {
        let of_portal = || self.portal.as_ref().map(|portal| portal.portal.locale);
        Some(self.title_in(locale.or_else(of_portal)?))
    }

    fn title_in(&self, locale: Locale) -> String {
        title_of(&self.row, locale)
    }
}

/// The type of an error in words, with object and fields.
pub(in crate::sync_errors) fn title_of(row: &sync_errors::Model, locale: Locale) -> String {
    let (own, other) = match row.system {
        System::Hubspot => (&row.hubspot_object_type, &row.salesforce_object_type),
        System::Salesforce => (&row.salesforce_object_type, &row.hubspot_object_type),
    };
    let details: Details = serde_json::from_str(&row.details).unwrap_or(Details::Other);
    let fields = details.field_names(row.system);
    error_title(
        row.error_type,
        locale,
        own.as_deref().or(other.as_deref()),
        &fields,
    )
}

fn record_cursor(record: &AffectedRecord) -> String {
    let cursor = Cursor {
        order: records::BY_ID,
        value: 0,
        id: record.row_id(),
    };
    cursor.encode()
}

/// The global id of an error.
pub fn error_id(hub_id: i64, id: uuid::Uuid) -> ID {
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
