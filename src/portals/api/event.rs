//! What happened to a portal as a whole.

use std::borrow::Cow;

use async_graphql::{Context, ID, Object, OutputType};
use sea_orm::sea_query::{Expr, ExprTrait, Order, Query};

use super::Portal;
use crate::kernel::auth::{Read, Scope};
use crate::kernel::call::Call;
use crate::kernel::columns::columns;
use crate::kernel::connection::{Connection, wants_total};
use crate::kernel::error::Result;
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::page::{Cursor, Page, TotalCount, size};
use crate::kernel::plain::Plain;
use crate::kernel::progress::Position;
use crate::kernel::scalars::Instant;
use crate::portals::tables::portal_events;
use crate::portals::{self, PortalEventKind};
use crate::sync_errors::history;

/// A page of the feed's entries about the portal as a whole, oldest first.
pub(super) async fn list(
    ctx: &Context<'_>,
    portal: &Portal,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<Connection<PortalEvent>> {
    use portal_events::Column;
    let call = Call::of(ctx)?;
    let after = match after {
        Some(cursor) => {
            let at = (&portal.row.head, cursor);
            Some(history::position(&call.snapshot, &portal.scope, at).await?)
        }
        None => None,
    };
    // The feed has a cursor of its own; the page only needs to know that there was one.
    let started = after.map(|after| Cursor {
        order: 0,
        value: after.sequence,
        id: uuid::Uuid::nil(),
    });
    let page = Page {
        size: size("first", first)?,
        backwards: false,
        after: started,
        before: None,
    };
    let of_portal = Expr::col(Column::HubId).eq(portal.scope.hub_id());
    let mut select = Query::select();
    select
        .columns(columns::<portal_events::Entity>())
        .from(portal_events::Entity)
        .and_where(of_portal.clone());
    let total = match wants_total(&ctx.look_ahead()) {
        true => TotalCount::of(&call.snapshot, select.clone()).await?,
        false => TotalCount::exact(0),
    };
    if let Some(after) = after {
        select.and_where(Expr::col(Column::Sequence).gt(after.sequence));
    }
    select
        .order_by(Column::Sequence, Order::Asc)
        .limit(page.fetch_count());
    let rows: Vec<portal_events::Model> = call.snapshot.all(&select).await?;
    let epoch = portal.row.head.epoch;
    let events = rows.into_iter().map(|row| PortalEvent { epoch, row });
    let cursor = |event: &PortalEvent| event.position().encode();
    Ok(Connection::new(&page, events.collect(), cursor, total))
}

/// An entry of the feed about the portal as a whole.
pub struct PortalEvent {
    epoch: i64,
    row: portal_events::Model,
}

impl PortalEvent {
    /// The event of a global id; `None` when the portal's feed does not hold it.
    pub async fn load(call: &Call, scope: &Scope<Read>, id: &GlobalId) -> Result<Option<Self>> {
        use portal_events::Column;
        let Some(portal) = portals::find(call, scope).await? else {
            return Ok(None);
        };
        let head = &portal.head;
        let Some(at) = Position::of_key(&id.key).filter(|at| at.epoch == head.epoch) else {
            return Ok(None);
        };
        let mut select = Query::select();
        select
            .columns(columns::<portal_events::Entity>())
            .from(portal_events::Entity)
            .and_where(Expr::col(Column::HubId).eq(scope.hub_id()))
            .and_where(Expr::col(Column::Sequence).eq(at.sequence));
        let row: Option<portal_events::Model> = call.snapshot.one(&select).await?;
        let row = row.filter(|row| !at.differs_from(Some(row.digest())));
        let epoch = head.epoch;
        Ok(row.map(|row| Self { epoch, row }))
    }

    fn position(&self) -> Position {
        Position {
            epoch: self.epoch,
            sequence: self.row.sequence,
            digest: Some(self.row.digest()),
        }
    }
}

/// An entry of the feed about the portal as a whole: its API calls, or whether it syncs.
#[Object]
impl PortalEvent {
    /// Global id.
    pub async fn id(&self) -> ID {
        GlobalId::encode(Kind::PortalEvent, self.row.hub_id, &self.position().key())
    }

    /// Its place in the feed: what `after` takes to go on behind it.
    async fn cursor(&self) -> String {
        self.position().encode()
    }

    /// What happened.
    async fn kind(&self) -> PortalEventKind {
        self.row.kind
    }

    /// When it was noticed.
    async fn at(&self) -> Instant {
        Instant(self.row.occurred_at)
    }
}

/// Lists of it are short.
impl Plain for PortalEvent {
    fn name() -> Cow<'static, str> {
        <Self as OutputType>::type_name()
    }
}
