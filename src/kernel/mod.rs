//! What every domain stands on, and that knows no domain.

pub mod auth;
pub mod backoff;
pub mod bulk;
pub mod call;
pub mod clock;
pub mod config;
pub mod connection;
pub mod db;
pub mod env;
pub mod error;
pub mod global_id;
pub mod keys;
pub mod limits;
pub mod mail;
pub mod metrics;
pub mod page;
pub mod plain;
pub mod progress;
pub mod scalars;
pub mod server_keys;
pub mod steps;
pub mod text;
pub mod tls;
pub mod user_error;
pub mod wake;
pub mod webhook;
