//! One portal, one writer at a time: everything that changes a portal's errors runs inside a [`Change`].
//!
//! It holds the portal's row in `feed_heads` from its first statement to its commit, so that the order of
//! sequence numbers is the order of commits, without gaps: a reader that remembers the last number it saw misses
//! nothing. Its time is the database's, and never runs backwards within a portal. On SQLite the whole database has one
//! writer; the same code takes its lock at once.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, QueryResult, Statement};
use uuid::Uuid;

use crate::kernel::auth::{Scope, Writing};
use crate::kernel::bulk;
use crate::kernel::clock::{MINUTE, Micros, SECOND};
use crate::kernel::columns::names_of;
use crate::kernel::db::{Transaction, failure};
use crate::kernel::env::{DATABASE_NOW, Env};
use crate::kernel::error::Result;
use crate::kernel::limits;
use crate::kernel::wake::Wake;
use crate::portals::store;
use crate::portals::tables::{feed_heads, portal_changes};

/// The locked head, and the clock then.
struct Locked {
    head: feed_heads::Model,
    clock: Micros,
}

impl FromQueryResult for Locked {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        Ok(Self {
            head: feed_heads::Model::from_query_result(row, prefix)?,
            clock: row.try_get(prefix, "clock")?,
        })
    }
}

/// A change of one portal under way. Dropped without [`Change::commit`], it did not happen.
pub struct Change {
    transaction: Transaction,
    wake: Wake,
    head: feed_heads::Model,
    moved: bool,
    rings: bool,
    /// What the clock says, read once the change is the only one.
    clock: Micros,
    /// When it happens: the same instant for all that it writes, and none before that of the portal's last change.
    pub now: Micros,
}

/// Where the clock was set back, a portal's time stands still until the clock has come so far again; where it was set
/// back by more than this, it had been wrong, and time goes on from where the clock is.
const SET_BACK: Micros = 60 * MINUTE;

impl Change {
    /// Begins a change and waits until it is the portal's only one. `None` when the portal does not exist: only one
    /// that the token names is made.
    pub async fn begin<R: Writing>(env: &Env, scope: &Scope<R>) -> Result<Option<Self>> {
        let transaction = env.db.begin_for(scope.hub_id()).await?;
        let mut locked = Self::lock(&transaction, env, scope.hub_id()).await?;
        if locked.is_none() && scope.is_named() {
            store::insert_empty(&transaction, &[scope.hub_id()]).await?;
            locked = Self::lock(&transaction, env, scope.hub_id()).await?;
        }
        let change = |Locked { head, clock }| Self {
            transaction,
            wake: env.wake.clone(),
            moved: false,
            rings: false,
            clock,
            now: match head.latest_at > clock + SET_BACK {
                true => clock,
                false => head.latest_at,
            },
            head,
        };
        Ok(locked.map(change))
    }

    /// Locks the head and moves its time on, in one statement: the clock is read when nobody else has the lock, because
    /// whoever had it has moved the time too. Readers and the portal's other tables are not held up.
    async fn lock(transaction: &Transaction, env: &Env, hub_id: i64) -> Result<Option<Locked>> {
        let (clock, later) = match env.db.backend() {
            DbBackend::Postgres if env.has_clock() => (DATABASE_NOW, "GREATEST"),
            DbBackend::Postgres => ("CAST($2 AS BIGINT)", "GREATEST"),
            _ => ("$2", "MAX"),
        };
        let sql = format!(
            "UPDATE feed_heads SET latest_at = {later}(latest_at, {clock}) WHERE hub_id = $1 RETURNING {}, {clock} AS clock",
            names_of::<feed_heads::Entity>("feed_heads")
        );
        let mut values = vec![hub_id.into()];
        if !env.has_clock() {
            values.push(env.clock.now().into());
        }
        let statement = Statement::from_sql_and_values(env.db.backend(), sql, values);
        let row = transaction.query_one_raw(statement).await;
        let row = row.map_err(failure::of_waiting)?;
        let locked = row.map(|row| Locked::from_query_result(&row, ""));
        Ok(locked.transpose()?)
    }

    /// What the change writes with.
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// The portal.
    pub fn hub_id(&self) -> i64 {
        self.head.hub_id
    }

    /// Where the feed stands.
    pub fn sequence(&self) -> i64 {
        self.head.sequence
    }

    /// Entries stand in the feed now, from behind [`Self::sequence`] up to this one, which has this digest.
    pub fn feed_grows(&mut self, sequence: i64, digest: i64) {
        self.head.sequence = sequence;
        self.head.digest_sequence = sequence;
        self.head.digest = digest;
        self.moved = true;
    }

    /// The feed begins behind a sequence number now.
    pub fn sweep_feed(&mut self, through: i64) {
        self.head.swept_sequence = self.head.swept_sequence.max(through);
        self.moved = true;
    }

    /// Moves the number of open errors that portals are ordered by.
    pub fn move_open_errors(&mut self, by: i32) {
        self.head.open_error_count += by;
        self.moved |= by != 0;
    }

    /// The latest instant that anything can have happened at, as far as clocks of engines and of the database may differ.
    /// What is kept with a later one was told by a clock that was wrong: nothing is compared with it.
    pub fn latest(&self) -> Micros {
        self.clock + limits::CLOCK_SKEW_SECONDS.value as Micros * SECOND
    }

    /// Whether the clock had been wrong, so that what it was given to lies ahead.
    pub fn is_set_back(&self) -> bool {
        self.head.latest_at > self.now
    }

    /// What lay ahead is put right.
    pub fn put_right(&mut self) {
        self.head.latest_at = self.now;
        self.moved = true;
    }

    /// Rings at the commit although the feed does not grow.
    pub fn ring(&mut self) {
        self.rings = true;
    }

    /// Tells in `Portal.changes` that a setting changed: its name, the value before and since.
    pub async fn tell_setting(
        &self,
        by: &str,
        (setting, old_value, new_value): (&str, Option<String>, Option<String>),
    ) -> Result<()> {
        let told = portal_changes::Model {
            hub_id: self.hub_id(),
            id: Uuid::now_v7(),
            changed_at: self.now,
            changed_by: by.to_owned(),
            setting: setting.to_owned(),
            old_value,
            new_value,
        };
        bulk::insert::<portal_changes::Entity>(&self.transaction, &[told], "").await
    }

    /// Makes it so: the head moves as the last statement before the commit. Then whoever waits for the portal is rung,
    /// in this process and, on PostgreSQL, in the others.
    pub async fn commit(self) -> Result<()> {
        let hub_id = self.head.hub_id;
        if self.moved {
            bulk::upsert::<feed_heads::Entity>(&self.transaction, &[self.head]).await?;
        }
        let rings = self.moved || self.rings;
        if rings {
            self.wake.tell_others(&self.transaction, hub_id).await?;
        }
        self.transaction.commit().await?;
        if rings {
            self.wake.ring(hub_id);
        }
        Ok(())
    }
}
