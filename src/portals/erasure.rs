//! Portals that are being erased: from the first step of an erasure nothing of them is shown, and nobody makes them anew
//! before the last.
//!
//! The first step takes a portal's row and the head of its feed, without which a portal does not exist: whoever reads
//! what belongs to one looks for these first, or asks for them in the same statement ([`is_there`]). That an erasure goes
//! on is a row of its own, which only making the portal anew has to look for.

use std::ops::Range;

use sea_orm::sea_query::{Expr, ExprTrait, IntoColumnRef, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, StatementBuilder,
};

use crate::kernel::bulk;
use crate::kernel::clock::Micros;
use crate::kernel::db::{Snapshot, Transaction};
use crate::kernel::error::{Error, Result};
use crate::kernel::keys::Keys;
use crate::portals::Change;
use crate::portals::tables::{erasures, feed_heads};

#[derive(FromQueryResult)]
struct HubId {
    hub_id: i64,
}

/// In SQL: the portal of this column exists.
pub fn is_there(hub_id: impl IntoColumnRef) -> Expr {
    let own = (feed_heads::Entity, feed_heads::Column::HubId);
    let head = Query::select()
        .expr(Expr::cust("1"))
        .from(feed_heads::Entity)
        .and_where(Expr::col(own).eq(Expr::col(hub_id)))
        .to_owned();
    Expr::exists(head)
}

/// Those of these portals that are being erased.
pub async fn among(snapshot: &Snapshot, hub_ids: &[i64]) -> Result<Vec<i64>> {
    let mut select = select();
    let keys = Keys::numbers(hub_ids.iter().copied());
    select.and_where(keys.hold(snapshot.backend(), erasures::Column::HubId));
    let found: Vec<HubId> = snapshot.all(&select).await?;
    Ok(found.into_iter().map(|row| row.hub_id).collect())
}

/// Portals whose erasure nobody goes on with: its last step was made outside of this span, by whatever clock.
pub async fn abandoned(snapshot: &Snapshot, span: Range<Micros>) -> Result<Vec<i64>> {
    let stepped_at = || Expr::col(erasures::Column::SteppedAt);
    let mut select = select();
    select.and_where(stepped_at().lt(span.start).or(stepped_at().gte(span.end)));
    let found: Vec<HubId> = snapshot.all(&select).await?;
    Ok(found.into_iter().map(|row| row.hub_id).collect())
}

/// All portals that are being erased.
pub async fn all(snapshot: &Snapshot) -> Result<Vec<i64>> {
    let found: Vec<HubId> = snapshot.all(&select()).await?;
    Ok(found.into_iter().map(|row| row.hub_id).collect())
}

fn select() -> SelectStatement {
    Query::select()
        .column(erasures::Column::HubId)
        .from(erasures::Entity)
        .to_owned()
}

/// UNAVAILABLE while one of these portals is being erased.
pub(super) async fn refuse(transaction: &Transaction, hub_ids: &[i64]) -> Result<()> {
    let backend = transaction.get_database_backend();
    let mut select = select();
    let keys = Keys::numbers(hub_ids.iter().copied());
    select.and_where(keys.hold(backend, erasures::Column::HubId));
    let found = transaction
        .query_one_raw(StatementBuilder::build(&select, &backend))
        .await?;
    let Some(found) = found else { return Ok(()) };
    let HubId { hub_id } = HubId::from_query_result(&found, "")?;
    Err(Error::Unavailable(format!(
        "Portal {hub_id} is being erased. It begins anew, empty, when that is done: try again later."
    )))
}

/// Notes in a change that the portal is being erased.
pub async fn begin(change: &Change) -> Result<()> {
    let row = erasures::Model {
        hub_id: change.hub_id(),
        begun_at: change.now,
        stepped_at: change.now,
    };
    bulk::upsert::<erasures::Entity>(change.transaction(), [&row]).await
}

/// Notes that somebody goes on; answers whether it still has to.
pub async fn step(transaction: &Transaction, hub_id: i64, now: Micros) -> Result<bool> {
    let moved = erasures::Entity::update_many()
        .col_expr(erasures::Column::SteppedAt, Expr::value(now))
        .filter(erasures::Column::HubId.eq(hub_id))
        .exec(transaction)
        .await?;
    Ok(moved.rows_affected > 0)
}

/// Ends an erasure: from now on the portal may begin anew.
pub async fn end(transaction: &Transaction, hub_id: i64) -> Result<()> {
    erasures::Entity::delete_by_id(hub_id)
        .exec(transaction)
        .await?;
    Ok(())
}
