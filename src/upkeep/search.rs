//! The index of texts follows the errors, in small steps: all of a portal's that wait, the others meanwhile.

use std::time::Instant;

use super::erasure::Pace;
use crate::kernel::auth::{Report, Scope};
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::portals::Change;
use crate::sync_errors::search::index;

/// Brings the index up to date where many errors wait.
pub(super) async fn follow(env: &Env) -> Result<()> {
    match index::is_late(&env.db.moving()).await? {
        true => follow_all(env).await,
        false => Ok(()),
    }
}

/// Brings it up to date for all portals, however few wait: what it knows is old where they do.
pub(super) async fn follow_all(env: &Env) -> Result<()> {
    for hub_id in index::waiting(&env.db.moving()).await? {
        // One that fails does not hold up the others.
        if let Err(error) = follow_portal(env, hub_id).await {
            let _ = error.answer();
        }
    }
    Ok(())
}

/// Brings it up to date for one portal.
pub(super) async fn follow_portal(env: &Env, hub_id: i64) -> Result<()> {
    let scope = Scope::<Report>::of_server(hub_id);
    let mut pace = Pace::default();
    loop {
        let Some(change) = Change::begin(env, &scope).await? else {
            // It is being erased, with what the index knows of it.
            return Ok(());
        };
        let start = Instant::now();
        let most = pace.rows();
        let done = index::take(&change, most).await?;
        change.commit().await?;
        if done < most as u64 {
            return Ok(());
        }
        pace.rest(start.elapsed()).await;
    }
}
