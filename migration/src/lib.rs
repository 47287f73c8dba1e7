//! The tables of Sync Health, for SQLite and PostgreSQL alike.
//!
//! One text of SQL serves both: an instant is a `BIGINT` of microseconds since 1970 (UTC), an enum a
//! `SMALLINT`, a list or an object JSON in `TEXT`; the only type that differs is the 16-byte key.
//! A migration only adds (expand); what no supported version reads any more goes in a later one (contract),
//! so that two neighbouring versions can run on one database.
//!
//! There is no foreign key between the tables: each change of a portal holds the portal's row in
//! `feed_heads`, which a foreign key would lock a second time.

pub use sea_orm_migration::prelude::*;

/// A migration of two texts of statements, `UP` and `DOWN`, named after its file.
macro_rules! migration {
    ($(#[$doc:meta])*) => {
        $(#[$doc])*
        #[derive(sea_orm_migration::prelude::DeriveMigrationName)]
        pub(crate) struct Migration;

        #[async_trait::async_trait]
        impl sea_orm_migration::prelude::MigrationTrait for Migration {
            /// All of its statements and the word that it was made are kept together, on both databases.
            fn use_transaction(&self) -> Option<bool> {
                Some(true)
            }

            async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
                crate::run(manager, UP).await
            }

            async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
                crate::run(manager, DOWN).await
            }
        }
    };
}

mod m0001_first_road;
mod m0002_server_keys;
mod m0003_quota;
mod m0004_portal_events;
mod m0005_resync;
mod m0006_resync_webhooks;
mod m0007_notifications;
mod m0008_retention;
mod m0009_record_views;
mod m0010_orders;
mod m0012_erasures;
mod m0014_history;
mod m0015_time;
mod m0016_write_probes;
mod m0017_search;
mod m0018_confirmations;

/// All migrations, oldest first.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_first_road::Migration),
            Box::new(m0002_server_keys::Migration),
            Box::new(m0003_quota::Migration),
            Box::new(m0004_portal_events::Migration),
            Box::new(m0005_resync::Migration),
            Box::new(m0006_resync_webhooks::Migration),
            Box::new(m0007_notifications::Migration),
            Box::new(m0008_retention::Migration),
            Box::new(m0009_record_views::Migration),
            Box::new(m0010_orders::Migration),
            Box::new(m0012_erasures::Migration),
            Box::new(m0014_history::Migration),
            Box::new(m0015_time::Migration),
            Box::new(m0016_write_probes::Migration),
            Box::new(m0017_search::Migration),
            Box::new(m0018_confirmations::Migration),
        ]
    }
}

/// Runs a text of statements, each ended by `;`, in the dialect of the connection.
///
/// `KEY16` stands for the type of a 16-byte key, `NIL16` for the one that is zero, `CLUSTERED` for SQLite's storage of a narrow table by its
/// primary key, `BYTEWISE` for a text that is compared byte by byte, whatever the language of the database, and
/// `ROOMY` for a table whose rows PostgreSQL can change in place, because none of its indexes is touched.
async fn run(manager: &SchemaManager<'_>, statements: &str) -> Result<(), DbErr> {
    let tokens = match manager.get_database_backend() {
        sea_orm_migration::sea_orm::DbBackend::Sqlite => [
            ("KEY16", "BLOB"),
            ("NIL16", "x'00000000000000000000000000000000'"),
            ("CLUSTERED", "WITHOUT ROWID"),
            ("BYTEWISE", ""),
            ("ROOMY", ""),
        ],
        _ => [
            ("KEY16", "UUID"),
            ("NIL16", "'00000000-0000-0000-0000-000000000000'"),
            ("CLUSTERED", ""),
            ("BYTEWISE", "COLLATE \"C\""),
            ("ROOMY", "WITH (fillfactor = 80)"),
        ],
    };
    let connection = manager.get_connection();
    for statement in statements
        .split(';')
        .map(str::trim)
        .filter(|s| !s.is_empty())
    {
        let sql = tokens
            .iter()
            .fold(statement.to_owned(), |sql, (token, meaning)| {
                sql.replace(token, meaning)
            });
        connection.execute_unprepared(&sql).await?;
    }
    Ok(())
}
