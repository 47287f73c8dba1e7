//! How SQLite goes about what is asked: no statement that a request sends reads all of a table or of a portal, or sorts
//! what an index has in order, whatever the database knows of its own contents.

mod explain;
mod requests;

use explain::{Database, refused};

use chrono::Duration;

use crate::harness::{Backend, Server, eventually, statements};
use crate::push::Receiver;

/// What SQLite knows of a database's contents: servers let it learn of large tables.
const KNOWN: [(&str, &[&str]); 3] = [
    ("nothing", &[]),
    (
        "what is large",
        &[
            "ANALYZE sync_errors",
            "ANALYZE latest_failures",
            "ANALYZE affected_records",
            "ANALYZE sync_error_events",
        ],
    ),
    ("all", &["ANALYZE"]),
];

/// One portal has many errors with few records, another few errors with very many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_all_that_is_hot() {
    let (_receiver, url) = Receiver::start().await;
    let server = Server::start_with(Backend::Sqlite, |config| {
        config.allows_private_webhooks = true;
    })
    .await;
    requests::fill(&server).await;
    requests::report(&server).await;
    requests::read(&server).await;
    requests::follow(&server, &url).await;
    requests::export(&server).await;
    requests::resync(&server).await;
    let mut wrong = Vec::new();
    for (known, preparation) in KNOWN {
        let database = Database::copied(&server, preparation).await;
        for sql in statements() {
            let plan = database.plan(&sql).await;
            let reasons = refused(&sql, &plan);
            if !reasons.is_empty() {
                wrong.push(format!(
                    "{reasons:?}\nwhere SQLite knows {known}\n{sql}\n  {}\n",
                    plan.join("\n  ")
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.finish().await;
}

/// Of a table that is small SQLite learns nothing: it would read all of it, also when it has grown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_tables_are_known() {
    let server = Server::start(Backend::Sqlite).await;
    requests::report_records(&server, "1001", (1, 10_001)).await;
    server.pass(Duration::minutes(61));
    let known = eventually("statistics", async || {
        let known = explain::known_tables(&server).await;
        (!known.is_empty()).then_some(known)
    });
    assert_eq!(known.await, ["affected_records"]);
    server.finish().await;
}
