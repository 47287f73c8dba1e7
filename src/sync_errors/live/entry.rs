//! Entries of the feed with the errors that they are about, read together.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, Order, Query};
use uuid::Uuid;

use crate::classify::{System, canonical_object_type};
use crate::kernel::auth::{Read, Scope};
use crate::kernel::columns::columns;
use crate::kernel::db::Snapshot;
use crate::kernel::error::Result;
use crate::kernel::progress::Position;
use crate::kernel::text::fold;
use crate::portals::{self, erasure::is_there};
use crate::sync_errors::SyncErrorEventKind;
use crate::sync_errors::api::SyncErrorEventFilter;
use crate::sync_errors::feed::some;
use crate::sync_errors::list;
use crate::sync_errors::tables::{sync_error_events, sync_errors};

/// An entry, and its error as of when the entry was read: never older than the entry.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) row: sync_error_events::Model,
    pub(super) digest: i64,
    /// Absent when it does not exist any more.
    pub(super) error: Option<sync_errors::Model>,
}

/// A part of a feed, as its head was read.
pub(super) struct Part {
    pub(super) after: Position,
    pub(super) until: i64,
    pub(super) swept: i64,
}

/// The next entries about errors, oldest first; `None` when another entry than that of the position lies before them.
pub(super) async fn entries(
    snapshot: &Snapshot,
    scope: &Scope<Read>,
    part: &Part,
    most: u64,
) -> Result<Option<Vec<Entry>>> {
    use sync_error_events::Column;
    let mut select = Query::select();
    select
        .columns(columns::<sync_error_events::Entity>())
        .from(sync_error_events::Entity)
        .and_where(Expr::col(Column::HubId).eq(scope.hub_id()))
        .and_where(Expr::col(Column::Sequence).gte(part.after.sequence))
        .and_where(Expr::col(Column::Sequence).lte(part.until))
        .and_where(is_there((sync_error_events::Entity, Column::HubId)))
        .order_by(Column::Sequence, Order::Asc)
        .limit(most + 1);
    let mut rows: Vec<sync_error_events::Model> = snapshot.all(&select).await?;
    let is_before = |row: &sync_error_events::Model| row.sequence == part.after.sequence;
    let before = rows.first().is_some_and(is_before).then(|| rows.remove(0));
    if !part.follows(snapshot, scope, before).await? {
        return Ok(None);
    }
    rows.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    let mut ids: Vec<Uuid> = rows.iter().map(|row| row.error_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let errors = list::find_in(snapshot, scope, &ids).await?;
    let errors: HashMap<Uuid, sync_errors::Model> =
        errors.into_iter().map(|row| (row.id, row)).collect();
    let entry = |row: sync_error_events::Model| Entry {
        error: errors.get(&row.error_id).cloned(),
        digest: row.digest(),
        row,
    };
    Ok(Some(rows.into_iter().map(entry).collect()))
}

impl Part {
    /// Whether it is of the position's history, by the entry about an error that stands there, if it is one.
    async fn follows(
        &self,
        snapshot: &Snapshot,
        scope: &Scope<Read>,
        before: Option<sync_error_events::Model>,
    ) -> Result<bool> {
        if self.after.sequence <= self.swept || self.after.digest.is_none() {
            return Ok(self.after.sequence >= self.swept);
        }
        let stored = match before {
            Some(event) => Some(event.digest()),
            None => portals::event_digest(snapshot, scope, self.after.sequence).await?,
        };
        Ok(stored == self.after.digest)
    }
}

impl Entry {
    pub(super) fn position(&self, epoch: i64) -> Position {
        Position {
            epoch,
            sequence: self.row.sequence,
            digest: Some(self.digest),
        }
    }

    /// Whether a subscriber wants it: the same as [`crate::sync_errors::feed::conditions`] says in SQL.
    pub(super) fn matches(
        &self,
        kinds: &[SyncErrorEventKind],
        filter: &SyncErrorEventFilter,
    ) -> bool {
        if !kinds.is_empty() && !kinds.contains(&self.row.kind) {
            return false;
        }
        match &self.error {
            Some(error) => is_about(error, filter),
            // Nothing is known of it any more: it is told only to who wants all.
            None => is_empty(filter),
        }
    }
}

fn is_empty(filter: &SyncErrorEventFilter) -> bool {
    some(&filter.categories).is_none()
        && some(&filter.types).is_none()
        && some(&filter.systems).is_none()
        && some(&filter.directions).is_none()
        && some(&filter.hubspot_object_types).is_none()
        && some(&filter.salesforce_object_types).is_none()
        && some(&filter.fields).is_none()
}

fn is_about(error: &sync_errors::Model, filter: &SyncErrorEventFilter) -> bool {
    fn holds<T: PartialEq>(list: &Option<Vec<T>>, value: &T) -> bool {
        some(list).is_none_or(|list| list.contains(value))
    }
    holds(&filter.categories, &error.category)
        && holds(&filter.types, &error.error_type)
        && holds(&filter.systems, &error.system)
        && holds(&filter.directions, &error.direction)
        && is_object(
            System::Hubspot,
            &filter.hubspot_object_types,
            &error.hubspot_object_type,
        )
        && is_object(
            System::Salesforce,
            &filter.salesforce_object_types,
            &error.salesforce_object_type,
        )
        && has_any_field(&filter.fields, &error.fields)
}

fn is_object(system: System, wanted: &Option<Vec<String>>, told: &Option<String>) -> bool {
    let Some(wanted) = some(wanted) else {
        return true;
    };
    let is_told = |name: &String| {
        let name = canonical_object_type(system, name);
        told.as_ref()
            .is_some_and(|told| told.eq_ignore_ascii_case(&name))
    };
    wanted.iter().any(is_told)
}

fn has_any_field(wanted: &Option<Vec<String>>, fields: &str) -> bool {
    let Some(wanted) = some(wanted) else {
        return true;
    };
    let mut wanted = wanted
        .iter()
        .map(|name| fold(&format!("|{}|", name.trim())));
    wanted.any(|name| fields.contains(&name))
}
