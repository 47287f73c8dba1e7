//! A version and the next one run on one database: what a later migration adds does not concern this one.

use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::{Value, json};

use crate::exports::exported;
use crate::harness::{Backend, Server, both, failure, success};
use crate::push::Receiver;
use crate::upkeep::{fill, tables};

/// What a migration of the next version may do: columns that may be absent or have a default, tables, indexes.
async fn migrate_to_the_next(url: &str) {
    let db = Database::connect(url).await.expect("the database");
    let run = async |sql: String| {
        let statement = Statement::from_string(db.get_database_backend(), sql);
        db.execute_raw(statement).await.expect("a migration");
    };
    for table in tables(url).await {
        run(format!(
            "ALTER TABLE {table} ADD COLUMN a_text_of_tomorrow TEXT"
        ))
        .await;
        run(format!(
            "ALTER TABLE {table} ADD COLUMN a_count_of_tomorrow INTEGER NOT NULL DEFAULT 7"
        ))
        .await;
    }
    run("CREATE TABLE things_of_tomorrow (hub_id BIGINT NOT NULL, id BIGINT NOT NULL, PRIMARY KEY (hub_id, id))".into()).await;
    run("CREATE INDEX an_index_of_tomorrow ON sync_errors (hub_id, a_count_of_tomorrow)".into())
        .await;
    run("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_tomorrow', 1)".into())
        .await;
    db.close().await.expect("a closed database");
}

async fn readiness(server: &Server) -> (u16, String) {
    let answer = server
        .http
        .get(format!("{}/readyz", server.url))
        .send()
        .await
        .expect("an answer");
    (
        answer.status().as_u16(),
        answer.text().await.expect("a text"),
    )
}

const STATE: &str = "{ portal { categories { openErrorCount affectedRecordCount } syncErrors { nodes { title affectedRecordCount latestFailure { message } affectedRecords { nodes { message } } } }
    syncErrorEvents { totalCount } quota { usedLast24Hours } notificationSettings { frequency } recordViews { totalCount } } }";

both! {
    configure = |config| config.allows_private_webhooks = true;
    /// Migrated first, servers of this version go on, are ready, and can be started again, until the last one is replaced.
    async fn side_by_side(server) {
        let (_receiver, url) = Receiver::start().await;
        fill(server, &url).await;
        let before = server.read(STATE, json!({})).await;
        migrate_to_the_next(&server.database_url).await;
        assert_eq!(readiness(server).await, (200, "ready\n".into()));
        assert_eq!(server.read(STATE, json!({})).await, before);
        let clock = server.clock();
        let database_url = server.database_url.clone();
        let again = Server::start_with(Backend::Sqlite, |config| {
            config.database_url = database_url;
            config.clock = sync_health::kernel::clock::Clock::Manual(clock);
        })
        .await;
        assert_eq!(readiness(&again).await, (200, "ready\n".into()));
        for server in [server, &again] {
            let known: Value = server.read(STATE, json!({})).await["portal"]["syncErrorEvents"]["totalCount"].take();
            server.record(json!([failure(&format!("new {}", server.url), 30, json!({}))])).await;
            server.succeed(json!([success(&format!("new {}", server.url), 40)])).await;
            let now = server.read(STATE, json!({})).await;
            assert!(now["portal"]["syncErrorEvents"]["totalCount"].as_i64() > known.as_i64());
        }
        assert!(exported(&again, json!({ "format": "NDJSON" })).await.len() > 100);
        again.stop().await;
    }
}
