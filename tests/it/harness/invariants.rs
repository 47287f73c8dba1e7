//! What has to hold in every database, whatever a test did: `sync-health doctor` finds nothing.

use sync_health::kernel::auth::VerifierConfig;
use sync_health::kernel::config::Config;
use sync_health::kernel::db::Db;
use sync_health::upkeep;

pub async fn check(database_url: &str) {
    let auth = VerifierConfig::of_secret(Vec::new());
    let config = Config::new(database_url.to_owned(), auth);
    let db = Db::connect(&config).await.expect("the database");
    let findings = upkeep::examine(&db).await.expect("an examination");
    assert!(findings.is_empty(), "{findings:#?}");
    db.close().await.expect("a closed database");
}
