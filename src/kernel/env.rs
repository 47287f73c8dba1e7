//! What work is done with: passed as one value, cheap to clone.

use std::sync::Arc;

use crate::kernel::clock::Clock;
use crate::kernel::db::Db;
use crate::kernel::mail::Mailer;
use crate::kernel::metrics::Metrics;
use crate::kernel::wake::Wake;
use crate::kernel::webhook::WebhookSender;

/// The database, the clock, what is counted and who is told.
#[derive(Debug, Clone)]
pub struct Env {
    /// Where everything is kept.
    pub db: Db,
    /// Where "now" comes from.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who is told that something was committed.
    pub wake: Wake,
    /// How addresses of customers are called.
    pub webhooks: WebhookSender,
    /// How e-mail is sent.
    pub mailer: Mailer,
}
