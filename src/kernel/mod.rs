//! What every domain stands on, and that knows no domain.

pub mod auth;
pub mod bulk;
pub mod call;
pub mod clock;
pub mod config;
pub mod db;
pub mod error;
pub mod global_id;
pub mod keys;
pub mod limits;
pub mod page;
pub mod scalars;
pub mod text;
pub mod user_error;
