//! Sync Health: the state of HubSpot–Salesforce integrations as a GraphQL API.
//!
//! - [`kernel`] knows no domain: configuration, errors, tokens and scopes, databases, pages, limits, rings.
//! - [`classify`] is pure: a raw failure becomes causes with category, type, details and signature.
//! - [`portals`] is the tenant, its settings, and the change: one portal, one writer at a time.
//! - [`quota`] is API calls: what limits them, what was used, what is set aside.
//! - [`sync_errors`] is errors with their records, the reports that make them, feed, trend and subscriptions.
//! - [`notifications`] is who is told of news, when and how.
//! - [`resync`] is records that are tried again: batches, what engines claim and answer, automatic retries.
//! - [`upkeep`] sweeps what is old, forgets portals and recounts: the only room that knows the tables of all others.
//! - [`server`] puts them together: every transport hands its requests to the same steps.
//!
//! The program is `src/main.rs` with `src/cli/`: a file for each command, and in `demo` an engine that uses nothing but the public API.
//!
//! `docs/architecture.md` follows one failure through them, file by file.
//!
//! What holds everywhere: a [`kernel::auth::Scope`] is made from a verified token, or is the server's or the operator's own,
//! and each statement on a portal's data takes one. All that changes a portal's errors is one [`portals::Change`]: commit order is sequence
//! order, without gaps. A request reads one snapshot. A subscription is a cursor that waits. [`kernel::error::Error`] is not `Display`, so that nothing of
//! ours reaches a client by accident.
//!
//! Between domains only `api` modules may name each other's objects, because the contract's graph is cyclic; rules
//! and SQL follow the direction resync, notifications → sync_errors, quota → portals → kernel. Deliberately absent: foreign keys, caches of rows,
//! extensions of async-graphql, statics with state, work across the network inside a transaction.

pub mod classify;
pub mod kernel;
pub mod notifications;
pub mod portals;
pub mod quota;
pub mod resync;
pub mod server;
pub mod sync_errors;
pub mod upkeep;
