//! What the last entry of a feed was, so that a cursor of its end knows its history.

use sea_orm_migration::prelude::*;

migration! {
    /// Its columns.
}

const UP: &str = "
-- Of the entry at digest_sequence: an older version moves the feed on without them.
ALTER TABLE feed_heads ADD COLUMN digest BIGINT NOT NULL DEFAULT 0;
ALTER TABLE feed_heads ADD COLUMN digest_sequence BIGINT NOT NULL DEFAULT 0;
";

const DOWN: &str = "
ALTER TABLE feed_heads DROP COLUMN digest;
ALTER TABLE feed_heads DROP COLUMN digest_sequence;
";
