//! What engines answer: each item is settled once, by compare and set, together with what it says of its error.

use uuid::Uuid;

use crate::kernel::auth::{Report, Scope};
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::portals::Change;
use crate::resync::Settled;
use crate::resync::board::{Board, Part, part_of};
use crate::resync::lease::{ClaimedItem, find, load_counts};
use crate::resync::tables::resync_items;
use crate::sync_errors::report::CheckedFailure;
use crate::sync_errors::report::attempts::{Attempt, AttemptEnd, Attempts};

/// What an engine says of an item.
pub(super) struct Answer {
    pub(super) item: ClaimedItem,
    pub(super) outcome: Outcome,
}

/// What became of an item.
pub(super) enum Outcome {
    Succeeded,
    Failed(Option<Box<CheckedFailure>>),
    Removed,
    Returned,
}

impl Outcome {
    /// As metrics name it.
    fn name(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed(_) => "failed",
            Self::Removed => "removed",
            Self::Returned => "returned",
        }
    }
}

/// Whether an answer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It does, or did before; with the item's error.
    Accepted(Uuid),
    /// Another engine has claimed or answered the item since.
    LeaseLost,
    /// There is no such item.
    NotFound,
}

/// Takes answers, in order. `None` when the portal does not exist.
pub(super) async fn report(
    env: &Env,
    scope: &Scope<Report>,
    answers: Vec<Answer>,
) -> Result<Option<Vec<Verdict>>> {
    let Some(mut change) = Change::begin(env, scope).await? else {
        return Ok(None);
    };
    let mut items = find(&change, answers.iter().map(|answer| answer.item.id)).await?;
    let mut board = Board::default();
    load_counts(&change, &mut board, &items).await?;
    let mut tried = Vec::new();
    let mut verdicts = Vec::with_capacity(answers.len());
    let mut told = Vec::with_capacity(answers.len());
    for answer in answers {
        told.push(answer.outcome.name());
        let item = items.iter_mut().find(|item| item.id == answer.item.id);
        let Some(item) = item.filter(|item| answer.item.attempt <= item.attempt) else {
            verdicts.push(Verdict::NotFound);
            continue;
        };
        verdicts.push(judge(item, &answer));
        if verdicts.last() != Some(&Verdict::Accepted(item.error_id)) || item.settled_at.is_some() {
            continue;
        }
        match answer.outcome {
            Outcome::Returned => {
                if item.lease_expires_at.is_some() {
                    board.give_back(item.clone(), change.now);
                    if let Some(given_back) = board.items.get(&item.id) {
                        item.clone_from(given_back);
                    }
                }
            }
            outcome => {
                let (part, settled, end) = ended(outcome);
                board.shift((item.batch_id, item.error_id), (part_of(item), part), 1);
                item.settled_at = Some(change.now);
                item.settled_attempt = Some(answer.item.attempt);
                item.outcome = Some(settled);
                item.lease_expires_at = None;
                board.items.insert(item.id, item.clone());
                tried.push(attempt(item, end));
            }
        }
    }
    let mut attempts = Attempts::new(&change);
    attempts
        .apply(env, &mut change, scope.subject(), &mut tried)
        .await?;
    board.end(&change, &mut attempts).await?;
    board.save(&mut change, &attempts).await?;
    change.commit().await?;
    for (name, verdict) in told.into_iter().zip(&verdicts) {
        match verdict {
            Verdict::Accepted(_) => env.metrics.resync_items(name, 1),
            Verdict::LeaseLost => env.metrics.resync_items("lost", 1),
            Verdict::NotFound => {}
        }
    }
    Ok(Some(verdicts))
}

/// Whoever has the item may answer; a late answer counts while nobody else has; the same answer again changes nothing.
fn judge(item: &resync_items::Model, answer: &Answer) -> Verdict {
    let attempt = answer.item.attempt;
    let is_own = match item.settled_at {
        Some(_) => item.settled_attempt == Some(attempt) && item.outcome == kept(&answer.outcome),
        // Who has lost it cannot give it back for the one who has it now.
        None => attempt == item.attempt || !matches!(answer.outcome, Outcome::Returned),
    };
    match is_own {
        true => Verdict::Accepted(item.error_id),
        false => Verdict::LeaseLost,
    }
}

fn kept(outcome: &Outcome) -> Option<Settled> {
    match outcome {
        Outcome::Succeeded => Some(Settled::Succeeded),
        Outcome::Failed(_) => Some(Settled::Failed),
        Outcome::Removed => Some(Settled::Removed),
        Outcome::Returned => None,
    }
}

/// How an item is counted and kept, and what it says of its error. One that was returned is not tried.
fn ended(outcome: Outcome) -> (Part, Settled, AttemptEnd) {
    match outcome {
        Outcome::Failed(failure) => (Part::Failed, Settled::Failed, AttemptEnd::Failed(failure)),
        Outcome::Removed => (Part::Succeeded, Settled::Removed, AttemptEnd::Removed),
        Outcome::Succeeded | Outcome::Returned => {
            (Part::Succeeded, Settled::Succeeded, AttemptEnd::Synced)
        }
    }
}

fn attempt(item: &resync_items::Model, end: AttemptEnd) -> Attempt {
    let (hubspot_record, salesforce_record) = item.records();
    Attempt {
        error_id: item.error_id,
        direction: item.direction,
        hubspot_record,
        salesforce_record,
        end,
    }
}
