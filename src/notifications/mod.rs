//! Notifications: who is told of a portal's news, when and how.
//!
//! News are read from the feed and nothing else ([`news`]): what lies between the position that was told last and the
//! present one is a window. [`window`] makes one message of it, moves the position and writes a delivery for each
//! recipient in one transaction, which only one server can win: so each window is told exactly once, and what was missed
//! while no server ran is told late, once. [`delivery`] delivers at least once, always with the same id. An address gets
//! nothing before it has confirmed that it wants it ([`confirmation`]).

pub mod api;
mod confirmation;
mod content;
mod delivery;
mod news;
mod render;
mod schedule;
mod settings;
mod store;
mod tables;
mod window;

use async_graphql::Enum;
use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::Serialize;

pub use confirmation::{Confirmations, Page, Standing};
pub use delivery::deliver;
pub use window::tell;

/// How often news are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, EnumIter, DeriveActiveEnum, Serialize)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NotificationFrequency {
    /// At once: a minute after the first news, with all that came meanwhile.
    #[sea_orm(num_value = 0)]
    Immediately,
    /// A digest each day.
    #[sea_orm(num_value = 1)]
    Daily,
    /// A digest each week.
    #[sea_orm(num_value = 2)]
    Weekly,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum Weekday {
    /// The first day (ISO 8601).
    #[sea_orm(num_value = 0)]
    Monday,
    /// The second day.
    #[sea_orm(num_value = 1)]
    Tuesday,
    /// The third day.
    #[sea_orm(num_value = 2)]
    Wednesday,
    /// The fourth day.
    #[sea_orm(num_value = 3)]
    Thursday,
    /// The fifth day.
    #[sea_orm(num_value = 4)]
    Friday,
    /// The sixth day.
    #[sea_orm(num_value = 5)]
    Saturday,
    /// The seventh day.
    #[sea_orm(num_value = 6)]
    Sunday,
}

/// The way of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum NotificationChannel {
    /// By e-mail; all attempts have the same Message-ID.
    #[sea_orm(num_value = 0)]
    Email,
    /// By a signed call; all attempts have the same webhook-id.
    #[sea_orm(num_value = 1)]
    Webhook,
}

/// Whether a message has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum DeliveryStatus {
    /// It is to be sent, or to be tried again.
    #[sea_orm(num_value = 0)]
    Pending,
    /// The recipient's server has taken it.
    #[sea_orm(num_value = 1)]
    Delivered,
    /// It was refused for good, tried 8 times, or its recipient was taken out of the settings or has not confirmed.
    #[sea_orm(num_value = 2)]
    Failed,
}
