//! What is kept for a while only.

use sea_orm_migration::prelude::*;

migration! {
    /// Up to where a feed was swept, and the resolved errors by their age.
}

const UP: &str = "
ALTER TABLE feed_heads ADD COLUMN swept_sequence BIGINT NOT NULL DEFAULT 0;
-- What is swept first.
CREATE INDEX sync_errors_resolved ON sync_errors (hub_id, resolved_at) WHERE status = 2;
";

const DOWN: &str = "
DROP INDEX sync_errors_resolved;
ALTER TABLE feed_heads DROP COLUMN swept_sequence;
";
