//! Resync items that are pushed to an address of the portal.

use sea_orm_migration::prelude::*;

migration! {
    /// The address with its secrets, and what is being delivered.
}

const UP: &str = "
ALTER TABLE portals ADD COLUMN resync_webhook_url TEXT;
ALTER TABLE portals ADD COLUMN resync_webhook_secret TEXT;
ALTER TABLE portals ADD COLUMN resync_webhook_former_secret TEXT;
ALTER TABLE portals ADD COLUMN resync_webhook_rotated_at BIGINT;
-- The portals with an address.
CREATE INDEX portals_resync_webhook ON portals (hub_id) WHERE resync_webhook_url IS NOT NULL;

CREATE TABLE resync_pushes (
    hub_id BIGINT NOT NULL PRIMARY KEY,
    url TEXT,
    next_at BIGINT NOT NULL,
    message_id KEY16,
    body TEXT,
    item_ids TEXT,
    attempt_count INTEGER NOT NULL,
    last_error TEXT
) ROOMY;
";

const DOWN: &str = "
DROP TABLE resync_pushes;
DROP INDEX portals_resync_webhook;
ALTER TABLE portals DROP COLUMN resync_webhook_rotated_at;
ALTER TABLE portals DROP COLUMN resync_webhook_former_secret;
ALTER TABLE portals DROP COLUMN resync_webhook_secret;
ALTER TABLE portals DROP COLUMN resync_webhook_url;
";
