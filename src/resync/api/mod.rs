//! The GraphQL objects of resyncs.

mod batch;
mod claims;
mod item;
mod manage;
mod of_error;
mod outcomes;
mod result;

pub use batch::{ResyncBatch, ResyncBatchStatus, list_batches};
pub use claims::ResyncClaimMutations;
pub use item::{ResyncItem, ResyncWork};
pub use manage::ResyncMutations;
pub use of_error::{OfErrors, RetryPauseReason, RetryPlan};
pub use outcomes::ResyncOutcomeMutations;
pub use result::ResyncResult;

pub use super::read::OfError;
