//! The only way in: reports of failures and successes become one change of the portal each.
//!
//! Checked and classified first, without a lock; then applied inside a [`crate::portals::Change`] to the rows that
//! they concern: loaded, moved by the rules of [`ledger`], written back with counters, trend and feed. [`attempts`] is
//! the same for what engines answer to resync items. [`erase`] is the way out.

pub mod attempts;
mod check;
mod erase;
mod failures;
pub mod input;
mod known;
mod ledger;
pub mod ndjson;
mod remade;
mod room;
mod rows;
mod scrub;
mod successes;
mod write;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::classify::{
    Cause, Failure, Record, RelatedRecord, SyncDirection, SyncErrorCategory, System,
};
use crate::kernel::clock::Micros;
use crate::kernel::keys::key_of;

pub use check::{check_attempt, check_failure, check_success};
pub use erase::{Erased, Part, RecordKey, erase, forget_mentions};
pub use failures::{FailureAnswer, report_failures, report_failures_until_kept};
pub use known::{Known, Mention};
pub(super) use remade::{related, remade, side};
pub(super) use rows::as_told;
pub use successes::{SuccessAnswer, report_successes};

/// A failure that was checked and classified.
#[derive(Debug)]
pub struct CheckedFailure {
    /// What was reported.
    pub failure: Failure,
    /// Its causes, at least one.
    pub causes: Vec<Cause>,
    /// The engine's own id of the report, or one made from its content.
    pub report_id: String,
    /// What stands for the report in the list of those taken.
    pub digest: Uuid,
    /// Whether nothing but its content and the change that records it tells it apart from others.
    pub is_nameless: bool,
    /// When it happened; absent: when it is recorded, after all that was recorded before.
    pub occurred_at: Option<Micros>,
    /// When the first of the failures happened that it stands for, where that is told.
    pub first_occurred_at: Option<Micros>,
    /// How many failures it stands for.
    pub attempt_count: i32,
}

impl CheckedFailure {
    /// Inside the change that records it: the same content at another time is another report.
    pub(super) fn be_named(&mut self, change: Uuid) {
        if std::mem::take(&mut self.is_nameless) {
            self.digest = key_of(&format!("{} {change}", self.digest));
            self.report_id = self.digest.to_string();
        }
    }
}

/// A success that was checked.
#[derive(Debug)]
pub struct CheckedSuccess {
    /// Whether the record is gone or excluded: that says nothing of whether the portal syncs.
    pub removed: bool,
    /// When it happened; absent: when it is recorded, after all that was recorded before.
    pub occurred_at: Option<Micros>,
    /// Its direction; absent: both.
    pub direction: Option<SyncDirection>,
    /// The record on HubSpot's side.
    pub hubspot_record: Option<Record>,
    /// The record on Salesforce's side.
    pub salesforce_record: Option<Record>,
}

/// The latest failure of an error as it is kept: nothing that was reported is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the fields are described where clients see them, in api::failure"
)]
pub struct StoredFailure {
    pub report_id: String,
    pub occurred_at: Micros,
    pub received_at: Micros,
    pub reported_by: String,
    pub direction: SyncDirection,
    pub system: System,
    pub code: Option<String>,
    pub message: String,
    pub fields: Vec<String>,
    pub hubspot_record: Option<Record>,
    pub salesforce_record: Option<Record>,
    pub value: Option<String>,
    pub raw: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocking_record: Option<RelatedRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing_record: Option<RelatedRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hubspot_property: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salesforce_field: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<SyncErrorCategory>,
}
