//! Portals that are being erased.

use sea_orm_migration::prelude::*;

migration! {
    /// Their table: a row from the first step of an erasure to its last.
}

const UP: &str = "
CREATE TABLE erasures (
    hub_id BIGINT NOT NULL PRIMARY KEY,
    begun_at BIGINT NOT NULL,
    -- Who erases moves it with each step, so that others know that somebody does.
    stepped_at BIGINT NOT NULL
);
";

const DOWN: &str = "
DROP TABLE erasures;
";
