//! Entries of the feed with the errors that they are about, read together.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, Order, Query};
use uuid::Uuid;

use crate::classify::{System, canonical_object_type};
use crate::kernel::auth::{Read, Scope};
use crate::kernel::columns::columns;
use crate::kernel::db::Snapshot;
use crate::kernel::error::Result;
use crate::kernel::text::fold;
use crate::portals::erasure::is_there;
use crate::sync_errors::SyncErrorEventKind;
use crate::sync_errors::api::SyncErrorEventFilter;
use crate::sync_errors::feed::some;
use crate::sync_errors::list;
use crate::sync_errors::tables::{sync_error_events, sync_errors};

/// An entry, and its error as of when the entry was read: never older than the entry.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) row: sync_error_events::Model,
    /// Absent when it does not exist any more.
    pub(super) error: Option<sync_errors::Model>,
}

/// The next entries about errors behind a sequence, up to another, oldest first.
pub(super) async fn entries(
    snapshot: &Snapshot,
    scope: &Scope<Read>,
    (after, until): (i64, i64),
    most: u64,
) -> Result<Vec<Entry>> {
    use sync_error_events::Column;
    let mut select = Query::select();
    select
        .columns(columns::<sync_error_events::Entity>())
        .from(sync_error_events::Entity)
        .and_where(Expr::col(Column::HubId).eq(scope.hub_id()))
        .and_where(Expr::col(Column::Sequence).gt(after))
        .and_where(Expr::col(Column::Sequence).lte(until))
        .and_where(is_there((sync_error_events::Entity, Column::HubId)))
        .order_by(Column::Sequence, Order::Asc)
        .limit(most);
    let rows: Vec<sync_error_events::Model> = snapshot.all(&select).await?;
    let mut ids: Vec<Uuid> = rows.iter().map(|row| row.error_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let errors = list::find_in(snapshot, scope, &ids).await?;
    let errors: HashMap<Uuid, sync_errors::Model> =
        errors.into_iter().map(|row| (row.id, row)).collect();
    let entry = |row: sync_error_events::Model| Entry {
        error: errors.get(&row.error_id).cloned(),
        row,
    };
    Ok(rows.into_iter().map(entry).collect())
}

impl Entry {
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
