//! What the server tells of itself.

use async_graphql::{Object, SimpleObject};

use crate::kernel::limits;

/// The server.
pub(super) struct Service;

/// The server.
#[Object]
impl Service {
    /// Its version (semantic versioning).
    async fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    /// The limits in force: what passes one is refused.
    async fn limits(&self) -> Vec<ServiceLimit> {
        let limit = |limit: &limits::Limit| ServiceLimit {
            name: limit.name,
            value: i32::try_from(limit.value).unwrap_or(i32::MAX),
            unit: limit.unit,
        };
        limits::ALL.iter().map(limit).collect()
    }
}

/// A limit.
#[derive(SimpleObject)]
struct ServiceLimit {
    /// Its name, as messages and the manual use it.
    name: &'static str,
    /// The largest value that is accepted.
    value: i32,
    /// What `value` counts.
    unit: &'static str,
}
