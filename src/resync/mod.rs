//! Resync: records that are tried again, because somebody asked (a batch) or because the error is transient.
//!
//! Engines do the work: they claim items, each leased for a while, and answer what became of them. An item is made when
//! it is claimed, so a request costs the same for one record and for a million. Every step is one change of the portal;
//! none lasts while an engine works. [`board`] holds the rows of a step and keeps their counts in balance.
//!
//! The batch whose id is zero ([`AUTOMATIC`]) is a portal's automatic retries: it is made by the first claim, never ends
//! and is never shown.

pub mod api;
mod board;
mod claim;
mod claimable;
mod lease;
mod live;
mod outcome;
mod push;
mod reach;
mod read;
mod request;
mod retry;
mod sweep;
mod tables;

use async_graphql::Enum;
use sea_orm::{DbBackend, DeriveActiveEnum, EnumIter};
use uuid::Uuid;

pub use live::ResyncSubscription;
pub use push::push;
pub use sweep::sweep;

/// The batch of a portal's automatic retries.
const AUTOMATIC: Uuid = Uuid::nil();

/// The same as SQL writes it.
fn automatic_sql(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "'00000000-0000-0000-0000-000000000000'",
        _ => "x'00000000000000000000000000000000'",
    }
}

/// How many errors of a filter a batch takes on at a time.
const REACHED_AT_ONCE: usize = 100;

/// How far a batch has come, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
enum Stage {
    /// It goes on.
    #[sea_orm(num_value = 0)]
    Running,
    /// All its records are settled.
    #[sea_orm(num_value = 1)]
    Completed,
    /// It was cancelled.
    #[sea_orm(num_value = 2)]
    Cancelled,
}

/// What became of an error in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, EnumIter, DeriveActiveEnum)]
#[graphql(name = "ResyncResultStatus")]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum ResultStatus {
    /// Records of it are not settled yet.
    #[sea_orm(num_value = 0)]
    Waiting,
    /// It holds no record back any more.
    #[sea_orm(num_value = 1)]
    Resolved,
    /// It still holds records back.
    #[sea_orm(num_value = 2)]
    StillFailing,
    /// The batch was cancelled before all its records were tried.
    #[sea_orm(num_value = 3)]
    Cancelled,
}

/// How an item was settled, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
enum Settled {
    /// The record syncs again.
    #[sea_orm(num_value = 0)]
    Succeeded,
    /// It failed again.
    #[sea_orm(num_value = 1)]
    Failed,
    /// It is gone.
    #[sea_orm(num_value = 2)]
    Removed,
    /// The batch was cancelled before it was tried.
    #[sea_orm(num_value = 3)]
    Cancelled,
}
