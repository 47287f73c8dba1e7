//! Keys that all servers of a database share.

use sea_orm_migration::prelude::*;

migration! {
    /// Their table.
}

const UP: &str = "
CREATE TABLE server_keys (
    purpose TEXT NOT NULL PRIMARY KEY,
    secret TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
";

const DOWN: &str = "
DROP TABLE server_keys;
";
