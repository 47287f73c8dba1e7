//! Rings: hints that something of a portal was committed. Rows are the truth, a ring only says when to look, and who
//! waits for one looks from time to time anyway: a lost ring is a delay.
//!
//! Inside one process a ring is a watched number for each portal; between processes on one PostgreSQL it is NOTIFY.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgListener, PgPoolOptions};
use sea_orm::sqlx::{self, Executor};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use tokio::sync::watch;

use crate::kernel::db::{self, Transaction};

/// The channel of NOTIFY; what is sent is the portal's Hub ID.
const CHANNEL: &str = "sync_health";

/// What stands for all portals together where rings are listened to: no Hub ID is 0.
pub const ANY_PORTAL: i64 = 0;

/// The shortest time between two states of a stream of states: what changes more often is told together.
pub const STATE_PAUSE: Duration = Duration::from_millis(250);

/// How long to wait before connecting again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// How long nothing may be heard before the connection is asked whether it still answers, and how long it may take to.
const SILENCE: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// The rings of one process.
#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<Mutex<HashMap<i64, watch::Sender<u64>>>>);

impl Wake {
    /// Whoever waits for this portal shall look.
    pub fn ring(&self, hub_id: i64) {
        if let Ok(rings) = self.0.lock() {
            for ring in [hub_id, ANY_PORTAL].iter().filter_map(|id| rings.get(id)) {
                ring.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
    }

    /// Lets the transaction ring in other processes when it commits; on SQLite there are none to be told so.
    pub async fn tell_others(&self, transaction: &Transaction, hub_id: i64) -> Result<(), DbErr> {
        if transaction.get_database_backend() == DbBackend::Postgres {
            let values = [CHANNEL.into(), hub_id.to_string().into()];
            let sql = "SELECT pg_notify($1, $2)";
            let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
            transaction.execute_raw(statement).await?;
        }
        Ok(())
    }

    /// Whoever waits for any portal shall look: rings may have been lost.
    pub fn ring_all(&self) {
        if let Ok(rings) = self.0.lock() {
            for ring in rings.values() {
                ring.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
    }

    /// Registers for a portal's rings: to be done before looking.
    pub fn listen(&self, hub_id: i64) -> watch::Receiver<u64> {
        match self.0.lock() {
            Ok(mut rings) => {
                rings.retain(|_, ring| ring.receiver_count() > 0);
                let ring = rings.entry(hub_id);
                ring.or_insert_with(|| watch::channel(0).0).subscribe()
            }
            // Poisoned: nobody rings any more, looking from time to time remains.
            Err(_) => watch::channel(0).1,
        }
    }

    /// Passes on what other processes commit, for ever.
    pub async fn listen_to_postgres(&self, database_url: &str) {
        loop {
            if let Err(error) = self.pass_on(database_url).await {
                tracing::warn!(%error, "rings of other servers are not heard; looking from time to time until they are");
            }
            self.ring_all();
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }

    async fn pass_on(&self, database_url: &str) -> Result<(), sqlx::Error> {
        let options = db::postgres_options(database_url)?;
        let one = PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None);
        let pool = one.connect_with(options).await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(CHANNEL).await?;
        // What was rung before this moment was not heard.
        self.ring_all();
        loop {
            match tokio::time::timeout(SILENCE, listener.try_recv()).await {
                Ok(Ok(Some(notification))) => {
                    if let Ok(hub_id) = notification.payload().parse() {
                        self.ring(hub_id);
                    }
                }
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => return Err(error),
                // A listener says nothing by itself: a connection whose packets vanish would be listened to for ever.
                Err(_) => {
                    let answered = listener.execute("SELECT 1");
                    let answered = tokio::time::timeout(PING_TIMEOUT, answered).await;
                    answered.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
                }
            }
        }
    }
}
