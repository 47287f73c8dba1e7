//! Calls stop to count by themselves: somebody has to notice, so that the feed tells that a portal has recovered.
//!
//! Every server looks, and the portal's change lets one of them tell.

use std::time::Duration;

use crate::kernel::auth::Scope;
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::portals::Change;
use crate::quota::change::tell_state;
use crate::quota::store;

/// Looks after portals whose calls are short, for ever.
pub async fn recover(env: &Env) {
    const PAUSE: Duration = Duration::from_secs(5);
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Err(error) = look(env).await {
            // Logged where it is translated; the next look tries again.
            let _ = error.answer();
        }
    }
}

async fn look(env: &Env) -> Result<()> {
    let short = store::short(&env.db.moving()).await?;
    if short.is_empty() {
        return Ok(());
    }
    let facts = store::facts(&env.db.moving(), &short, env.clock.now()).await?;
    let turned = facts
        .iter()
        .filter(|facts| facts.state() != facts.told_state);
    for facts in turned {
        // One that fails does not hold up the others.
        if let Err(error) = tell(env, facts.hub_id).await {
            let _ = error.answer();
        }
    }
    Ok(())
}

async fn tell(env: &Env, hub_id: i64) -> Result<()> {
    let scope = Scope::of_server(hub_id);
    let Some(mut change) = Change::begin(env, &scope).await? else {
        return Ok(());
    };
    let now = change.now;
    let mut facts = store::facts_in(change.transaction(), hub_id, now).await?;
    tell_state(&mut change, &mut facts).await?;
    change.commit().await
}
