//! Saved views of affected records.

use sea_orm_migration::prelude::*;

migration! {
    /// Their table.
}

const UP: &str = "
CREATE TABLE record_views (
    hub_id BIGINT NOT NULL,
    id KEY16 NOT NULL,
    name TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    system SMALLINT NOT NULL,
    object_type TEXT NOT NULL,
    error_id KEY16,
    filter TEXT,
    PRIMARY KEY (hub_id, id)
);
";

const DOWN: &str = "
DROP TABLE record_views;
";
