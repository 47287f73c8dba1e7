//! What happens to a portal as a whole, in the order of its feed.

use sea_orm_migration::prelude::*;

migration! {
    /// Its table, and what the last told state of the calls was.
}

const UP: &str = "
CREATE TABLE portal_events (
    hub_id BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    occurred_at BIGINT NOT NULL,
    PRIMARY KEY (hub_id, sequence)
) CLUSTERED;
ALTER TABLE quotas ADD COLUMN told_state SMALLINT NOT NULL DEFAULT 0;
-- Whose calls are short: looked at every minute.
CREATE INDEX quotas_short ON quotas (hub_id) WHERE told_state > 0;
";

const DOWN: &str = "
DROP TABLE portal_events;
DROP INDEX quotas_short;
ALTER TABLE quotas DROP COLUMN told_state;
";
