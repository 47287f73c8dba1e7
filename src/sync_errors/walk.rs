//! Along a list: its order, its pages, and where the walk ends when a text is looked for.

use sea_orm::sea_query::{Expr, ExprTrait, Order, SelectStatement};
use sea_orm::{FromQueryResult, IdenStatic};
use uuid::Uuid;

use super::list::{self, List, shown_columns};
use super::search::WALKED;
use crate::kernel::auth::{Right, Scope};
use crate::kernel::call::Call;
use crate::kernel::error::Result;
use crate::kernel::page::{Cursor, Page};
use crate::sync_errors::SyncErrorStatus;
use crate::sync_errors::api::SyncErrorOrderField;
use crate::sync_errors::tables::{ByPosition, sync_errors};

/// How the rows of a page are come by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Along an index that has them in their order.
    InOrder,
    /// All that there are, put in order.
    Sorted,
}

/// A page of a list.
pub(super) async fn read<R: Right>(
    call: &Call,
    scope: &Scope<R>,
    list: &List,
    page: &Page,
) -> Result<Vec<sync_errors::Model>> {
    let mut all = list::filtered(scope, list)?;
    let Some(search) = &list.search else {
        return rows(call, all, list, page).await;
    };
    if has_index(list) {
        let Some(end) = end(call, list::of_portal(scope, list), list, page).await? else {
            return rows(call, all, list, page).await;
        };
        all.and_where(end);
        let near = rows(call, all, list, page).await?;
        if near.len() as u64 == page.fetch_count() {
            return Ok(near);
        }
    }
    let mut found = list::looked_up(search, scope, list)?;
    in_order(&mut found, list, page, Way::Sorted);
    fetch(call, found, page).await
}

async fn rows(
    call: &Call,
    mut select: SelectStatement,
    list: &List,
    page: &Page,
) -> Result<Vec<sync_errors::Model>> {
    let way = match list.filter.affecting {
        // A record has few errors.
        Some(_) => Way::Sorted,
        None => Way::InOrder,
    };
    in_order(&mut select, list, page, way);
    fetch(call, select, page).await
}

async fn fetch(
    call: &Call,
    mut select: SelectStatement,
    page: &Page,
) -> Result<Vec<sync_errors::Model>> {
    let columns = shown_columns::<sync_errors::Entity>("sync_errors");
    select.expr(Expr::cust(columns)).limit(page.fetch_count());
    let rows: Vec<ByPosition<_>> = call.snapshot.all(&select).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Whether an index has a list in its order.
fn has_index(list: &List) -> bool {
    let is_open = !list.statuses.is_empty() && !list.statuses.contains(&SyncErrorStatus::Resolved);
    is_open || list.order == SyncErrorOrderField::FirstSeenAt
}

#[derive(FromQueryResult)]
struct End {
    value: i64,
    id: Uuid,
}

/// That an entry does not come behind the last one that is walked to; `None` where the list ends before.
async fn end(
    call: &Call,
    mut select: SelectStatement,
    list: &List,
    page: &Page,
) -> Result<Option<Expr>> {
    in_order(&mut select, list, page, Way::InOrder);
    let value = format!("CAST({} AS BIGINT)", column(list.order).as_str());
    select
        .expr_as(Expr::cust(value), "value")
        .column(sync_errors::Column::Id)
        .limit(1)
        .offset(WALKED);
    let end: Option<End> = call.snapshot.one(&select).await?;
    Ok(end.map(|End { value, id }| {
        let entry = Expr::tuple(key(list, Way::InOrder));
        let end = Expr::tuple([Expr::val(value), Expr::val(id)]);
        match direction(list, page) {
            Order::Asc => entry.lte(end),
            _ => entry.gte(end),
        }
    }))
}

/// The row comparison keeps a page in the middle of a long list as cheap as the first.
fn in_order(select: &mut SelectStatement, list: &List, page: &Page, way: Way) {
    let key = key(list, way);
    let place = |cursor: Cursor| Expr::tuple([Expr::val(cursor.value), Expr::val(cursor.id)]);
    for (cursor, is_after) in [(page.after, true), (page.before, false)] {
        let Some(cursor) = cursor else { continue };
        let tuple = Expr::tuple(key.clone());
        select.and_where(if is_after == list.descending {
            tuple.lt(place(cursor))
        } else {
            tuple.gt(place(cursor))
        });
    }
    for expression in key {
        select.order_by_expr(expression, direction(list, page));
    }
}

/// What a list is ordered by. The sign keeps the database from walking all of the portal in this order to find a few.
fn key(list: &List, way: Way) -> [Expr; 2] {
    let column = column(list.order);
    let ordered = match way {
        Way::Sorted => Expr::cust(format!("+{}", column.as_str())),
        Way::InOrder => Expr::col(column),
    };
    [ordered, Expr::col(sync_errors::Column::Id)]
}

fn direction(list: &List, page: &Page) -> Order {
    match list.descending == page.backwards {
        true => Order::Asc,
        false => Order::Desc,
    }
}

fn column(order: SyncErrorOrderField) -> sync_errors::Column {
    match order {
        SyncErrorOrderField::LastSeenAt => sync_errors::Column::LastSeenAt,
        SyncErrorOrderField::FirstSeenAt => sync_errors::Column::FirstSeenAt,
        SyncErrorOrderField::AffectedRecordCount => sync_errors::Column::AffectedRecordCount,
        SyncErrorOrderField::OccurrenceCount => sync_errors::Column::OccurrenceCount,
    }
}
