//! Every feed gets another name: what follows has another history than what clients hold cursors of.

use sea_orm::{ConnectionTrait, DbBackend};

use crate::kernel::db::Db;
use crate::kernel::error::Result;

/// Names the feeds of all portals anew; answers how many there are.
pub async fn name_feeds_anew(db: &Db) -> Result<u64> {
    let transaction = db.begin().await?;
    let count = name_feeds(&transaction).await?;
    transaction.commit().await?;
    Ok(count)
}

/// The same on a connection that nobody else has.
pub async fn name_feeds<C: ConnectionTrait>(connection: &C) -> Result<u64> {
    // A number of 63 bits by chance, another one for each row.
    let epoch = match connection.get_database_backend() {
        DbBackend::Postgres => {
            "FLOOR(RANDOM() * 9007199254740992)::bigint * 1024 + FLOOR(RANDOM() * 1024)::bigint"
        }
        _ => "RANDOM() & 9223372036854775807",
    };
    let sql = format!("UPDATE feed_heads SET epoch = {epoch}");
    Ok(connection.execute_unprepared(&sql).await?.rows_affected())
}
