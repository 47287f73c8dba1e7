//! `sync-health migrate`.

use sync_health::kernel::database_url;

use super::database::{DatabaseUrl, connect};
use super::terminal::{show, text};

/// Brings the tables up to date.
pub async fn run(database: &DatabaseUrl) -> Result<(), String> {
    let env = connect(database).await?;
    env.db.migrate().await.map_err(text)?;
    env.db.close().await.map_err(text)?;
    let which = database_url::without_password(&database.database_url);
    show(&format!("{which} is up to date\n"));
    Ok(())
}
