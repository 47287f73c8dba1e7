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

mod m0001_first_road;

/// All migrations, oldest first.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_first_road::Migration)]
    }
}

/// Runs a text of statements, each ended by `;`, in the dialect of the connection.
///
/// `KEY16` stands for the type of a 16-byte key, `CLUSTERED` for SQLite's storage of a narrow table by its
/// primary key.
async fn run(manager: &SchemaManager<'_>, statements: &str) -> Result<(), DbErr> {
    let (key16, clustered) = match manager.get_database_backend() {
        sea_orm_migration::sea_orm::DbBackend::Sqlite => ("BLOB", "WITHOUT ROWID"),
        _ => ("UUID", ""),
    };
    let connection = manager.get_connection();
    for statement in statements
        .split(';')
        .map(str::trim)
        .filter(|s| !s.is_empty())
    {
        let sql = statement
            .replace("KEY16", key16)
            .replace("CLUSTERED", clustered);
        connection.execute_unprepared(&sql).await?;
    }
    Ok(())
}
