//! API calls: what is allocated, used and set aside.

use sea_orm_migration::prelude::*;

migration! {
    /// Their tables.
}

const UP: &str = "
CREATE TABLE quotas (
    hub_id BIGINT NOT NULL PRIMARY KEY,
    allocated INTEGER,
    salesforce_limit INTEGER,
    org_used INTEGER,
    org_read_at BIGINT,
    measured_at BIGINT
) ROOMY;

-- One row for each minute with calls, or with another limit or allocation: a day is at most 1,440 rows.
CREATE TABLE api_usage_minutes (
    hub_id BIGINT NOT NULL,
    minute BIGINT NOT NULL,
    used BIGINT NOT NULL,
    salesforce_limit INTEGER,
    allocated INTEGER,
    PRIMARY KEY (hub_id, minute)
) CLUSTERED ROOMY;

CREATE TABLE api_usage_reports (
    hub_id BIGINT NOT NULL,
    digest KEY16 NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (hub_id, digest)
) CLUSTERED;

CREATE TABLE api_reservations (
    hub_id BIGINT NOT NULL,
    id KEY16 NOT NULL,
    calls INTEGER NOT NULL,
    purpose SMALLINT NOT NULL,
    expires_at BIGINT NOT NULL,
    settled_at BIGINT,
    idempotency_digest KEY16,
    PRIMARY KEY (hub_id, id)
);
-- What is set aside at present.
CREATE INDEX api_reservations_open ON api_reservations (hub_id, expires_at) WHERE settled_at IS NULL;
-- A request that is sent again gets the same reservation.
CREATE UNIQUE INDEX api_reservations_idempotency ON api_reservations (hub_id, idempotency_digest) WHERE idempotency_digest IS NOT NULL;
";

const DOWN: &str = "
DROP TABLE api_reservations;
DROP TABLE api_usage_reports;
DROP TABLE api_usage_minutes;
DROP TABLE quotas;
";
