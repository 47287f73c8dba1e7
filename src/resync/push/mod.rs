//! Push: a portal that has configured an address gets its items as signed calls, and may answer at once.
//!
//! What is being delivered is a row ([`resync_pushes`]): the same message with the same id until it was taken, with
//! growing pauses, a limited number of times; then the items go back to who asks. No transaction is held during a call;
//! a server that dies leaves a delivery that another one repeats.

mod row;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sea_orm::{FromQueryResult, Statement};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;
use url::Url;
use uuid::Uuid;

use row::{Pushed, begin, give_back, keep_leased, pause, save};

use crate::kernel::auth::{Report, Scope};
use crate::kernel::clock::{Micros, SECOND};
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::kernel::limits;
use crate::kernel::panics::caught;
use crate::kernel::scalars::Instant;
use crate::kernel::wake::ANY_PORTAL;
use crate::kernel::webhook::Message;
use crate::portals::{PortalRow, SyncState, find_in};
use crate::resync::api::{self, ResyncItem};
use crate::resync::automatic_sql;
use crate::resync::claim::{self, Order};
use crate::resync::tables::resync_pushes;
use crate::sync_errors::api::Links;

/// Calls that are under way at once, one of a portal: so many that slow addresses do not hold up others.
const CALLS_AT_ONCE: usize = 128;
/// As many again to addresses whose last call failed, so that those hold up none that answer.
const REPEATED_AT_ONCE: usize = 128;
/// For how long items are leased to an address; longer than a call takes.
const LEASE: Micros = 300 * SECOND;
/// For how long a server may take for one call before another one repeats it.
const BUSY: Micros = 60 * SECOND;
/// The pause after the first failed call; each further one is three times as long.
const FIRST_PAUSE: Micros = 10 * SECOND;
/// The pause where nothing can be delivered, and behind a call whose items were all given back.
const IDLE_PAUSE: Micros = 30 * SECOND;
/// The pause after the last one.
const LAST_PAUSE: Micros = 3_600 * SECOND;

/// Pushes the items of all portals with an address, for ever.
pub async fn push(env: &Env) {
    const PAUSE: Duration = Duration::from_secs(1);
    let first = Arc::new(Semaphore::new(CALLS_AT_ONCE));
    let repeated = Arc::new(Semaphore::new(REPEATED_AT_ONCE));
    let under_way: Arc<Mutex<HashSet<i64>>> = Arc::default();
    let mut ring = env.wake.listen(ANY_PORTAL);
    loop {
        ring.mark_unchanged();
        let due = due(env).await.unwrap_or_else(|error| {
            // Logged where it is translated; the next look tries again.
            let _ = error.answer();
            Vec::new()
        });
        for Due { hub_id, has_failed } in due {
            // Whoever finds no place is due at the next look too.
            let of = if has_failed { &repeated } else { &first };
            let Ok(place) = of.clone().try_acquire_owned() else {
                continue;
            };
            let is_new = under_way.lock().is_ok_and(|mut set| set.insert(hub_id));
            if !is_new {
                continue;
            }
            let (env, under_way) = (env.clone(), under_way.clone());
            tokio::spawn(async move {
                let delivered = caught(Box::pin(deliver(&env, hub_id))).await;
                if let Some(Err(error)) = delivered {
                    let _ = error.answer();
                }
                if let Ok(mut set) = under_way.lock() {
                    set.remove(&hub_id);
                }
                drop(place);
            });
        }
        tokio::time::sleep(PAUSE / 4).await;
        tokio::select! {
            _ = ring.changed() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// A portal with an address, and with something to deliver.
#[derive(FromQueryResult)]
struct Due {
    hub_id: i64,
    /// Whether the last call failed.
    has_failed: bool,
}

/// Whoever waits longest first.
async fn due(env: &Env) -> Result<Vec<Due>> {
    let snapshot = env.db.moving();
    let nil = automatic_sql(snapshot.backend());
    let sql = format!(
        "SELECT p.hub_id, COALESCE(d.attempt_count, 0) > 0 AS has_failed FROM portals AS p LEFT JOIN resync_pushes AS d ON d.hub_id = p.hub_id \
         WHERE p.resync_webhook_url IS NOT NULL AND (d.hub_id IS NULL OR d.next_at <= {} OR d.url <> p.resync_webhook_url) \
         AND (d.body IS NOT NULL \
         OR NOT EXISTS (SELECT 1 FROM resync_batches AS b WHERE b.hub_id = p.hub_id AND b.id = {nil}) \
         OR EXISTS (SELECT 1 FROM resync_batches AS b WHERE b.hub_id = p.hub_id AND b.waiting_count > 0)) \
         ORDER BY COALESCE(d.next_at, 0)",
        env.clock.now()
    );
    let due = Statement::from_string(snapshot.backend(), sql);
    snapshot.all_raw(due).await
}

/// Delivers the message that is under way, or the next one.
async fn deliver(env: &Env, hub_id: i64) -> Result<()> {
    let scope = Scope::<Report>::of_server(hub_id);
    let Some(portal) = find_in(&env.db.moving(), &scope).await? else {
        return Ok(());
    };
    let Some(url) = portal.portal.resync_webhook_url.clone() else {
        return Ok(());
    };
    let Some(row) = begin(env, &scope, &url).await? else {
        return Ok(());
    };
    let row = match row.body {
        Some(_) => row,
        None => match next_message(env, &scope, &portal, row).await? {
            Some(row) => row,
            None => return Ok(()),
        },
    };
    let sent = send(env, &portal, &row).await;
    end(env, &scope, row, sent).await
}

/// Claims items as an engine would, and makes a message of them.
async fn next_message(
    env: &Env,
    scope: &Scope<Report>,
    portal: &PortalRow,
    mut row: resync_pushes::Model,
) -> Result<Option<resync_pushes::Model>> {
    let order = Order {
        limit: limits::CLAIMED_ITEMS.value,
        lease: LEASE,
        calls_per_item: 1,
    };
    let begun = row.message_id;
    let claim = claim::claim(env, scope, &order).await?;
    let claim = claim.and_then(|claim| claim.ok()).unwrap_or_default();
    if claim.works.is_empty() {
        let is_suspended = portal.portal.sync_state == SyncState::Suspended;
        let pause = match claim.retry_at {
            // Nothing waits: what comes next is sent at once.
            None if !is_suspended => 0,
            // For want of calls, or because the portal does not sync.
            _ => IDLE_PAUSE,
        };
        row.attempt_count = 0;
        row.next_at = env.clock.now() + pause;
        save(env, scope, (&row, begun)).await?;
        return Ok(None);
    }
    let pushed: Vec<Pushed> = claim
        .works
        .iter()
        .map(|work| Pushed {
            id: work.item.id,
            attempt: work.item.attempt,
        })
        .collect();
    let links = Links::of(portal);
    let items: Vec<ResyncItem> = claim
        .works
        .into_iter()
        .map(|work| ResyncItem::of(work, &links))
        .collect();
    let data = json!({
        "hubId": scope.hub_id().to_string(),
        "items": items,
        "reservationId": claim.reservation.map(|reservation| reservation.id),
    });
    let body = json!({
        "type": "resync.items",
        "timestamp": Instant(env.clock.now()),
        "data": data,
    });
    row.message_id = Some(Uuid::now_v7());
    row.body = Some(body.to_string());
    row.item_ids = serde_json::to_string(&pushed).ok();
    row.attempt_count = 0;
    row.next_at = env.clock.now() + BUSY;
    save(env, scope, (&row, begun)).await?;
    Ok(Some(row))
}

/// Calls the address; answers the outcomes that it tells at once, or why it was not delivered.
async fn send(
    env: &Env,
    portal: &PortalRow,
    row: &resync_pushes::Model,
) -> std::result::Result<Vec<serde_json::Value>, String> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Told {
        outcomes: Vec<serde_json::Value>,
    }
    let settings = &portal.portal;
    let gone = || "No address is configured any more.".to_owned();
    let url = settings.resync_webhook_url.as_deref().ok_or_else(gone)?;
    let url = Url::parse(url).map_err(|_| gone())?;
    let now = env.clock.now();
    let secrets = settings.resync_webhook_secrets(now);
    let id = row.message_id.unwrap_or_default().to_string();
    let message = Message {
        id: &id,
        body: row.body.as_deref().unwrap_or_default(),
        secrets: &secrets,
        now,
    };
    let answer = env.webhooks.send(&url, &message).await;
    env.metrics.webhook_called(answer.is_ok());
    let answer = answer?;
    let is_empty = answer.iter().all(u8::is_ascii_whitespace);
    if is_empty {
        return Ok(Vec::new());
    }
    // Whatever else an address answers, it has taken the call.
    let told: Told = serde_json::from_slice(&answer).unwrap_or_default();
    Ok(told.outcomes)
}

/// What became of a call: its outcomes, the next attempt, or the items' return.
async fn end(
    env: &Env,
    scope: &Scope<Report>,
    mut row: resync_pushes::Model,
    sent: std::result::Result<Vec<serde_json::Value>, String>,
) -> Result<()> {
    let now = env.clock.now();
    let begun = row.message_id;
    match sent {
        Ok(outcomes) => {
            let own: HashSet<Uuid> = row.items().iter().map(|item| item.id).collect();
            let taking = api::take_outcomes(env, scope, outcomes, &own);
            let taken = env.workers.run(taking).await?;
            row = resync_pushes::Model {
                url: row.url,
                last_error: taken.problem,
                ..resync_pushes::Model::none(scope.hub_id())
            };
            if taken.only_returned {
                row.next_at = now + IDLE_PAUSE;
            }
        }
        Err(why) => {
            row.attempt_count += 1;
            row.last_error = Some(why);
            row.next_at = now + pause(row.attempt_count, row.message_id);
            let most = i32::try_from(limits::WEBHOOK_ATTEMPTS.value).unwrap_or(i32::MAX);
            if row.attempt_count >= most {
                give_back(env, scope, &row).await?;
                (row.message_id, row.body, row.item_ids) = (None, None, None);
                row.next_at = now + LAST_PAUSE;
            } else {
                keep_leased(env, scope, &row, row.next_at - now + BUSY).await?;
            }
        }
    }
    save(env, scope, (&row, begun)).await
}
