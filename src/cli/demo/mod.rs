//! A simulated engine for looking around: two portals, all eight categories, real-looking failures. It uses nothing
//! but the public API over HTTP, as any engine does.

mod calls;
mod engine;
mod retries;
mod scenario;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chrono::{Duration, Utc};
use clap::Args;
use sync_health::kernel::auth::{self, VerifierConfig};
use sync_health::kernel::config::Config;
use sync_health::kernel::error::Result;
use sync_health::kernel::mail::MailConfig;
use sync_health::kernel::panics::Panics;
use sync_health::server;

use super::listener::{bind, stop_signal};
use super::terminal::{show, text};

#[derive(Args)]
pub struct Demo {
    /// Address and port to listen on.
    #[arg(long, env = "SYNC_HEALTH_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Stop after this many seconds instead of running until interrupted.
    #[arg(long)]
    pub seconds: Option<u64>,
}

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

/// Serves the demo until a signal stops it, and removes it.
pub async fn run(options: Demo, panics: Panics) -> std::result::Result<(), String> {
    let listener = bind(&options.listen).await?;
    let folder: PathBuf =
        std::env::temp_dir().join(format!("sync-health-demo-{}", uuid::Uuid::now_v7()));
    let mails = folder.join("mails");
    std::fs::create_dir_all(&mails).map_err(|error| error.to_string())?;
    let url = format!("sqlite://{}", folder.join("demo.db").display());
    let secret = format!(
        "{}{}",
        uuid::Uuid::now_v7().simple(),
        uuid::Uuid::now_v7().simple()
    );
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let tokens = Tokens::sign(secret.as_bytes()).map_err(text)?;
    show(&greeting(address, &tokens, &mails));
    let stop = async move {
        let end = async move {
            match options.seconds {
                Some(seconds) => tokio::time::sleep(std::time::Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! { () = stop_signal() => {}, () = end => {} }
    };
    let engine = tokio::spawn(engine::run(address, tokens));
    let auth = VerifierConfig::of_secret(secret.into_bytes());
    let mail = MailConfig::Folder {
        path: mails,
        from: MAIL_FROM.to_owned(),
    };
    let config = Config {
        graphiql: true,
        panics,
        gathering: GATHERING,
        // The folder is the only recipient.
        confirms_emails: false,
        mail,
        ..Config::new(url, auth)
    };
    let served = server::run(config, listener, stop).await.map_err(text);
    engine.abort();
    let _ = std::fs::remove_dir_all(&folder);
    served
}
