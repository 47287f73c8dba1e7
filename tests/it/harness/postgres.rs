//! Databases on the PostgreSQL that `tests/run` starts.

use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use sync_health::kernel::auth::VerifierConfig;
use sync_health::kernel::config::Config;
use sync_health::kernel::db::Db;

/// A new database on the PostgreSQL that `tests/run` starts, copied from one that was migrated once.
pub async fn new_database() -> String {
    let base = std::env::var("SYNC_HEALTH_TEST_POSTGRES").expect(
        "SYNC_HEALTH_TEST_POSTGRES is not set: run tests/run, which starts a PostgreSQL of its own",
    );
    let admin = Database::connect(format!("{base}/postgres"))
        .await
        .expect("PostgreSQL");
    let template = "sync_health_template";
    let lock = sea_orm::TransactionTrait::begin(&admin)
        .await
        .expect("a transaction");
    run(&lock, "SELECT pg_advisory_xact_lock(4711)").await;
    let exists = Statement::from_string(
        DbBackend::Postgres,
        format!("SELECT 1 AS one FROM pg_database WHERE datname = '{template}'"),
    );
    if admin
        .query_one_raw(exists)
        .await
        .expect("an answer")
        .is_none()
    {
        run(&admin, &format!("CREATE DATABASE {template}_new")).await;
        let db = Db::connect(&Config::new(
            format!("{base}/{template}_new"),
            VerifierConfig::of_secret(Vec::new()),
        ))
        .await
        .expect("the template");
        db.migrate().await.expect("a migrated template");
        db.close().await.expect("a closed template");
        run(
            &admin,
            &format!("ALTER DATABASE {template}_new RENAME TO {template}"),
        )
        .await;
    }
    let name = format!("test_{}", uuid::Uuid::now_v7().simple());
    run(
        &admin,
        &format!("CREATE DATABASE {name} TEMPLATE {template}"),
    )
    .await;
    lock.commit().await.expect("a commit");
    admin.close().await.expect("a closed connection");
    format!("{base}/{name}")
}

/// A new database without tables.
pub async fn empty_database() -> String {
    let base = std::env::var("SYNC_HEALTH_TEST_POSTGRES").expect("a PostgreSQL");
    let name = format!("test_{}", uuid::Uuid::now_v7().simple());
    let admin = Database::connect(format!("{base}/postgres"))
        .await
        .expect("PostgreSQL");
    run(&admin, &format!("CREATE DATABASE {name}")).await;
    admin.close().await.expect("a closed connection");
    format!("{base}/{name}")
}

async fn run<C: ConnectionTrait>(db: &C, sql: &str) {
    db.execute_unprepared(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}
