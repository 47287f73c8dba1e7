//! What is counted, for `GET /metrics` (OpenMetrics text, which Prometheus reads). A value of the server, no static.
//!
//! Labels hold only what is a closed set or comes from our own tables: never a tenant, a subject or a record's value.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::kernel::db::Pool;
use crate::kernel::error::{Error, Result};
use crate::kernel::panics::Panics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    path: &'static str,
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    limit: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Classified {
    category: &'static str,
    r#type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct System {
    system: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolState {
    pool: &'static str,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Live {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Sent {
    channel: &'static str,
    outcome: &'static str,
}

/// The counters of one server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    duration: Family<Operation, Histogram>,
    cost: Histogram,
    refusals: Family<Refusal, Counter>,
    failures: Family<Outcome, Counter>,
    causes: Family<Classified, Counter>,
    unknown_codes: Family<System, Counter>,
    resync_items: Family<Outcome, Counter>,
    webhook_calls: Family<Outcome, Counter>,
    notification_attempts: Family<Sent, Counter>,
    database_connections: Family<PoolState, Gauge>,
    connections: Gauge,
    live: Family<Live, Gauge>,
    exports: Family<Outcome, Counter>,
    process: Process,
}

/// What the operating system says of this process.
#[derive(Debug, Default)]
struct Process {
    resident_bytes: Gauge,
    cpu_seconds: Counter<f64, AtomicU64>,
    open_files: Gauge,
    threads: Gauge,
}

/// From 0.25 ms to 8 s, each twice the one before.
fn duration_buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 16))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            requests: Family::default(),
            duration: Family::new_with_constructor(duration_buckets),
            cost: Histogram::new(exponential_buckets(1.0, 4.0, 9)),
            refusals: Family::default(),
            failures: Family::default(),
            causes: Family::default(),
            unknown_codes: Family::default(),
            resync_items: Family::default(),
            webhook_calls: Family::default(),
            notification_attempts: Family::default(),
            database_connections: Family::default(),
            connections: Gauge::default(),
            live: Family::default(),
            exports: Family::default(),
            process: Process::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    /// With the panics of the process.
    pub fn of(panics: &Panics) -> Self {
        let mut metrics = Self::default();
        let registry = metrics.registry.sub_registry_with_prefix("sync_health");
        registry.register(
            "panics",
            "Panics of the process; the log names the places",
            panics.counter(),
        );
        metrics
    }

    fn register(&mut self) {
        self.process.register(&mut self.registry);
        let registry = self.registry.sub_registry_with_prefix("sync_health");
        registry.register(
            "requests",
            "HTTP requests by path, GraphQL operation type and outcome: ok, errors, or the code of the refusal",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "Time to the answer, by GraphQL operation type",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register(
            "operation_cost_points",
            "Cost of GraphQL operations",
            self.cost.clone(),
        );
        registry.register(
            "refusals",
            "Requests refused by a limit, by its name",
            self.refusals.clone(),
        );
        registry.register(
            "failures",
            "Reported failures by outcome: recorded, repeated, refused",
            self.failures.clone(),
        );
        registry.register(
            "causes",
            "Causes of recorded failures by category and type",
            self.causes.clone(),
        );
        registry.register(
            "unknown_codes",
            "Causes whose code no rule knows, by system; the log names the codes",
            self.unknown_codes.clone(),
        );
        registry.register(
            "resync_items",
            "Resync items by what engines did: claimed, succeeded, failed, removed, returned, and answers that came too late (lost)",
            self.resync_items.clone(),
        );
        registry.register(
            "webhook_calls",
            "Calls to addresses of portals by outcome: delivered, failed",
            self.webhook_calls.clone(),
        );
        registry.register(
            "notification_attempts",
            "Attempts to deliver notifications by channel (email, webhook) and outcome: delivered, failed",
            self.notification_attempts.clone(),
        );
        registry.register(
            "database_connections",
            "Connections by pool and state",
            self.database_connections.clone(),
        );
        registry.register(
            "connections",
            "Connections of clients that are open now",
            self.connections.clone(),
        );
        registry.register(
            "live",
            "What is open now, by kind: websocket, sse, subscription, upload, export",
            self.live.clone(),
        );
        registry.register(
            "exports",
            "Downloads of exports by outcome: whole, cut_off",
            self.exports.clone(),
        );
    }

    /// A request was answered. `operation` is empty where it is no GraphQL.
    pub fn answered(
        &self,
        path: &'static str,
        operation: &'static str,
        outcome: &'static str,
        took: Duration,
    ) {
        let request = Request {
            path,
            operation,
            outcome,
        };
        self.requests.get_or_create(&request).inc();
        let operation = Operation { operation };
        self.duration
            .get_or_create(&operation)
            .observe(took.as_secs_f64());
    }

    /// An operation was measured, in points.
    pub fn measured(&self, cost: u64) {
        self.cost.observe(cost as f64);
    }

    /// So many more connections of clients are there.
    pub fn connected(&self, more: i64) {
        self.connections.inc_by(more);
    }

    /// So many more of this kind are there: websocket, sse, subscription, upload, export.
    pub fn seated(&self, kind: &'static str, more: i64) {
        self.live.get_or_create(&Live { kind }).inc_by(more);
    }

    /// A limit refused a request.
    pub fn refused_by(&self, limit: &'static str) {
        self.refusals.get_or_create(&Refusal { limit }).inc();
    }

    /// So many reported failures had this outcome.
    pub fn failures(&self, outcome: &'static str, count: u64) {
        self.failures
            .get_or_create(&Outcome { outcome })
            .inc_by(count);
    }

    /// So many recorded failures had a cause of this category and type.
    pub fn classified(&self, category: &'static str, r#type: &'static str, count: u64) {
        let classified = Classified { category, r#type };
        self.causes.get_or_create(&classified).inc_by(count);
    }

    /// Engines did this with so many resync items.
    pub fn resync_items(&self, outcome: &'static str, count: u64) {
        let items = self.resync_items.get_or_create(&Outcome { outcome });
        items.inc_by(count);
    }

    /// An address of a portal was called.
    pub fn webhook_called(&self, is_delivered: bool) {
        let outcome = match is_delivered {
            true => "delivered",
            false => "failed",
        };
        self.webhook_calls.get_or_create(&Outcome { outcome }).inc();
    }

    /// A download ended.
    pub fn exported(&self, is_whole: bool) {
        let outcome = match is_whole {
            true => "whole",
            false => "cut_off",
        };
        self.exports.get_or_create(&Outcome { outcome }).inc();
    }

    /// A notification was tried to be delivered.
    pub fn notification_sent(&self, channel: &'static str, outcome: &'static str) {
        let sent = Sent { channel, outcome };
        self.notification_attempts.get_or_create(&sent).inc();
    }

    /// So many causes had a code that no rule knows.
    pub fn unknown_codes(&self, system: &'static str, count: u64) {
        self.unknown_codes
            .get_or_create(&System { system })
            .inc_by(count);
    }

    /// Everything in OpenMetrics' text format, pools and process as they are now.
    pub fn text(&self, pools: [Pool; 2]) -> Result<String> {
        for Pool { pool, open, idle } in pools {
            for (state, count) in [("idle", idle), ("used", open.saturating_sub(idle))] {
                let gauge = self
                    .database_connections
                    .get_or_create(&PoolState { pool, state });
                gauge.set(i64::from(count));
            }
        }
        self.process.read();
        let mut text = String::new();
        encode(&mut text, &self.registry).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(text)
    }
}

impl Process {
    /// By the names that all Prometheus clients use.
    fn register(&self, registry: &mut Registry) {
        let resident = "process_resident_memory_bytes";
        registry.register(resident, "Memory in use", self.resident_bytes.clone());
        let cpu = "process_cpu_seconds";
        registry.register(cpu, "Processor time used", self.cpu_seconds.clone());
        let files = "process_open_fds";
        registry.register(files, "Open file descriptors", self.open_files.clone());
        let threads = "process_threads";
        registry.register(threads, "Threads of the system", self.threads.clone());
    }

    /// Only where there is a `/proc`; elsewhere the gauges stay 0.
    #[cfg(target_os = "linux")]
    fn read(&self) {
        let Ok(process) = procfs::process::Process::myself() else {
            return;
        };
        if let Ok(stat) = process.stat() {
            let pages = i64::try_from(stat.rss).unwrap_or(i64::MAX);
            let page = i64::try_from(procfs::page_size()).unwrap_or(4_096);
            self.resident_bytes.set(pages.saturating_mul(page));
            let ticks = (stat.utime + stat.stime) as f64;
            let seconds = ticks / procfs::ticks_per_second() as f64;
            let stored = self.cpu_seconds.inner();
            stored.store(seconds.to_bits(), Ordering::Relaxed);
            self.threads.set(stat.num_threads);
        }
        if let Ok(count) = process.fd_count() {
            self.open_files
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn read(&self) {}
}
