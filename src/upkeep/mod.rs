//! What keeps a database in order: what is kept for a while only is swept ([`sweep`]), a portal or a
//! record is forgotten ([`forget`], [`forget_record`]), a doctor recounts ([`examine`]) and looks through the
//! storage ([`examine_storage`]).
//!
//! These are the only places that know the tables of all domains. Sweeping works in small steps, each in a transaction of
//! its own, and reads what is due outside of it, so that writers wait for a moment only; any number of servers may do so
//! at once. Whoever erases waits longer between two steps than a step takes.

mod doctor;
mod erasure;
mod feed;
mod feeds;
mod record;
mod retention;
mod search;
mod statistics;
mod storage;

use std::time::Duration;

pub use doctor::{Finding, examine};
pub use erasure::{Removed, count, forget};
pub use feeds::{name_feeds, name_feeds_anew};
pub use record::{count_record, forget_record};
pub use storage::{Damage, examine_storage};

use crate::kernel::clock::{MINUTE, Micros};
use crate::kernel::config::RetentionConfig;
use crate::kernel::env::Env;
use crate::kernel::error::Result;

/// The time between two rounds through all portals.
const ROUND: Micros = 60 * MINUTE;
/// The time between two looks for erasures that somebody has begun and not ended.
const LOOK: Micros = MINUTE;

/// Sweeps all portals, for ever.
pub async fn sweep(env: &Env, config: &RetentionConfig) {
    const PAUSE: Duration = Duration::from_secs(1);
    let mut next_at = env.clock.now() + ROUND;
    let mut look_at = env.clock.now() + LOOK;
    loop {
        tokio::time::sleep(PAUSE).await;
        let now = env.clock.now();
        if now >= look_at {
            if let Err(error) = erasure::go_on(env).await {
                // Logged where it is translated; the next look tries again.
                let _ = error.answer();
            }
            look_at = now + LOOK;
        }
        if now < next_at {
            continue;
        }
        if let Err(error) = round(env, config, now).await {
            // Logged where it is translated; the next round tries again.
            let _ = error.answer();
        }
        next_at = now + ROUND;
    }
}

/// Brings the index of texts up to date from time to time, for ever.
pub async fn follow_texts(env: &Env) {
    const PAUSE: Duration = Duration::from_secs(1);
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Err(error) = search::follow(env).await {
            // Logged where it is translated; the next look tries again.
            let _ = error.answer();
        }
    }
}

async fn round(env: &Env, config: &RetentionConfig, now: Micros) -> Result<()> {
    for hub_id in retention::portals(&env.db.moving()).await? {
        // One that fails does not hold up the others.
        if let Err(error) = retention::sweep_portal(env, hub_id, (config, now)).await {
            let _ = error.answer();
        }
    }
    statistics::learn(&env.db).await?;
    search::follow_all(env).await
}
