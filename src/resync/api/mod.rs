//! The GraphQL objects of resyncs.

mod batch;
mod claims;
mod item;
mod manage;
mod of_error;
mod outcomes;
mod result;
mod webhook;

pub use batch::{ResyncBatch, ResyncBatchStatus, list_batches};
pub use claims::ResyncClaimMutations;
pub use item::{ResyncItem, ResyncWork};
pub use manage::ResyncMutations;
pub use of_error::{OfErrors, RetryPauseReason, RetryPlan};
pub(super) use outcomes::take_outcomes;
pub use outcomes::{ResyncOutcomeInput, ResyncOutcomeMutations};
pub use result::ResyncResult;
pub use webhook::ResyncWebhook;

pub use super::read::OfError;
