//! The list of the viewer's portals.

use std::sync::Arc;

use sea_orm::FromQueryResult;
use sea_orm::sea_query::{Expr, ExprTrait, LikeExpr, Order, Query, SelectStatement};

use crate::kernel::auth::{Portals, Viewer};
use crate::kernel::call::Call;
use crate::kernel::error::Result;
use crate::kernel::page::{Page, TotalCount};
use crate::kernel::text::like_pattern;
use crate::portals::SyncState;
use crate::portals::store::{PortalRow, ensure, hub_id_of_portal, is_one_of, read};
use crate::portals::tables::{feed_heads, portals};

/// What a list of portals is narrowed and ordered by.
#[derive(Debug)]
pub struct PortalList {
    /// Part of name or Hub ID.
    pub search: Option<String>,
    /// Empty: any.
    pub sync_states: Vec<SyncState>,
    /// By open errors instead of Hub ID.
    pub by_open_errors: bool,
    /// Largest first.
    pub descending: bool,
}

#[derive(FromQueryResult)]
struct Listed {
    hub_id: i64,
    open_error_count: i32,
}

/// A page of the viewer's portals, each with the number of open errors it is ordered by.
pub async fn list(
    call: &Call,
    viewer: &Viewer,
    list: &PortalList,
    page: &Page,
) -> Result<Vec<(i64, Arc<PortalRow>)>> {
    ensure(call, viewer).await?;
    let mut select = listed(call, viewer, list);
    let open = Expr::col((feed_heads::Entity, feed_heads::Column::OpenErrorCount));
    select
        .column((portals::Entity, portals::Column::HubId))
        .column((feed_heads::Entity, feed_heads::Column::OpenErrorCount));
    let key = if list.by_open_errors {
        vec![open.clone(), hub_id_of_portal()]
    } else {
        vec![hub_id_of_portal()]
    };
    if let Some(after) = page.after {
        let hub_id = i64::try_from(after.id.as_u128()).unwrap_or_default();
        let place = if list.by_open_errors {
            vec![Expr::val(after.value), Expr::val(hub_id)]
        } else {
            vec![Expr::val(hub_id)]
        };
        let (key, place) = (Expr::tuple(key.clone()), Expr::tuple(place));
        select.and_where(if list.descending {
            key.lt(place)
        } else {
            key.gt(place)
        });
    }
    let order = if list.descending {
        Order::Desc
    } else {
        Order::Asc
    };
    for expression in key {
        select.order_by_expr(expression, order.clone());
    }
    select.limit(page.fetch_count());
    let listed: Vec<Listed> = call.snapshot.all(&select).await?;
    let hub_ids: Vec<i64> = listed.iter().map(|line| line.hub_id).collect();
    let rows = read(&call.snapshot, &hub_ids).await?;
    let row = |line: &Listed| {
        rows.iter()
            .find(|row| row.portal.hub_id == line.hub_id)
            .cloned()
    };
    Ok(listed
        .iter()
        .filter_map(|line| Some((i64::from(line.open_error_count), row(line)?)))
        .collect())
}

/// How many portals a list has.
pub async fn count(call: &Call, viewer: &Viewer, list: &PortalList) -> Result<TotalCount> {
    TotalCount::of(&call.snapshot, listed(call, viewer, list)).await
}

fn listed(call: &Call, viewer: &Viewer, list: &PortalList) -> SelectStatement {
    let mut select = Query::select();
    select.from(portals::Entity).inner_join(
        feed_heads::Entity,
        hub_id_of_portal().equals((feed_heads::Entity, feed_heads::Column::HubId)),
    );
    if let Portals::Named(hub_ids) = viewer.portals() {
        select.and_where(is_one_of(&call.snapshot, hub_ids));
    }
    if let Some(search) = &list.search {
        select.and_where(
            Expr::col(portals::Column::SearchText)
                .like(LikeExpr::new(like_pattern(search)).escape('\\')),
        );
    }
    if !list.sync_states.is_empty() {
        select.and_where(
            Expr::col(portals::Column::SyncState).is_in(list.sync_states.iter().copied()),
        );
    }
    select
}
