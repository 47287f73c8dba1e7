//! Resync: batches, what became of each of their errors, the records that engines try again.

use sea_orm_migration::prelude::*;

migration! {
    /// Their tables, the errors of a card that are resyncing, and since when an error is open.
}

/// The batch whose id is zero is a portal's automatic retries: it exists once an engine has claimed.
const UP: &str = "
ALTER TABLE category_counters ADD COLUMN resyncing_error_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sync_errors ADD COLUMN opened_at BIGINT;

CREATE TABLE resync_batches (
    hub_id BIGINT NOT NULL,
    id KEY16 NOT NULL,
    status SMALLINT NOT NULL,
    requested_by TEXT NOT NULL,
    requested_at BIGINT NOT NULL,
    finished_at BIGINT,
    waiting_until BIGINT,
    claimed_at BIGINT NOT NULL,
    records_per_error INTEGER,
    filter TEXT,
    reached_through KEY16,
    unreached_error_count INTEGER NOT NULL,
    unreached_record_count INTEGER NOT NULL,
    error_count INTEGER NOT NULL,
    waiting_count INTEGER NOT NULL,
    claimed_count INTEGER NOT NULL,
    succeeded_count INTEGER NOT NULL,
    failed_count INTEGER NOT NULL,
    cancelled_count INTEGER NOT NULL,
    idempotency_digest KEY16,
    request_digest KEY16,
    PRIMARY KEY (hub_id, id)
) ROOMY;
-- What can be claimed: whoever was claimed from longest ago comes first.
CREATE INDEX resync_batches_waiting ON resync_batches (hub_id, claimed_at, id) WHERE waiting_count > 0;
-- A request that is sent again gets the same batch.
CREATE UNIQUE INDEX resync_batches_idempotency ON resync_batches (hub_id, idempotency_digest) WHERE idempotency_digest IS NOT NULL;
-- The portals with automatic retries.
CREATE INDEX resync_batches_automatic ON resync_batches (hub_id) WHERE id = NIL16;

CREATE TABLE resync_results (
    hub_id BIGINT NOT NULL,
    batch_id KEY16 NOT NULL,
    error_id KEY16 NOT NULL,
    status SMALLINT NOT NULL,
    finished_at BIGINT,
    taken_through KEY16,
    taken_until KEY16,
    untaken_count INTEGER NOT NULL,
    waiting_count INTEGER NOT NULL,
    claimed_count INTEGER NOT NULL,
    succeeded_count INTEGER NOT NULL,
    failed_count INTEGER NOT NULL,
    cancelled_count INTEGER NOT NULL,
    attempt_count INTEGER NOT NULL,
    next_at BIGINT,
    PRIMARY KEY (hub_id, batch_id, error_id)
) ROOMY;
-- The latest resync of an error.
CREATE INDEX resync_results_error ON resync_results (hub_id, error_id, batch_id);
-- Whether an error is being resynced.
CREATE INDEX resync_results_unfinished ON resync_results (hub_id, error_id) WHERE finished_at IS NULL;
-- The errors of a batch whose records wait, in the order in which they are taken.
CREATE INDEX resync_results_waiting ON resync_results (hub_id, batch_id, error_id) WHERE waiting_count > 0;
CREATE TABLE resync_items (
    hub_id BIGINT NOT NULL,
    id KEY16 NOT NULL,
    batch_id KEY16 NOT NULL,
    error_id KEY16 NOT NULL,
    record_id KEY16 NOT NULL,
    direction SMALLINT NOT NULL,
    hubspot_object_type TEXT,
    hubspot_record_id TEXT,
    salesforce_object_type TEXT,
    salesforce_record_id TEXT,
    attempt INTEGER NOT NULL,
    claimed_by TEXT NOT NULL,
    lease_expires_at BIGINT,
    reservation_id KEY16,
    settled_at BIGINT,
    settled_attempt INTEGER,
    outcome SMALLINT,
    PRIMARY KEY (hub_id, id)
) ROOMY;
-- At most one unsettled item for each record of an error.
CREATE UNIQUE INDEX resync_items_record ON resync_items (hub_id, error_id, record_id) WHERE settled_at IS NULL;
-- What a batch has taken and not settled.
CREATE INDEX resync_items_batch ON resync_items (hub_id, batch_id, id) WHERE settled_at IS NULL;
-- Whether a batch has tried a record.
CREATE INDEX resync_items_tried ON resync_items (hub_id, batch_id, error_id, record_id);
-- Leases that end.
CREATE INDEX resync_items_leases ON resync_items (lease_expires_at) WHERE settled_at IS NULL AND lease_expires_at IS NOT NULL;

-- What is tried again by itself.
CREATE INDEX sync_errors_transient ON sync_errors (hub_id, opened_at) WHERE transient AND status = 0;
";

const DOWN: &str = "
DROP INDEX sync_errors_transient;
DROP TABLE resync_items;
DROP TABLE resync_results;
DROP TABLE resync_batches;
ALTER TABLE sync_errors DROP COLUMN opened_at;
ALTER TABLE category_counters DROP COLUMN resyncing_error_count;
";
