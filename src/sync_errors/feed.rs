//! The feed: a portal's events in order. A cursor is (name of the feed, position), independent of filter and kinds.

use async_graphql::Context;
use sea_orm::sea_query::{Expr, ExprTrait, LikeExpr, Order, Query, SelectStatement};

use crate::classify::{System, canonical_object_type};
use crate::kernel::auth::{Read, Right, Scope};
use crate::kernel::call::Call;
use crate::kernel::columns::{columns, columns_of};
use crate::kernel::connection::{Connection, wants_total};
use crate::kernel::db::Snapshot;
use crate::kernel::error::Result;
use crate::kernel::limits;
use crate::kernel::page::{self, Page, TotalCount};
use crate::kernel::text::like_pattern;
use crate::portals::api::Portal;
use crate::sync_errors::SyncErrorEventKind;
use crate::sync_errors::api::{SyncError, SyncErrorEvent, SyncErrorEventFilter};
use crate::sync_errors::tables::{sync_error_events, sync_errors};
use crate::sync_errors::{api, history, list};

/// The arguments of `Portal.syncErrorEvents`.
pub struct Arguments {
    /// How many.
    pub first: Option<i32>,
    /// Behind which position.
    pub after: Option<String>,
    /// Of which kinds.
    pub kinds: Option<Vec<SyncErrorEventKind>>,
    /// Of which errors.
    pub filter: Option<SyncErrorEventFilter>,
}

/// A page of the feed, with the errors where the request wants them.
pub async fn connection(
    ctx: &Context<'_>,
    portal: &Portal,
    arguments: Arguments,
) -> Result<Connection<SyncErrorEvent>> {
    let call = Call::of(ctx)?;
    let size = page::size("first", arguments.first)?;
    let after = match arguments.after.as_deref() {
        Some(cursor) => {
            let at = (&portal.row.head, cursor);
            let position = history::position(&call.snapshot, &portal.scope, at).await?;
            Some(position.sequence)
        }
        None => None,
    };
    let kinds = arguments.kinds.unwrap_or_default();
    let filter = arguments.filter.unwrap_or_default();
    check(&filter)?;
    // The feed has a cursor of its own; the page only needs to know that there was one.
    let started = after.map(|sequence| page::Cursor {
        order: 0,
        value: sequence,
        id: uuid::Uuid::nil(),
    });
    let page = Page {
        size,
        backwards: false,
        after: started,
        before: None,
    };
    let mut select = selected(&portal.scope, &kinds, &filter);
    select.columns(columns_of::<sync_error_events::Entity>());
    if let Some(sequence) = after {
        select.and_where(
            Expr::col((
                sync_error_events::Entity,
                sync_error_events::Column::Sequence,
            ))
            .gt(sequence),
        );
    }
    select
        .order_by(
            (
                sync_error_events::Entity,
                sync_error_events::Column::Sequence,
            ),
            Order::Asc,
        )
        .limit(page.fetch_count());
    let rows: Vec<sync_error_events::Model> = call.snapshot.all(&select).await?;
    let look = ctx.look_ahead();
    let total = if wants_total(&look) {
        count(call, &portal.scope, &kinds, &filter).await?
    } else {
        TotalCount::exact(0)
    };
    let epoch = portal.row.head.epoch;
    let mut events: Vec<_> = rows
        .into_iter()
        .map(|row| SyncErrorEvent {
            epoch,
            row,
            error: None,
        })
        .collect();
    let wanted = [
        look.field("nodes").field("syncError"),
        look.field("edges").field("node").field("syncError"),
    ];
    if wanted.iter().any(|selection| selection.exists()) {
        attach_errors(call, portal, &wanted, &mut events[..]).await?;
    }
    Ok(Connection::new(
        &page,
        events,
        |event| event.position().encode(),
        total,
    ))
}

async fn attach_errors(
    call: &Call,
    portal: &Portal,
    wanted: &[async_graphql::Lookahead<'_>],
    events: &mut [SyncErrorEvent],
) -> Result<()> {
    let mut ids: Vec<_> = events.iter().map(|event| event.row.error_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let rows = list::find_many(call, &portal.scope, &ids).await?;
    for event in events.iter_mut() {
        let row = rows
            .iter()
            .find(|row| row.id == event.row.error_id)
            .cloned();
        event.error = row.map(|row| SyncError::of_portal(portal, row));
    }
    api::prefetch(
        call,
        portal,
        wanted,
        events.iter_mut().filter_map(|event| event.error.as_mut()),
    )
    .await
}

/// Refuses lists above their limit.
pub(super) fn check(filter: &SyncErrorEventFilter) -> Result<()> {
    let lists = [
        (
            "filter.hubspotObjectTypes",
            filter.hubspot_object_types.as_ref(),
        ),
        (
            "filter.salesforceObjectTypes",
            filter.salesforce_object_types.as_ref(),
        ),
        ("filter.fields", filter.fields.as_ref()),
    ];
    lists
        .into_iter()
        .try_for_each(|(name, list)| check_names(name, list.map_or(&[], Vec::as_slice)))
}

/// Refuses a list that is too long, and names in it that nothing has.
pub(super) fn check_names(what: &str, names: &[String]) -> Result<()> {
    limits::FILTER_VALUES.check(names.len(), what)?;
    let longest = names.iter().map(|name| name.chars().count()).max();
    limits::NAME_CHARACTERS.check(longest.unwrap_or_default(), what)
}

fn selected(
    scope: &Scope<Read>,
    kinds: &[SyncErrorEventKind],
    filter: &SyncErrorEventFilter,
) -> SelectStatement {
    use sync_error_events::Column;
    let event = |column: Column| Expr::col((sync_error_events::Entity, column));
    let mut select = Query::select();
    select
        .from(sync_error_events::Entity)
        .and_where(event(Column::HubId).eq(scope.hub_id()));
    if !kinds.is_empty() {
        select.and_where(event(Column::Kind).is_in(kinds.iter().copied()));
    }
    let conditions = conditions(filter);
    if !conditions.is_empty() {
        let error = |column: sync_errors::Column| Expr::col((sync_errors::Entity, column));
        let same = error(sync_errors::Column::HubId)
            .eq(event(Column::HubId))
            .and(error(sync_errors::Column::Id).eq(event(Column::ErrorId)));
        select.inner_join(sync_errors::Entity, same);
        for condition in conditions {
            select.and_where(condition);
        }
    }
    select
}

/// Facts that never change for an error, so that live and replay agree.
pub(super) fn conditions(filter: &SyncErrorEventFilter) -> Vec<Expr> {
    use sync_errors::Column;
    let error = |column: Column| Expr::col((sync_errors::Entity, column));
    let mut all = Vec::new();
    if let Some(categories) = some(&filter.categories) {
        all.push(match categories {
            [one] => error(Column::Category).eq(*one),
            many => error(Column::Category).is_in(many.iter().copied()),
        });
    }
    if let Some(types) = some(&filter.types) {
        all.push(error(Column::ErrorType).is_in(types.iter().copied()));
    }
    if let Some(systems) = some(&filter.systems) {
        all.push(error(Column::System).is_in(systems.iter().copied()));
    }
    if let Some(directions) = some(&filter.directions) {
        all.push(error(Column::Direction).is_in(directions.iter().copied()));
    }
    if let Some(names) = some(&filter.hubspot_object_types) {
        all.push(object_type_is_in(System::Hubspot, names));
    }
    if let Some(names) = some(&filter.salesforce_object_types) {
        all.push(object_type_is_in(System::Salesforce, names));
    }
    if let Some(fields) = some(&filter.fields) {
        all.push(has_any_field(fields));
    }
    all
}

/// `[]` and null mean any.
pub(super) fn some<T>(list: &Option<Vec<T>>) -> Option<&[T]> {
    list.as_deref().filter(|list| !list.is_empty())
}

/// API names are compared without case.
fn object_type_is_in(system: System, names: &[String]) -> Expr {
    let column = match system {
        System::Hubspot => Expr::cust("LOWER(hubspot_object_type)"),
        System::Salesforce => Expr::cust("LOWER(salesforce_object_type)"),
    };
    column.is_in(
        names
            .iter()
            .map(|name| canonical_object_type(system, name).to_ascii_lowercase()),
    )
}

/// One of the fields that the signature holds constant.
fn has_any_field(fields: &[String]) -> Expr {
    let has = |field: &String| {
        let pattern = like_pattern(&format!("|{}|", field.trim()));
        Expr::col((sync_errors::Entity, sync_errors::Column::Fields))
            .like(LikeExpr::new(pattern).escape('\\'))
    };
    fields
        .iter()
        .map(has)
        .reduce(|a, b| a.or(b))
        .unwrap_or_else(|| Expr::val(true))
}

async fn count(
    call: &Call,
    scope: &Scope<Read>,
    kinds: &[SyncErrorEventKind],
    filter: &SyncErrorEventFilter,
) -> Result<TotalCount> {
    TotalCount::of(&call.snapshot, selected(scope, kinds, filter)).await
}

/// One event of the feed.
pub(super) async fn find<R: Right>(
    snapshot: &Snapshot,
    scope: &Scope<R>,
    sequence: i64,
) -> Result<Option<sync_error_events::Model>> {
    use sync_error_events::Column;
    let mut select = Query::select();
    select
        .columns(columns::<sync_error_events::Entity>())
        .from(sync_error_events::Entity)
        .and_where(Expr::col(Column::HubId).eq(scope.hub_id()))
        .and_where(Expr::col(Column::Sequence).eq(sequence));
    snapshot.one(&select).await
}
