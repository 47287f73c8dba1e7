//! What the server tells of itself.

use std::num::NonZeroU32;

use async_graphql::{Object, SimpleObject};

use crate::kernel::config::{Config, ConnectionConfig, LiveConfig, Rate};
use crate::kernel::limits;
use crate::kernel::scalars::count;

/// The server.
pub(super) struct Service {
    points: Rate,
    report_points: Rate,
    connections: ConnectionConfig,
    live: LiveConfig,
    portal_errors: usize,
}

impl Service {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            points: config.points,
            report_points: config.report_points,
            connections: config.connections,
            live: config.live,
            portal_errors: config.portal_errors,
        }
    }

    /// Where the configuration sets a limit, its value; else the limit's own.
    fn value(&self, limit: &limits::Limit) -> i32 {
        let (reports, live, connections) = (self.report_points, self.live, self.connections);
        let size = |number: NonZeroU32| number.get() as usize;
        let configured = [
            (limits::BUCKET_POINTS, size(self.points.bucket)),
            (limits::RESTORED_POINTS, size(self.points.per_second)),
            (limits::REPORT_BUCKET_POINTS, size(reports.bucket)),
            (limits::RESTORED_REPORT_POINTS, size(reports.per_second)),
            (limits::PORTAL_ERRORS, self.portal_errors),
            (limits::CONNECTIONS, connections.most),
            (limits::PEER_CONNECTIONS, connections.of_peer),
            (limits::LIVE_CONNECTIONS, live.connections),
            (limits::PORTAL_SUBSCRIPTIONS, live.portal_subscriptions),
            (limits::PING_SECONDS, live.ping.as_secs() as usize),
            (limits::SEND_SECONDS, live.send.as_secs() as usize),
        ];
        let value = configured
            .iter()
            .find(|(configured, _)| configured.name == limit.name)
            .map_or(limit.value, |(_, value)| *value);
        count(value)
    }
}

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
            value: self.value(limit),
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
