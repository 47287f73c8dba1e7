//! How many errors a portal may still open. Whoever may report could fill the disk otherwise: each cause that is made up
//! is an error with its record, its text and its latest failure.

use std::collections::HashSet;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{EntityTrait, QueryFilter};
use uuid::Uuid;

use super::CheckedFailure;
use super::ledger::Ledger;
use crate::kernel::error::Result;
use crate::portals::{Change, category_counters};

/// What is left of the limit.
pub(super) struct Room {
    /// Nothing is known where no failure tells of a new cause.
    left: usize,
}

impl Room {
    /// Reads the portal's counters, where failures tell of causes that are not known; the ledger keeps them for when they
    /// are moved.
    pub(super) async fn of(
        change: &Change,
        ledger: &mut Ledger,
        failures: impl Iterator<Item = &CheckedFailure>,
        most: usize,
    ) -> Result<Self> {
        let causes = failures.flat_map(|checked| &checked.causes);
        let mut signatures = causes.map(|cause| cause.signature);
        if signatures.all(|signature| ledger.error_with(signature).is_some()) {
            return Ok(Self { left: 0 });
        }
        let counters = counters(change).await?;
        let kept = |row: &category_counters::Model| {
            let kept = i64::from(row.open_error_count) + i64::from(row.resolved_error_count);
            usize::try_from(kept).unwrap_or(0)
        };
        let kept: usize = counters.iter().map(kept).sum();
        ledger.counters = Some(counters);
        Ok(Self {
            left: most.saturating_sub(kept),
        })
    }

    /// Takes the places of the errors that a failure opens; `false` where there are not so many.
    pub(super) fn take(&mut self, ledger: &Ledger, checked: &CheckedFailure) -> bool {
        let signatures = checked.causes.iter().map(|cause| cause.signature);
        let new = signatures.filter(|signature| ledger.error_with(*signature).is_none());
        let new: HashSet<Uuid> = new.collect();
        match self.left.checked_sub(new.len()) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

/// The counters of the portal's cards.
pub(super) async fn counters(change: &Change) -> Result<Vec<category_counters::Model>> {
    let rows = category_counters::Entity::find()
        .filter(Expr::col(category_counters::Column::HubId).eq(change.hub_id()))
        .all(change.transaction())
        .await?;
    Ok(rows)
}
