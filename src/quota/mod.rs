//! API calls: what Salesforce limits, what is allocated to HubSpot, what was used in the last 24 hours, what is set aside.
//!
//! One ledger a portal: used + reserved never passes the allocation by what is granted here, because each grant is made
//! inside the portal's change. What was used is a fact: it counts, and is never refused.

pub mod api;
mod change;
mod history;
mod ledger;
mod limit_info;
pub mod live;
mod recovery;
mod reservation;
mod store;
mod tables;

use async_graphql::Enum;
use sea_orm::{DeriveActiveEnum, EnumIter};

pub use recovery::recover;
pub use reservation::Room;
pub use store::{Facts, facts};

/// What a portal may do with its calls at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum QuotaState {
    /// Calls are left.
    #[sea_orm(num_value = 0)]
    Ok,
    /// 75 % of the allocation are used: new changes go on, retries wait, as HubSpot does.
    #[sea_orm(num_value = 1)]
    RetriesPaused,
    /// No calls are left: of the allocation, or of the org.
    #[sea_orm(num_value = 2)]
    Exhausted,
}

/// What calls are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum ApiCallPurpose {
    /// A change of a record that was not tried before.
    #[sea_orm(num_value = 0)]
    NewChange,
    /// Another attempt: refused from 75 % of the allocation.
    #[sea_orm(num_value = 1)]
    Retry,
}
