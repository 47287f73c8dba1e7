//! Databases on the PostgreSQL that `benches/run` starts.

use sea_orm::{ConnectionTrait, Database};

/// A new database on the PostgreSQL that `benches/run` starts.
pub async fn new_postgres_database(name: &str) -> String {
    let base = std::env::var("SYNC_HEALTH_BENCH_POSTGRES").expect(
        "SYNC_HEALTH_BENCH_POSTGRES: use benches/run, which starts a PostgreSQL of its own",
    );
    let db = Database::connect(format!("{base}/postgres"))
        .await
        .expect("PostgreSQL");
    db.execute_unprepared(&format!("CREATE DATABASE {name}"))
        .await
        .expect("a new database");
    db.close().await.expect("a closed connection");
    format!("{base}/{name}")
}
