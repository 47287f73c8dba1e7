//! The SQL of settings, messages and deliveries.

use sea_orm::sea_query::{Expr, ExprTrait, LockType, Order, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult, QueryFilter,
    QueryResult, QuerySelect, Statement,
};
use uuid::Uuid;

use crate::kernel::auth::{Right, Scope};
use crate::kernel::bulk;
use crate::kernel::clock::Micros;
use crate::kernel::columns::{columns, columns_of, names_of};
use crate::kernel::db::{Snapshot, Transaction};
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::kernel::page::Page;
use crate::notifications::tables::{notification_deliveries, notification_settings, notifications};
use crate::notifications::{DeliveryStatus, NotificationFrequency};
use crate::portals::Head;

/// The settings of a portal; the defaults until it has configured any.
pub(super) async fn settings<R: Right>(
    snapshot: &Snapshot,
    scope: &Scope<R>,
) -> Result<notification_settings::Model> {
    use notification_settings::Column;
    let mut select = Query::select();
    select
        .columns(columns::<notification_settings::Entity>())
        .from(notification_settings::Entity)
        .and_where(Expr::col(Column::HubId).eq(scope.hub_id()));
    let stored = snapshot.one(&select).await?;
    Ok(stored.unwrap_or_else(|| notification_settings::Model::default_of(scope)))
}

/// The settings as a change sees them: nobody else writes them until it ends.
pub(super) async fn locked<R: Right>(
    transaction: &Transaction,
    scope: &Scope<R>,
) -> Result<notification_settings::Model> {
    let mut select = notification_settings::Entity::find_by_id(scope.hub_id());
    if transaction.get_database_backend() == DbBackend::Postgres {
        select = select.lock(LockType::Update);
    }
    let stored = select.one(transaction).await?;
    Ok(stored.unwrap_or_else(|| notification_settings::Model::default_of(scope)))
}

/// A portal whose news may have to be told.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) hub_id: i64,
    /// Of the settings.
    pub(super) version: i64,
    pub(super) frequency: NotificationFrequency,
    /// Where the feed stands.
    pub(super) head: Head,
}

impl FromQueryResult for Candidate {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        Ok(Self {
            hub_id: row.try_get(prefix, "hub_id")?,
            version: row.try_get(prefix, "version")?,
            frequency: row.try_get(prefix, "frequency")?,
            head: Head::from_query_result(row, prefix)?,
        })
    }
}

/// The portals whose feed has grown since news were told at once, whose digest is due, or whose time zone has changed.
pub(super) async fn candidates(snapshot: &Snapshot, now: Micros) -> Result<Vec<Candidate>> {
    let sql = "SELECT s.hub_id, s.version, s.frequency, h.epoch, h.sequence, h.swept_sequence, h.digest, h.digest_sequence FROM notification_settings AS s \
        JOIN feed_heads AS h ON h.hub_id = s.hub_id JOIN portals AS p ON p.hub_id = s.hub_id \
        WHERE s.enabled AND ((s.frequency = 0 AND h.sequence > s.told_sequence) \
        OR (s.frequency > 0 AND (s.due_at <= $1 OR s.due_zone <> p.time_zone)))";
    let statement = Statement::from_sql_and_values(snapshot.backend(), sql, [now.into()]);
    snapshot.all_raw(statement).await
}

/// Writes settings, unless somebody else has written them since they were read.
pub(super) async fn replace(
    transaction: &Transaction,
    mut row: notification_settings::Model,
) -> Result<bool> {
    let read = row.version;
    row.version += 1;
    if read == 0 {
        let conflict = "ON CONFLICT (hub_id) DO NOTHING RETURNING hub_id";
        let inserted: Vec<Key> = bulk::insert_returning::<notification_settings::Entity, _>(
            transaction,
            [&row],
            conflict,
        )
        .await?;
        return Ok(inserted.iter().any(|key| key.hub_id == row.hub_id));
    }
    use notification_settings::Column;
    // Locks the row and compares: a second one waits here and finds another version.
    let taken = notification_settings::Entity::update_many()
        .col_expr(Column::Version, Expr::value(row.version))
        .filter(Column::HubId.eq(row.hub_id))
        .filter(Column::Version.eq(read))
        .exec(transaction)
        .await?;
    if taken.rows_affected == 0 {
        return Ok(false);
    }
    bulk::upsert::<notification_settings::Entity>(transaction, [&row]).await?;
    Ok(true)
}

#[derive(FromQueryResult)]
struct Key {
    hub_id: i64,
}

/// Writes a message and its deliveries.
pub(super) async fn insert(
    transaction: &Transaction,
    message: &notifications::Model,
    deliveries: &[notification_deliveries::Model],
) -> Result<()> {
    bulk::insert::<notifications::Entity>(transaction, [message], "").await?;
    bulk::insert::<notification_deliveries::Entity>(transaction, deliveries, "").await
}

/// A delivery with the message that it brings.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) row: notification_deliveries::Model,
    pub(super) subject: String,
    pub(super) created_at: Micros,
}

impl FromQueryResult for Delivery {
    fn from_query_result(row: &sea_orm::QueryResult, _: &str) -> Result<Self, sea_orm::DbErr> {
        Ok(Self {
            row: notification_deliveries::Model::from_query_result(row, "")?,
            subject: row.try_get("", "subject")?,
            created_at: row.try_get("", "created_at")?,
        })
    }
}

/// The deliveries of a portal in these states; any where none is named. No column is selected yet.
pub(super) fn deliveries<R: Right>(
    scope: &Scope<R>,
    statuses: &[DeliveryStatus],
) -> SelectStatement {
    use notification_deliveries::{Column, Entity};
    let mut select = Query::select();
    select
        .from(Entity)
        .and_where(Expr::col((Entity, Column::HubId)).eq(scope.hub_id()));
    if !statuses.is_empty() {
        let status = Expr::col((Entity, Column::Status));
        select.and_where(status.is_in(statuses.iter().copied()));
    }
    select
}

fn with_messages(select: &mut SelectStatement) {
    use notification_deliveries::{Column, Entity};
    let message = |column| Expr::col((notifications::Entity, column));
    let same = message(notifications::Column::HubId)
        .equals((Entity, Column::HubId))
        .and(message(notifications::Column::Id).equals((Entity, Column::NotificationId)));
    select
        .columns(columns_of::<Entity>())
        .column((notifications::Entity, notifications::Column::Subject))
        .column((notifications::Entity, notifications::Column::CreatedAt))
        .inner_join(notifications::Entity, same);
}

/// A page of deliveries, newest first.
pub(super) async fn deliveries_page(
    snapshot: &Snapshot,
    mut select: SelectStatement,
    page: &Page,
) -> Result<Vec<Delivery>> {
    use notification_deliveries::{Column, Entity};
    let key = || [Column::NotificationId, Column::Number].map(|column| (Entity, column));
    if let Some(cursor) = page.after {
        let number = i32::try_from(cursor.value).unwrap_or(i32::MAX);
        let place = Expr::tuple([Expr::val(cursor.id), Expr::val(number)]);
        select.and_where(Expr::tuple(key().map(Expr::col)).lt(place));
    }
    for column in key() {
        select.order_by(column, Order::Desc);
    }
    with_messages(&mut select);
    select.limit(page.fetch_count());
    snapshot.all(&select).await
}

/// The deliveries of a message; or one of them, by its number.
pub(super) async fn of_message<R: Right>(
    snapshot: &Snapshot,
    scope: &Scope<R>,
    (id, number): (Uuid, Option<i32>),
) -> Result<Vec<Delivery>> {
    use notification_deliveries::{Column, Entity};
    let mut select = deliveries(scope, &[]);
    select.and_where(Expr::col((Entity, Column::NotificationId)).eq(id));
    if let Some(number) = number {
        select.and_where(Expr::col((Entity, Column::Number)).eq(number));
    }
    select.order_by((Entity, Column::Number), Order::Asc);
    with_messages(&mut select);
    snapshot.all(&select).await
}

/// Deliveries that are due, a few of each portal, the portals in turn; none of the portals that have enough under way.
pub(super) async fn due(
    snapshot: &Snapshot,
    now: Micros,
    (most, of_portal, busy): (usize, usize, &[i64]),
) -> Result<Vec<notification_deliveries::Model>> {
    let busy: Vec<String> = busy.iter().map(i64::to_string).collect();
    let others = match busy.is_empty() {
        true => String::new(),
        false => format!("AND d.hub_id NOT IN ({})", busy.join(", ")),
    };
    let columns = names_of::<notification_deliveries::Entity>("due");
    let sql = format!(
        "SELECT {columns} FROM (SELECT d.*, ROW_NUMBER() OVER (PARTITION BY d.hub_id ORDER BY d.next_at) AS place \
         FROM notification_deliveries AS d WHERE d.status = 0 AND d.next_at <= $1 {others} \
         AND EXISTS (SELECT 1 FROM feed_heads AS h WHERE h.hub_id = d.hub_id)) AS due \
         WHERE place <= {of_portal} ORDER BY place, next_at LIMIT {most}"
    );
    let statement = Statement::from_sql_and_values(snapshot.backend(), sql, [now.into()]);
    snapshot.all_raw(statement).await
}

/// Takes a delivery for another attempt, or for none, by this server until an instant, unless another one has it; answers
/// it as it is then.
pub(super) async fn take(
    env: &Env,
    mut row: notification_deliveries::Model,
    (attempts, until): (i32, Micros),
) -> Result<Option<notification_deliveries::Model>> {
    use notification_deliveries::Column;
    let transaction = env.db.begin().await?;
    let taken = notification_deliveries::Entity::update_many()
        .col_expr(Column::NextAt, Expr::value(until))
        .col_expr(
            Column::AttemptCount,
            Expr::value(row.attempt_count + attempts),
        )
        .filter(Column::HubId.eq(row.hub_id))
        .filter(Column::NotificationId.eq(row.notification_id))
        .filter(Column::Number.eq(row.number))
        .filter(Column::Status.eq(DeliveryStatus::Pending))
        .filter(Column::NextAt.eq(row.next_at))
        .exec(&transaction)
        .await?;
    transaction.commit().await?;
    row.next_at = until;
    row.attempt_count += attempts;
    Ok((taken.rows_affected == 1).then_some(row))
}

/// Writes how an attempt ended, where this server still has the delivery, taken until an instant; drops the texts of a
/// message that nobody waits for any more.
pub(super) async fn end(
    env: &Env,
    row: &notification_deliveries::Model,
    taken_until: Micros,
) -> Result<()> {
    use notification_deliveries::Column;
    let transaction = env.db.begin().await?;
    let backend = transaction.get_database_backend();
    let of_message = |sql: &str| {
        let values = [row.hub_id.into(), row.notification_id.into()];
        Statement::from_sql_and_values(backend, sql, values)
    };
    // Of two that end at once the second waits here and sees the first.
    let lock = "UPDATE notifications SET created_at = created_at WHERE hub_id = $1 AND id = $2";
    transaction.execute_raw(of_message(lock)).await?;
    let written = notification_deliveries::Entity::update_many()
        .col_expr(Column::Status, Expr::value(row.status))
        .col_expr(Column::Attempts, Expr::value(row.attempts.as_str()))
        .col_expr(Column::NextAt, Expr::value(row.next_at))
        .col_expr(Column::DeliveredAt, Expr::value(row.delivered_at))
        .col_expr(Column::LastError, Expr::value(row.last_error.as_deref()))
        .filter(Column::HubId.eq(row.hub_id))
        .filter(Column::NotificationId.eq(row.notification_id))
        .filter(Column::Number.eq(row.number))
        .filter(Column::Status.eq(DeliveryStatus::Pending))
        .filter(Column::NextAt.eq(taken_until))
        .exec(&transaction)
        .await?;
    if written.rows_affected == 1 && row.status != DeliveryStatus::Pending {
        let drop = "UPDATE notifications SET mail_text = NULL, mail_html = NULL, webhook_body = NULL \
            WHERE hub_id = $1 AND id = $2 AND NOT EXISTS (SELECT 1 FROM notification_deliveries AS d \
            WHERE d.hub_id = $1 AND d.notification_id = $2 AND d.status = 0)";
        transaction.execute_raw(of_message(drop)).await?;
    }
    transaction.commit().await
}

/// The message of a delivery.
pub(super) async fn message<R: Right>(
    snapshot: &Snapshot,
    scope: &Scope<R>,
    id: Uuid,
) -> Result<Option<notifications::Model>> {
    use notifications::Column;
    let mut select = Query::select();
    select
        .columns(columns::<notifications::Entity>())
        .from(notifications::Entity)
        .and_where(Expr::col(Column::HubId).eq(scope.hub_id()))
        .and_where(Expr::col(Column::Id).eq(id));
    snapshot.one(&select).await
}
