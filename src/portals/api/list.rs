//! The list of portals.

use async_graphql::{Context, Enum, InputObject, Lookahead};

use super::Portal;
use crate::kernel::auth::Read;
use crate::kernel::call::Call;
use crate::kernel::connection::{Connection, wants_total};
use crate::kernel::error::Result;
use crate::kernel::limits;
use crate::kernel::page::{Cursor, Page, TotalCount};
use crate::portals::SyncState;
use crate::portals::list::{self, PortalList};
use crate::quota::api::Quota;

/// Orders of cursors: part of every cursor that was given out.
const BY_OPEN_ERRORS: u8 = 2;
const BY_HUB_ID: u8 = 3;

/// What portals are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum PortalOrderField {
    /// The number of open errors of all cards, then the Hub ID.
    OpenErrors,
    /// The Hub ID, as a number.
    HubId,
}

/// Which way a list goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum OrderDirection {
    /// Smallest or oldest first.
    Asc,
    /// Largest or newest first.
    Desc,
}

/// The order of a list of portals.
#[derive(Debug, InputObject)]
pub struct PortalOrder {
    /// What it goes by.
    pub field: PortalOrderField,
    /// Which way it goes.
    #[graphql(default_with = "OrderDirection::Desc")]
    pub direction: OrderDirection,
}

impl Default for PortalOrder {
    fn default() -> Self {
        Self {
            field: PortalOrderField::OpenErrors,
            direction: OrderDirection::Desc,
        }
    }
}

/// The arguments of `Query.portals`.
pub struct PortalListArguments {
    /// How many.
    pub first: Option<i32>,
    /// Behind which.
    pub after: Option<String>,
    /// Part of name or Hub ID.
    pub search: Option<String>,
    /// Only in these states.
    pub sync_states: Option<Vec<SyncState>>,
    /// In which order.
    pub order_by: Option<PortalOrder>,
}

/// A page of the viewer's portals.
pub async fn list_portals(
    ctx: &Context<'_>,
    arguments: PortalListArguments,
) -> Result<Connection<Portal>> {
    let call = Call::of(ctx)?;
    call.viewer.require::<Read>()?;
    let order = arguments.order_by.unwrap_or_default();
    let by_open_errors = order.field == PortalOrderField::OpenErrors;
    let kind = if by_open_errors {
        BY_OPEN_ERRORS
    } else {
        BY_HUB_ID
    };
    let page = Page::forwards(arguments.first, arguments.after.as_deref(), kind)?;
    if let Some(search) = &arguments.search {
        limits::SEARCH_CHARACTERS.check(search.chars().count(), "search")?;
    }
    let wanted = PortalList {
        search: arguments.search,
        sync_states: arguments.sync_states.unwrap_or_default(),
        by_open_errors,
        descending: order.direction == OrderDirection::Desc,
    };
    let mut nodes = Vec::new();
    for (open, row) in list::list(call, &call.viewer, &wanted, &page).await? {
        if let Some(scope) = call.viewer.scope::<Read>(row.portal.hub_id)? {
            nodes.push((open, Portal::of(scope, row)));
        }
    }
    let look = ctx.look_ahead();
    let quota =
        [look.field("nodes"), look.field("edges").field("node")].map(|node| node.field("quota"));
    if quota.iter().any(Lookahead::exists) {
        let portals = nodes.iter().map(|(_, portal)| portal);
        let portals =
            portals.map(|portal| (portal.scope.hub_id(), portal.row.portal.time_zone.as_str()));
        let portals: Vec<_> = portals.collect();
        let quotas = Quota::load_all(call, &portals, &quota).await?;
        for ((_, portal), quota) in nodes.iter_mut().zip(quotas) {
            portal.quota = Some(quota);
        }
    }
    let total = if wants_total(&look) {
        list::count(call, &call.viewer, &wanted).await?
    } else {
        TotalCount::exact(0)
    };
    let cursors: Vec<_> = nodes
        .iter()
        .map(|(open, portal)| (portal.scope.hub_id(), *open))
        .collect();
    let cursor = move |portal: &Portal| {
        let hub_id = portal.scope.hub_id();
        let value = cursors
            .iter()
            .find(|(id, _)| *id == hub_id)
            .map_or(0, |(_, open)| *open);
        Cursor {
            order: kind,
            value,
            id: uuid::Uuid::from_u128(hub_id.unsigned_abs().into()),
        }
        .encode()
    };
    Ok(Connection::new(
        &page,
        nodes.into_iter().map(|(_, portal)| portal).collect(),
        cursor,
        total,
    ))
}
