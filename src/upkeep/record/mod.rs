//! Erasure: one record, wherever something of it is kept.
//!
//! What there is of it is looked for beside those who write, and taken in small steps. Texts and other rows that tell of
//! it go before its own, which alone tell its other side, its values and its names: whoever is interrupted and asks again
//! finds what is left.

mod rest;

use std::time::Instant;

use crate::kernel::auth::{Report, Scope};
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::portals::{self, Change};
use crate::sync_errors::report::{Known, RecordKey, erase, forget_mentions};
use crate::upkeep::erasure::{Pace, Removed, add};
use crate::upkeep::search;
use rest::Rest;

/// Errors that one step takes at most.
const ERRORS: usize = 20;
/// How often is looked again for what was reported meanwhile.
const ROUNDS: usize = 3;

/// All that is known of a record.
struct Found {
    known: Known,
    rest: Rest,
}

impl Found {
    /// Looks for it; `None` when there is no such portal.
    async fn look(env: &Env, scope: &Scope<Report>, key: &RecordKey) -> Result<Option<Self>> {
        let snapshot = env.db.snapshot();
        if !portals::exists(&snapshot, scope).await? {
            return Ok(None);
        }
        let known = Known::look(&snapshot, scope, key, env.clock.now()).await?;
        let rest = Rest::look(&snapshot, scope.hub_id(), &known.erased).await?;
        Ok(Some(Self { known, rest }))
    }

    fn counts(&self) -> Removed {
        let (known, rest) = (&self.known, &self.rest);
        vec![
            ("rows of affected records", known.erased.rows.len() as u64),
            ("errors that showed something of it", known.erased.errors),
            ("other records that named it", known.mentions.len() as u64),
            ("items of resyncs", rest.items.len() as u64),
            ("calls to engines under way", rest.pushes.len() as u64),
            ("messages that wait", rest.messages.len() as u64),
            ("views of it", rest.views.len() as u64),
            ("resyncs of it", rest.batches.len() as u64),
        ]
    }
}

/// What there is of a record; `None` when there is no such portal.
pub async fn count_record(env: &Env, hub_id: i64, key: &RecordKey) -> Result<Option<Removed>> {
    let scope = Scope::<Report>::of_server(hub_id);
    let found = Found::look(env, &scope, key).await?;
    Ok(found.map(|found| found.counts()))
}

/// Removes what is known of a record of a portal: its rows and what only it told of errors, what waits to be tried again or
/// told, and views of it alone. Answers how much of what, or `None` when there is no such portal.
pub async fn forget_record(env: &Env, hub_id: i64, key: &RecordKey) -> Result<Option<Removed>> {
    let mut steps = Steps {
        env,
        scope: Scope::of_server(hub_id),
        pace: Pace::default(),
    };
    let mut removed = Removed::new();
    for _ in 0..ROUNDS {
        let Some(found) = Found::look(env, &steps.scope, key).await? else {
            return Ok(None);
        };
        let counts = found.counts();
        if counts.iter().all(|(_, count)| *count == 0) {
            break;
        }
        for (what, count) in counts {
            add(&mut removed, what, count);
        }
        steps.take_all(found).await?;
    }
    // The index of texts knows what it knew.
    search::follow_portal(env, hub_id).await?;
    Ok(Some(removed))
}

/// Changes of one portal, each of which takes a moment.
struct Steps<'a> {
    env: &'a Env,
    scope: Scope<Report>,
    pace: Pace,
}

impl Steps<'_> {
    async fn take_all(&mut self, found: Found) -> Result<()> {
        let Found { mut known, rest } = found;
        let sides = known.sides.clone();
        self.take(&rest.messages, async |change, ids| {
            rest::forget_texts(change, &known.erased, ids).await
        })
        .await?;
        self.take(&rest.pushes, async |change, ids| {
            rest::forget_pushes(change, ids).await
        })
        .await?;
        self.take(&rest.views, async |change, ids| {
            rest::forget_views(change, ids).await
        })
        .await?;
        self.take(&rest.batches, async |change, ids| {
            rest::forget_filters(change, &sides, ids).await
        })
        .await?;
        self.take(&rest.items, async |change, ids| {
            rest::forget_items(change, ids).await
        })
        .await?;
        self.take(&known.mentions, async |change, mentions| {
            forget_mentions(change, &sides, mentions).await
        })
        .await?;
        for errors in known.errors.clone().chunks(ERRORS) {
            let part = known.part(&self.env.db.moving(), errors).await?;
            let erased = &mut known.erased;
            self.take(&[part], async |change, parts| {
                for part in parts {
                    erased.join(erase(change, &sides, part).await?);
                }
                Ok(())
            })
            .await?;
        }
        // What was reported meanwhile may have been told too.
        let snapshot = self.env.db.moving();
        let late = rest::messages(&snapshot, self.scope.hub_id(), &known.erased).await?;
        self.take(&late, async |change, ids| {
            rest::forget_texts(change, &known.erased, ids).await
        })
        .await
    }

    /// Takes all of these, some in each change.
    async fn take<T>(
        &mut self,
        mut all: &[T],
        mut some: impl AsyncFnMut(&mut Change, &[T]) -> Result<()>,
    ) -> Result<()> {
        while !all.is_empty() {
            let (now, later) = all.split_at(self.pace.rows().min(all.len()));
            all = later;
            let Some(mut change) = Change::begin(self.env, &self.scope).await? else {
                return Ok(());
            };
            let start = Instant::now();
            // First: who tells news holds its row.
            let lock = "UPDATE notification_settings SET version = version WHERE hub_id = $1";
            rest::execute(&change, lock, &[]).await?;
            some(&mut change, now).await?;
            change.ring();
            change.commit().await?;
            self.pace.rest(start.elapsed()).await;
        }
        Ok(())
    }
}
