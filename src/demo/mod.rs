//! A simulated engine for looking around: two portals, all eight categories, real-looking failures. It uses nothing
//! but the public API over HTTP, as any engine does.

mod calls;
mod engine;
mod retries;
mod scenario;

use std::net::SocketAddr;
use std::path::Path;

use chrono::{Duration, Utc};

use crate::kernel::auth;
use crate::kernel::error::Result;

pub use engine::run;

/// The portals of the demo.
pub const PORTALS: [i64; 2] = [1001, 1002];

/// Who the demo's e-mail comes from, and who gets it.
pub const MAIL_FROM: &str = "Sync Health <sync-health@nordwind.example>";
const MAIL_TO: &str = "operations@nordwind.example";
/// For how long news are gathered: nobody looks on for a minute.
pub const GATHERING: std::time::Duration = std::time::Duration::from_secs(10);

/// One token for each kind of user.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// For front ends.
    pub read: String,
    /// For operators.
    pub manage: String,
    /// For engines.
    pub report: String,
}

impl Tokens {
    /// Signs tokens for both portals, good for a day.
    pub fn sign(secret: &[u8]) -> Result<Self> {
        let portals = PORTALS.map(|id| id.to_string());
        let sign = |subject: &str, scope: &str| {
            auth::sign(
                secret,
                subject,
                &portals,
                scope,
                Utc::now() + Duration::days(1),
            )
        };
        Ok(Self {
            read: sign("demo-dashboard", "sync-health:read")?,
            manage: sign("demo-operator", "sync-health:manage")?,
            report: sign("demo-engine", "sync-health:report")?,
        })
    }
}

/// What the demo prints: where it is, how to get in, and a command that shows something when pasted.
pub fn greeting(address: SocketAddr, tokens: &Tokens, mails: &Path) -> String {
    let Tokens {
        read,
        manage,
        report,
    } = tokens;
    let mails = mails.display();
    let query = "{ portal(hubId: 1001) { name quota { usedLast24Hours allocatedToHubspot state } categories { title openErrorCount affectedRecordCount } \
        syncErrors(first: 5, orderBy: {field: AFFECTED_RECORD_COUNT}) { totalCount nodes { title affectedRecordCount message } } } }";
    let events = "subscription { syncErrorEvents(hubId: 1001, kinds: []) { at kind syncError { title affectedRecordCount } } }";
    format!(
        "Sync Health demo on http://{address}/graphql (portals 1001 and 1002; Ctrl-C ends it and removes its data)\n\n\
         read token:    {read}\n\nmanage token:  {manage}\n\nreport token:  {report}\n\n\
         What is new is mailed into the folder {mails} (.eml, one a message)\n\n\
         Look around in a browser:\n\nhttp://{address}/graphiql#token={read}\n\n\
         Paste this into another terminal:\n\n\
         curl -s http://{address}/graphql -H 'Content-Type: application/json' \\\n  -H 'Authorization: Bearer {read}' \\\n  -d '{{\"query\":\"{query}\"}}'\n\n\
         And this one, to hear what happens:\n\n\
         curl -N http://{address}/graphql -H 'Content-Type: application/json' -H 'Accept: text/event-stream' \\\n  -H 'Authorization: Bearer {read}' \\\n  -d '{{\"query\":\"{events}\"}}'\n\n"
    )
}
