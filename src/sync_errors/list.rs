//! Lists of sync errors: filter, order, keyset, count.

use async_graphql::Context;
use sea_orm::sea_query::{Expr, ExprTrait, Order, Query, SelectStatement};
use sea_orm::{EntityTrait, IdenStatic, IntoSimpleExpr, Iterable};
use uuid::Uuid;

use crate::classify::SyncErrorCategory;
use crate::kernel::auth::{Right, Scope};
use crate::kernel::call::Call;
use crate::kernel::columns::columns;
use crate::kernel::connection::{Connection, wants_total};
use crate::kernel::db::Snapshot;
use crate::kernel::error::Result;
use crate::kernel::keys::Keys;
use crate::kernel::page::{Cursor, Page, TotalCount};
use crate::portals::CategoryCounters;
use crate::portals::api::{OrderDirection, Portal};
use crate::sync_errors::SyncErrorStatus;
use crate::sync_errors::api::{
    ErrorListArguments, SyncError, SyncErrorFilter, SyncErrorOrderField,
};
use crate::sync_errors::search::Search;
use crate::sync_errors::tables::{ByPosition, sync_errors};
use crate::sync_errors::{api, filter, walk};

/// The statuses of a list that names none: what the tab shows.
pub fn default_statuses() -> Option<Vec<SyncErrorStatus>> {
    Some(UNRESOLVED.to_vec())
}

/// A checked request for a list.
pub(super) struct List {
    pub(super) statuses: Vec<SyncErrorStatus>,
    pub(super) filter: SyncErrorFilter,
    /// What of the filter is looked up.
    pub(super) search: Option<Search>,
    pub(super) order: SyncErrorOrderField,
    pub(super) descending: bool,
}

/// Orders of cursors: part of every cursor that was given out.
fn cursor_order(field: SyncErrorOrderField, descending: bool) -> u8 {
    let base = match field {
        SyncErrorOrderField::LastSeenAt => 10,
        SyncErrorOrderField::FirstSeenAt => 12,
        SyncErrorOrderField::AffectedRecordCount => 14,
        SyncErrorOrderField::OccurrenceCount => 16,
    };
    base + u8::from(descending)
}

/// A page of a portal's errors, with what the request wants of their records, in two statements and at most one more
/// for the count; where texts are searched, in up to three more.
pub async fn connection(
    ctx: &Context<'_>,
    portal: &Portal,
    arguments: ErrorListArguments,
) -> Result<Connection<SyncError>> {
    let call = Call::of(ctx)?;
    let order = arguments.order_by.unwrap_or_default();
    let mut filter = arguments.filter.unwrap_or_default();
    filter::check(&filter)?;
    let matches_nothing = restrict_to(&mut filter, arguments.category);
    let list = List {
        statuses: arguments.statuses.unwrap_or_default(),
        order: order.field,
        descending: order.direction == OrderDirection::Desc,
        search: Search::of(call, &portal.scope, &filter).await?,
        filter,
    };
    let cursor_order = cursor_order(list.order, list.descending);
    let page = Page::both_ways(&arguments.page, cursor_order)?;
    let look = ctx.look_ahead();
    let rows = match matches_nothing {
        true => Vec::new(),
        false => walk::read(call, &portal.scope, &list, &page).await?,
    };
    let total = match wants_total(&look) {
        true if matches_nothing => TotalCount::exact(0),
        true => match page.whole(rows.len()) {
            Some(total) => total,
            None => total(call, portal, &list).await?,
        },
        false => TotalCount::exact(0),
    };
    let nodes = rows
        .into_iter()
        .map(|row| SyncError::of_portal(portal, row))
        .collect();
    let order = list.order;
    let cursor = move |error: &SyncError| {
        Cursor {
            order: cursor_order,
            value: value(order, error.row()),
            id: error.row().id,
        }
        .encode()
    };
    let mut connection = Connection::new(&page, nodes, cursor, total);
    let wanted = [look.field("nodes"), look.field("edges").field("node")];
    api::prefetch(call, portal, &wanted, connection.nodes_mut()).await?;
    Ok(connection)
}

/// Narrows the filter to one card; true when nothing can be left.
fn restrict_to(filter: &mut SyncErrorFilter, category: Option<SyncErrorCategory>) -> bool {
    let Some(category) = category else {
        return false;
    };
    let asked = filter.categories.take().unwrap_or_default();
    filter.categories = Some(vec![category]);
    !asked.is_empty() && !asked.contains(&category)
}

fn value(order: SyncErrorOrderField, row: &sync_errors::Model) -> i64 {
    match order {
        SyncErrorOrderField::LastSeenAt => row.last_seen_at,
        SyncErrorOrderField::FirstSeenAt => row.first_seen_at,
        SyncErrorOrderField::AffectedRecordCount => row.affected_record_count.into(),
        SyncErrorOrderField::OccurrenceCount => row.occurrence_count.into(),
    }
}

/// All columns of a table but the text to search in, which nobody is shown and which is as long as the others together.
pub(super) fn shown_columns<E: EntityTrait>(table: &str) -> String {
    let columns = E::Column::iter().map(|column| match column.as_str() {
        "search_text" => "'' AS search_text".to_owned(),
        name => format!("{table}.{name}"),
    });
    columns.collect::<Vec<_>>().join(", ")
}

/// From the counters where they answer; else counted, but not far.
async fn total(call: &Call, portal: &Portal, list: &List) -> Result<TotalCount> {
    if list.filter.is_about_categories_only() {
        let categories = list.filter.categories.as_deref().unwrap_or_default();
        let any = list.statuses.is_empty();
        let wants = |status: SyncErrorStatus| any || list.statuses.contains(&status);
        let count = |card: &CategoryCounters| {
            let resyncing = card.resyncing_error_count;
            let by_status = [
                (SyncErrorStatus::Open, card.open_error_count - resyncing),
                (SyncErrorStatus::Resyncing, resyncing),
                (SyncErrorStatus::Resolved, card.resolved_error_count),
            ];
            let wanted = by_status.iter().filter(|(status, _)| wants(*status));
            wanted.map(|(_, count)| count).sum()
        };
        return Ok(TotalCount::exact(portal.row.sum(categories, count)));
    }
    let matching = match &list.search {
        Some(search) => looked_up(search, &portal.scope, list)?,
        None => filtered(&portal.scope, list)?,
    };
    TotalCount::of(&call.snapshot, matching).await
}

/// The errors of some statuses (none: of any) that match a filter; no column is selected yet.
pub(super) fn matching<R: Right>(
    scope: &Scope<R>,
    statuses: Vec<SyncErrorStatus>,
    filter: &SyncErrorFilter,
) -> Result<SelectStatement> {
    filter::check(filter)?;
    let list = List {
        statuses,
        filter: filter.clone(),
        search: None,
        order: SyncErrorOrderField::FirstSeenAt,
        descending: false,
    };
    filtered(scope, &list)
}

/// The statuses of errors that hold records back.
pub(super) const UNRESOLVED: [SyncErrorStatus; 2] =
    [SyncErrorStatus::Open, SyncErrorStatus::Resyncing];

/// Selected errors by their keys, which stay as they are, behind one of them.
pub(super) async fn in_order(
    snapshot: &Snapshot,
    mut select: SelectStatement,
    (after, count): (Option<Uuid>, u64),
) -> Result<Vec<sync_errors::Model>> {
    if let Some(after) = after {
        select.and_where(Expr::col(sync_errors::Column::Id).gt(after));
    }
    select
        .expr(Expr::cust(shown_columns::<sync_errors::Entity>(
            "sync_errors",
        )))
        .order_by(sync_errors::Column::Id, Order::Asc)
        .limit(count);
    let rows: Vec<ByPosition<_>> = snapshot.all(&select).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// The errors of a portal in some statuses that match a filter; no column is selected yet.
pub(super) fn filtered<R: Right>(scope: &Scope<R>, list: &List) -> Result<SelectStatement> {
    narrowed(of_portal(scope, list), scope, list)
}

/// The same by an index of texts.
pub(super) fn looked_up<R: Right>(
    search: &Search,
    scope: &Scope<R>,
    list: &List,
) -> Result<SelectStatement> {
    let errors = narrowed_to_portal(search.errors(), scope, list);
    narrowed(errors, scope, list)
}

/// The errors of a portal among which those of a list are.
pub(super) fn of_portal<R: Right>(scope: &Scope<R>, list: &List) -> SelectStatement {
    let mut select = Query::select();
    select.from(sync_errors::Entity);
    narrowed_to_portal(select, scope, list)
}

fn narrowed_to_portal<R: Right>(
    mut select: SelectStatement,
    scope: &Scope<R>,
    list: &List,
) -> SelectStatement {
    let of_portal = sync_errors::Column::HubId.into_simple_expr();
    select.and_where(of_portal.eq(scope.hub_id()));
    if !list.statuses.is_empty() && !list.statuses.contains(&SyncErrorStatus::Resolved) {
        // Literal, so that PostgreSQL can prove that the partial indexes hold all of it.
        select.and_where(Expr::cust("status < 2"));
    }
    select
}

fn narrowed<R: Right>(
    mut select: SelectStatement,
    scope: &Scope<R>,
    list: &List,
) -> Result<SelectStatement> {
    let has = |status| list.statuses.contains(&status);
    if has(SyncErrorStatus::Resolved)
        || has(SyncErrorStatus::Open) != has(SyncErrorStatus::Resyncing)
    {
        select
            .and_where(Expr::col(sync_errors::Column::Status).is_in(list.statuses.iter().copied()));
    }
    for condition in filter::conditions(scope, &list.filter)? {
        select.and_where(condition);
    }
    Ok(select)
}

/// One error.
pub async fn find<R: Right>(
    call: &Call,
    scope: &Scope<R>,
    id: Uuid,
) -> Result<Option<sync_errors::Model>> {
    Ok(find_many(call, scope, &[id]).await?.pop())
}

/// Several errors, in any order, in one statement.
pub async fn find_many<R: Right>(
    call: &Call,
    scope: &Scope<R>,
    ids: &[Uuid],
) -> Result<Vec<sync_errors::Model>> {
    find_in(&call.snapshot, scope, ids).await
}

/// The same as of a snapshot.
pub(super) async fn find_in<R: Right>(
    snapshot: &Snapshot,
    scope: &Scope<R>,
    ids: &[Uuid],
) -> Result<Vec<sync_errors::Model>> {
    let mut select = Query::select();
    select
        .columns(columns::<sync_errors::Entity>())
        .from(sync_errors::Entity)
        .and_where(Keys::uuids(ids.iter().copied()).hold_in_portal(
            snapshot.backend(),
            (sync_errors::Column::HubId, scope.hub_id()),
            sync_errors::Column::Id,
        ));
    snapshot.all(&select).await
}
