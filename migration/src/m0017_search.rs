//! An index of the texts in which errors are searched.
//!
//! It lags behind: a trigger notes which errors have another text than the index knows, whatever version writes them,
//! and servers bring it up to date from time to time. A text that changes a hundred times meanwhile is indexed once, and
//! one that does not change costs nothing.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// Its tables, and all errors as such that it does not know yet.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let is_sqlite = manager.get_database_backend() == DbBackend::Sqlite;
        let own = if is_sqlite { SQLITE } else { POSTGRES };
        run(manager, own).await?;
        run(manager, &[ALL_ERRORS]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let is_sqlite = manager.get_database_backend() == DbBackend::Sqlite;
        let own = if is_sqlite {
            SQLITE_DOWN
        } else {
            POSTGRES_DOWN
        };
        run(manager, own).await
    }
}

/// Triggers and functions hold statements, so these are not told apart by `;`.
async fn run(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    for statement in statements {
        let connection = manager.get_connection();
        connection.execute_unprepared(statement).await?;
    }
    Ok(())
}

const ALL_ERRORS: &str =
    "INSERT INTO search_changes (hub_id, error_id) SELECT hub_id, id FROM sync_errors";

const SQLITE: &[&str] = &[
    // The texts as the index knows them. A portal's numbers are neighbours, so that the index is read for it alone.
    "CREATE TABLE search_texts (
        number INTEGER NOT NULL PRIMARY KEY,
        hub_id BIGINT NOT NULL,
        error_id BLOB NOT NULL,
        search_text TEXT NOT NULL,
        UNIQUE (hub_id, error_id)
    )",
    // Texts are folded already. Only which texts have three characters in a row is kept: who searches looks at the texts.
    "CREATE VIRTUAL TABLE search_index USING fts5 (
        search_text, content = 'search_texts', content_rowid = 'number', tokenize = 'trigram case_sensitive 1',
        detail = 'none', columnsize = 0
    )",
    "CREATE TRIGGER search_texts_inserted AFTER INSERT ON search_texts BEGIN
        INSERT INTO search_index (rowid, search_text) VALUES (NEW.number, NEW.search_text);
    END",
    "CREATE TRIGGER search_texts_updated AFTER UPDATE OF search_text ON search_texts BEGIN
        INSERT INTO search_index (search_index, rowid, search_text) VALUES ('delete', OLD.number, OLD.search_text);
        INSERT INTO search_index (rowid, search_text) VALUES (NEW.number, NEW.search_text);
    END",
    "CREATE TRIGGER search_texts_deleted AFTER DELETE ON search_texts BEGIN
        INSERT INTO search_index (search_index, rowid, search_text) VALUES ('delete', OLD.number, OLD.search_text);
    END",
    // Errors whose text is another one than in the index.
    "CREATE TABLE search_changes (
        hub_id BIGINT NOT NULL,
        error_id BLOB NOT NULL,
        PRIMARY KEY (hub_id, error_id)
    ) WITHOUT ROWID",
    "CREATE TRIGGER sync_errors_inserted AFTER INSERT ON sync_errors BEGIN
        INSERT INTO search_changes (hub_id, error_id) VALUES (NEW.hub_id, NEW.id) ON CONFLICT DO NOTHING;
    END",
    "CREATE TRIGGER sync_errors_updated AFTER UPDATE OF search_text ON sync_errors
    WHEN OLD.search_text <> NEW.search_text BEGIN
        INSERT INTO search_changes (hub_id, error_id) VALUES (NEW.hub_id, NEW.id) ON CONFLICT DO NOTHING;
    END",
    "CREATE TRIGGER sync_errors_deleted AFTER DELETE ON sync_errors BEGIN
        INSERT INTO search_changes (hub_id, error_id) VALUES (OLD.hub_id, OLD.id) ON CONFLICT DO NOTHING;
    END",
];

const SQLITE_DOWN: &[&str] = &[
    "DROP TRIGGER sync_errors_deleted",
    "DROP TRIGGER sync_errors_updated",
    "DROP TRIGGER sync_errors_inserted",
    "DROP TABLE search_changes",
    "DROP TABLE search_index",
    "DROP TABLE search_texts",
];

const POSTGRES: &[&str] = &[
    // The texts as the index knows them: apart from the errors, whose every change would be one of the index.
    "CREATE TABLE search_texts (
        hub_id BIGINT NOT NULL,
        error_id UUID NOT NULL,
        search_text TEXT NOT NULL,
        PRIMARY KEY (hub_id, error_id)
    )",
    // Where the extensions may not be made, or are not there, the texts are read one by one.
    "DO $$ BEGIN
        CREATE EXTENSION IF NOT EXISTS pg_trgm;
        CREATE EXTENSION IF NOT EXISTS btree_gin;
        CREATE INDEX search_index ON search_texts USING gin (hub_id, search_text gin_trgm_ops);
    EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_file OR undefined_object THEN
        RAISE NOTICE 'searches have no index: %', SQLERRM;
    END $$",
    // Errors whose text is another one than in the index.
    "CREATE TABLE search_changes (
        hub_id BIGINT NOT NULL,
        error_id UUID NOT NULL,
        PRIMARY KEY (hub_id, error_id)
    )",
    "CREATE FUNCTION note_search_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF TG_OP = 'DELETE' THEN
            INSERT INTO search_changes (hub_id, error_id) VALUES (OLD.hub_id, OLD.id) ON CONFLICT DO NOTHING;
        ELSE
            INSERT INTO search_changes (hub_id, error_id) VALUES (NEW.hub_id, NEW.id) ON CONFLICT DO NOTHING;
        END IF;
        RETURN NULL;
    END $$",
    "CREATE TRIGGER sync_errors_inserted_or_deleted AFTER INSERT OR DELETE ON sync_errors
    FOR EACH ROW EXECUTE FUNCTION note_search_change()",
    "CREATE TRIGGER sync_errors_updated AFTER UPDATE OF search_text ON sync_errors
    FOR EACH ROW WHEN (OLD.search_text <> NEW.search_text) EXECUTE FUNCTION note_search_change()",
];

const POSTGRES_DOWN: &[&str] = &[
    "DROP TRIGGER sync_errors_updated ON sync_errors",
    "DROP TRIGGER sync_errors_inserted_or_deleted ON sync_errors",
    "DROP FUNCTION note_search_change()",
    "DROP TABLE search_changes",
    "DROP TABLE search_texts",
];
