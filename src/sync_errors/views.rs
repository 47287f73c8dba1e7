//! Saved views: the records of one object type that are affected now, of one error or of all errors that match a filter.

use sea_orm::sea_query::{
    Alias, Expr, ExprTrait, LikeExpr, Order, Query, SelectStatement, UnionType,
};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter};
use uuid::Uuid;

use crate::classify::{System, canonical_object_type};
use crate::kernel::auth::{Manage, Read, Scope};
use crate::kernel::bulk;
use crate::kernel::columns::columns;
use crate::kernel::db::Snapshot;
use crate::kernel::error::Result;
use crate::kernel::limits;
use crate::kernel::page::{Page, TotalCount};
use crate::kernel::text::like_pattern;
use crate::portals::Change;
use crate::sync_errors::filter;
use crate::sync_errors::list::{self, shown_columns};
use crate::sync_errors::tables::{ByPosition, affected_records, record_views, sync_errors};

/// A place in the records of a view.
pub(super) type Place = (Uuid, Uuid);

/// The views of a portal; no column is selected yet.
pub(super) fn views(scope: &Scope<Read>) -> SelectStatement {
    Query::select()
        .from(record_views::Entity)
        .and_where(Expr::col(record_views::Column::HubId).eq(scope.hub_id()))
        .to_owned()
}

/// A page of views, newest first.
pub(super) async fn page(
    snapshot: &Snapshot,
    scope: &Scope<Read>,
    page: &Page,
) -> Result<Vec<record_views::Model>> {
    let mut select = views(scope);
    if let Some(cursor) = page.after {
        select.and_where(Expr::col(record_views::Column::Id).lt(cursor.id));
    }
    select
        .columns(columns::<record_views::Entity>())
        .order_by(record_views::Column::Id, Order::Desc)
        .limit(page.fetch_count());
    snapshot.all(&select).await
}

/// One view.
pub(super) async fn find(
    snapshot: &Snapshot,
    scope: &Scope<Read>,
    id: Uuid,
) -> Result<Option<record_views::Model>> {
    let mut select = views(scope);
    select
        .columns(columns::<record_views::Entity>())
        .and_where(Expr::col(record_views::Column::Id).eq(id));
    snapshot.one(&select).await
}

/// Saves a view, unless the portal has too many already.
pub(super) async fn insert(change: Change, view: &record_views::Model) -> Result<bool> {
    let count = record_views::Entity::find()
        .filter(record_views::Column::HubId.eq(view.hub_id))
        .count(change.transaction())
        .await?;
    if count >= limits::RECORD_VIEWS.value as u64 {
        return Ok(false);
    }
    bulk::insert::<record_views::Entity>(change.transaction(), [view], "").await?;
    change.commit().await?;
    Ok(true)
}

/// Deletes a view; answers whether there was one.
pub(super) async fn delete(change: Change, scope: &Scope<Manage>, id: Uuid) -> Result<bool> {
    let deleted = record_views::Entity::delete_many()
        .filter(record_views::Column::HubId.eq(scope.hub_id()))
        .filter(record_views::Column::Id.eq(id))
        .exec(change.transaction())
        .await?;
    change.commit().await?;
    Ok(deleted.rows_affected > 0)
}

/// The records of a view; no column is selected yet.
pub(super) fn records(
    scope: &Scope<Read>,
    view: &record_views::Model,
    search: Option<&str>,
) -> Result<SelectStatement> {
    use affected_records::Column;
    let (id, object) = match view.system {
        System::Hubspot => (Column::HubspotRecordId, "hubspot_object_type"),
        System::Salesforce => (Column::SalesforceRecordId, "salesforce_object_type"),
    };
    let object_type = canonical_object_type(view.system, &view.object_type).to_ascii_lowercase();
    let mut select = Query::select();
    select
        .from(affected_records::Entity)
        .and_where(Expr::col(Column::HubId).eq(scope.hub_id()))
        .and_where(Expr::col(Column::ClearedAt).is_null())
        .and_where(Expr::col(id).is_not_null())
        .and_where(Expr::cust(format!("LOWER({object})")).eq(object_type));
    match view.error_id {
        Some(error_id) => {
            select.and_where(Expr::col(Column::ErrorId).eq(error_id));
        }
        None => {
            let mut errors = errors(scope, view)?;
            errors.column(sync_errors::Column::Id);
            select.and_where(Expr::col(Column::ErrorId).in_subquery(errors));
        }
    }
    if let Some(search) = search {
        let pattern = LikeExpr::new(like_pattern(search)).escape('\\');
        select.and_where(Expr::col(Column::SearchText).like(pattern));
    }
    Ok(select)
}

/// The errors whose records a view may show; no column is selected yet.
pub(super) fn errors(scope: &Scope<Read>, view: &record_views::Model) -> Result<SelectStatement> {
    let filter = filter::read(view.filter.as_deref().unwrap_or("{}"))?;
    let mut errors = list::matching(scope, list::UNRESOLVED.to_vec(), &filter)?;
    if let Some(error_id) = view.error_id {
        errors.and_where(Expr::col(sync_errors::Column::Id).eq(error_id));
    }
    Ok(errors)
}

/// Whether a view shows this record of one of its errors: the same as [`records`] says in SQL.
pub(super) fn shows(view: &record_views::Model, record: &affected_records::Model) -> bool {
    let (id, object_type) = match view.system {
        System::Hubspot => (&record.hubspot_record_id, &record.hubspot_object_type),
        System::Salesforce => (&record.salesforce_record_id, &record.salesforce_object_type),
    };
    let wanted = canonical_object_type(view.system, &view.object_type);
    let is_wanted = |told: &String| told.eq_ignore_ascii_case(&wanted);
    id.is_some() && object_type.as_ref().is_some_and(is_wanted)
}

/// A page of the records of a view, by error and in each in the order in which they were first reported.
pub(super) async fn records_page(
    snapshot: &Snapshot,
    mut select: SelectStatement,
    (after, count): (Option<Place>, u64),
) -> Result<Vec<affected_records::Model>> {
    use affected_records::Column;
    let key = [Column::ErrorId, Column::Id];
    if let Some((error_id, id)) = after {
        let place = Expr::tuple([Expr::val(error_id), Expr::val(id)]);
        select.and_where(Expr::tuple(key.map(Expr::col)).gt(place));
    }
    for column in key {
        select.order_by(column, Order::Asc);
    }
    let columns = shown_columns::<affected_records::Entity>("affected_records");
    select.expr(Expr::cust(columns)).limit(count);
    let rows: Vec<ByPosition<_>> = snapshot.all(&select).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

#[derive(FromQueryResult)]
struct Counted {
    place: i32,
    counted: i64,
}

/// How many records each of several views has, in one statement, counted no further than the limit.
pub(super) async fn counts(
    snapshot: &Snapshot,
    scope: &Scope<Read>,
    views: &[record_views::Model],
) -> Result<Vec<TotalCount>> {
    let most = limits::COUNTED_ENTRIES.value as u64;
    let mut all: Option<SelectStatement> = None;
    for (place, view) in (0_i32..).zip(views) {
        let mut rows = records(scope, view, None)?;
        rows.expr(Expr::cust("1")).limit(most);
        let count = Query::select()
            .expr_as(Expr::cust(place.to_string()), Alias::new("place"))
            .expr_as(Expr::cust("COUNT(*)"), Alias::new("counted"))
            .from_subquery(rows, Alias::new("counted_rows"))
            .to_owned();
        match &mut all {
            Some(all) => {
                all.union(UnionType::All, count);
            }
            None => all = Some(count),
        }
    }
    let mut counts = vec![TotalCount::exact(0); views.len()];
    if let Some(all) = all {
        for row in snapshot.all::<Counted>(&all).await? {
            if let Some(count) = usize::try_from(row.place)
                .ok()
                .and_then(|place| counts.get_mut(place))
            {
                *count = TotalCount::exact(row.counted);
            }
        }
    }
    Ok(counts)
}
