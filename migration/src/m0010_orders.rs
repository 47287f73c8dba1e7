//! Indexes of an order and of a search that had none.

use sea_orm_migration::prelude::*;

migration! {
    /// The most frequent errors, and each portal's leases that end.
}

const UP: &str = "
-- The most frequent first.
CREATE INDEX sync_errors_open_occurrences ON sync_errors (hub_id, occurrence_count, id) WHERE status < 2;
-- Whether a portal's leases have ended: each claim looks.
CREATE INDEX resync_items_expiring ON resync_items (hub_id, lease_expires_at) WHERE settled_at IS NULL AND lease_expires_at IS NOT NULL;
";

const DOWN: &str = "
DROP INDEX resync_items_expiring;
DROP INDEX sync_errors_open_occurrences;
";
