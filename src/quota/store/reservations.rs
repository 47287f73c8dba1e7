//! The SQL of reservations.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::kernel::bulk;
use crate::kernel::clock::Micros;
use crate::kernel::db::Transaction;
use crate::kernel::error::Result;
use crate::kernel::keys::Keys;
use crate::portals::Change;
use crate::quota::tables::api_reservations;

/// A reservation of the portal.
pub(in crate::quota) async fn find(
    transaction: &Transaction,
    hub_id: i64,
    id: Uuid,
) -> Result<Option<api_reservations::Model>> {
    let find = api_reservations::Entity::find_by_id((hub_id, id));
    Ok(find.one(transaction).await?)
}

/// The reservation that a request made before.
pub(in crate::quota) async fn reserved_before(
    transaction: &Transaction,
    hub_id: i64,
    digest: Uuid,
) -> Result<Option<api_reservations::Model>> {
    let find = api_reservations::Entity::find()
        .filter(api_reservations::Column::HubId.eq(hub_id))
        .filter(api_reservations::Column::IdempotencyDigest.eq(digest));
    Ok(find.one(transaction).await?)
}

/// Makes or settles a reservation.
pub(in crate::quota) async fn write(
    transaction: &Transaction,
    reservation: api_reservations::Model,
) -> Result<()> {
    bulk::upsert::<api_reservations::Entity>(transaction, &[reservation]).await
}

/// Moves the end of reservations that are open, if that is later.
pub(in crate::quota) async fn extend(
    change: &Change,
    ids: &[Uuid],
    expires_at: Micros,
) -> Result<()> {
    let transaction = change.transaction();
    let backend = transaction.get_database_backend();
    let own = (api_reservations::Column::HubId, change.hub_id());
    let keys = Keys::uuids(ids.iter().copied());
    api_reservations::Entity::update_many()
        .col_expr(api_reservations::Column::ExpiresAt, Expr::val(expires_at))
        .filter(keys.hold_in_portal(backend, own, api_reservations::Column::Id))
        .filter(api_reservations::Column::SettledAt.is_null())
        .filter(api_reservations::Column::ExpiresAt.gt(change.now))
        .filter(api_reservations::Column::ExpiresAt.lt(expires_at))
        .exec(transaction)
        .await?;
    Ok(())
}
