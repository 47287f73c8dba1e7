//! `sync-health doctor`.

use sync_health::upkeep;

use super::database::{DatabaseUrl, connect, open_existing, refuse_missing};
use super::terminal::{show, text};

/// Checks the storage and recounts; what does not add up is told, and ends the command with an error.
pub async fn run(database: &DatabaseUrl) -> Result<(), String> {
    refuse_missing(database)?;
    // Before anything else is asked of a database that may be damaged.
    let env = connect(database).await?;
    let damage = upkeep::examine_storage(&env.db).await.map_err(text)?;
    if let Some(why) = damage.unchecked {
        eprintln!("{why}");
    }
    let mut findings = damage.found;
    let count = findings.len();
    findings.iter_mut().for_each(|finding| finding.push('\n'));
    show(&findings.concat());
    if count > 0 {
        return Err(format!(
            "the storage is damaged: {count} findings; restore a copy"
        ));
    }
    env.db.close().await.map_err(text)?;
    let env = open_existing(database).await?;
    let findings = upkeep::examine(&env.db).await.map_err(text)?;
    env.db.close().await.map_err(text)?;
    for finding in &findings {
        let upkeep::Finding {
            what,
            hub_id,
            count,
        } = finding;
        show(&format!("portal {hub_id}: {what} ({count})\n"));
    }
    match findings.len() {
        0 => {
            show("everything adds up\n");
            Ok(())
        }
        count => Err(format!("{count} findings")),
    }
}
