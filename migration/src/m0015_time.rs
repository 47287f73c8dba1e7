//! Time within a portal never runs backwards, whatever clocks do.

use sea_orm_migration::prelude::*;

migration! {
    /// The latest instant that a change of the portal was given.
}

const UP: &str = "
ALTER TABLE feed_heads ADD COLUMN latest_at BIGINT NOT NULL DEFAULT 0;
";

const DOWN: &str = "
ALTER TABLE feed_heads DROP COLUMN latest_at;
";
