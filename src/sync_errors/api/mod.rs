//! The GraphQL objects of sync errors, one file for each part of the contract.

mod brief;
mod card;
mod details;
mod error;
mod event;
mod export;
mod failure;
mod guide;
mod inputs;
mod mutations;
mod plain;
mod record;
mod subscription;
mod view;
mod view_mutations;

pub use brief::{Brief, FirstLink, briefs, worst};
pub use card::{CategorySummary, TrendPoint};
pub(super) use error::prefetch;
pub(super) use error::title_of;
pub use error::{Classification, SyncError, error_id};
pub use event::SyncErrorEvent;
pub use export::ExportMutations;
pub(super) use guide::advice;
pub use inputs::{
    ErrorListArguments, RecordKeyInput, SyncErrorEventFilter, SyncErrorFilter, SyncErrorOrder,
    SyncErrorOrderField, TimeRangeInput,
};
pub use mutations::ReportMutations;
pub use record::{AffectedRecord, Links, RecordRef};
pub use subscription::SyncErrorSubscription;
pub use view::{RecordView, list_views};
pub use view_mutations::RecordViewMutations;

pub use crate::sync_errors::{SyncErrorEventKind, SyncErrorStatus};
