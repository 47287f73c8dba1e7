//! Sync errors: one cause in one portal, with the records that do not sync because of it.
//!
//! [`report`] is the only way in. What it writes is one change of the portal: errors, records, counters, trend and
//! feed together, or nothing. [`list`], [`records`], [`feed`] and [`trend`] read; [`live`] waits for what comes;
//! [`export`] takes all along; [`to_try`] is what a resync works on; [`search`] is how texts are found.

pub mod api;
pub mod export;
pub mod feed;
pub mod filter;
pub mod history;
pub mod list;
pub mod live;
pub mod records;
pub mod report;
pub mod search;
mod tables;
pub mod to_try;
pub mod trend;
mod views;
mod walk;

use async_graphql::Enum;
use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

/// Whether an error still holds records back.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Enum, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SyncErrorStatus {
    /// At least one record does not sync because of it.
    #[sea_orm(num_value = 0)]
    Open,
    /// A resync was requested and has not ended for all its records.
    #[sea_orm(num_value = 1)]
    Resyncing,
    /// No record is left. It opens again when a record fails for the same cause.
    #[sea_orm(num_value = 2)]
    Resolved,
}

/// What happened to an error in one change: at most one event per error and change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum SyncErrorEventKind {
    /// A cause that was not known failed its first record.
    #[sea_orm(num_value = 0)]
    Opened,
    /// It was RESOLVED and a record failed again.
    #[sea_orm(num_value = 1)]
    Reopened,
    /// Another record, a record seen again, a record cleared while others are left, or a resync that has ended.
    #[sea_orm(num_value = 2)]
    Updated,
    /// Its records are to be tried again.
    #[sea_orm(num_value = 3)]
    ResyncRequested,
    /// The last record was cleared.
    #[sea_orm(num_value = 4)]
    Resolved,
}
