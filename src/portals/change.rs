//! One portal, one writer at a time: everything that changes a portal's errors runs inside a [`Change`].
//!
//! It holds the portal's row in `feed_heads` from its first statement to its commit, so that the order of
//! sequence numbers is the order of commits, without gaps: a reader that remembers the last number it saw misses
//! nothing. On SQLite the whole database has one writer; the same code takes its lock at once.

use sea_orm::sea_query::LockType;
use sea_orm::{DatabaseTransaction, DbBackend, EntityTrait, QuerySelect};
use uuid::Uuid;

use crate::kernel::auth::{Scope, Writing};
use crate::kernel::bulk;
use crate::kernel::clock::Micros;
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::kernel::wake::Wake;
use crate::portals::store;
use crate::portals::tables::{feed_heads, portal_changes};

/// A change of one portal under way. Dropped without [`Change::commit`], it did not happen.
pub struct Change {
    transaction: DatabaseTransaction,
    wake: Wake,
    head: feed_heads::Model,
    moved: bool,
    rings: bool,
    /// When it happens, read once the change is the only one: the same instant for all that it writes.
    pub now: Micros,
}

impl Change {
    /// Begins a change and waits until it is the portal's only one. `None` when the portal does not exist: only one
    /// that the token names is made.
    pub async fn begin<R: Writing>(env: &Env, scope: &Scope<R>) -> Result<Option<Self>> {
        let transaction = env.db.begin().await?;
        let mut head = Self::lock(&transaction, env.db.backend(), scope.hub_id()).await?;
        if head.is_none() && scope.is_named() {
            store::insert_empty(&transaction, &[scope.hub_id()]).await?;
            head = Self::lock(&transaction, env.db.backend(), scope.hub_id()).await?;
        }
        Ok(head.map(|head| Self {
            transaction,
            wake: env.wake.clone(),
            head,
            moved: false,
            rings: false,
            now: env.clock.now(),
        }))
    }

    /// FOR NO KEY UPDATE: readers and the portal's other tables are not held up.
    async fn lock(
        transaction: &DatabaseTransaction,
        backend: DbBackend,
        hub_id: i64,
    ) -> Result<Option<feed_heads::Model>> {
        let mut select = feed_heads::Entity::find_by_id(hub_id);
        if backend == DbBackend::Postgres {
            select = select.lock(LockType::NoKeyUpdate);
        }
        Ok(select.one(transaction).await?)
    }

    /// What the change writes with.
    pub fn transaction(&self) -> &DatabaseTransaction {
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
