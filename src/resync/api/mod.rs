//! The GraphQL objects of resyncs.

mod batch;
mod engine;
mod item;
mod manage;
mod of_error;
mod result;

pub use batch::{ResyncBatch, ResyncBatchStatus, list_batches};
pub use engine::ResyncEngineMutations;
pub use item::{ResyncItem, ResyncWork};
pub use manage::ResyncMutations;
pub use of_error::{OfErrors, RetryPauseReason, RetryPlan};
pub use result::ResyncResult;

pub use super::read::OfError;
