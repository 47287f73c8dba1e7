//! Portals, sync errors with their affected records, the feed, counters and trend.

use sea_orm_migration::prelude::*;

migration! {
    /// The first tables.
}

const UP: &str = "
CREATE TABLE portals (
    hub_id BIGINT NOT NULL PRIMARY KEY,
    name TEXT,
    time_zone TEXT NOT NULL,
    locale SMALLINT NOT NULL,
    hubspot_app_url TEXT NOT NULL,
    salesforce_instance_url TEXT,
    salesforce_username TEXT,
    sync_state SMALLINT NOT NULL,
    suspension_reason SMALLINT,
    suspended_since BIGINT,
    state_reported_at BIGINT,
    search_text TEXT NOT NULL
);

CREATE TABLE feed_heads (
    hub_id BIGINT NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    open_error_count INTEGER NOT NULL
) ROOMY;

CREATE TABLE category_counters (
    hub_id BIGINT NOT NULL,
    category SMALLINT NOT NULL,
    open_error_count INTEGER NOT NULL,
    resolved_error_count INTEGER NOT NULL,
    affected_record_count INTEGER NOT NULL,
    PRIMARY KEY (hub_id, category)
) CLUSTERED ROOMY;

CREATE TABLE trend_points (
    hub_id BIGINT NOT NULL,
    category SMALLINT NOT NULL,
    minute BIGINT NOT NULL,
    opened_count INTEGER NOT NULL,
    resolved_count INTEGER NOT NULL,
    open_error_count INTEGER NOT NULL,
    affected_record_count INTEGER NOT NULL,
    PRIMARY KEY (hub_id, category, minute)
) CLUSTERED;

CREATE TABLE portal_changes (
    hub_id BIGINT NOT NULL,
    id KEY16 NOT NULL,
    changed_at BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    setting TEXT NOT NULL,
    old_value TEXT,
    new_value TEXT,
    PRIMARY KEY (hub_id, id)
);

CREATE TABLE sync_errors (
    hub_id BIGINT NOT NULL,
    id KEY16 NOT NULL,
    signature KEY16 NOT NULL,
    signature_version SMALLINT NOT NULL,
    category SMALLINT NOT NULL,
    error_type SMALLINT NOT NULL,
    rule TEXT NOT NULL,
    overridden BOOLEAN NOT NULL,
    system SMALLINT NOT NULL,
    direction SMALLINT NOT NULL,
    hubspot_object_type TEXT,
    salesforce_object_type TEXT,
    fields TEXT NOT NULL,
    details TEXT NOT NULL,
    status SMALLINT NOT NULL,
    code TEXT,
    message TEXT NOT NULL,
    cause_code TEXT,
    cause_message TEXT,
    transient BOOLEAN NOT NULL,
    sample_values TEXT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    resolved_at BIGINT,
    occurrence_count INTEGER NOT NULL,
    affected_record_count INTEGER NOT NULL,
    search_text TEXT NOT NULL,
    PRIMARY KEY (hub_id, id)
);
-- One error per cause: what a report looks up.
CREATE UNIQUE INDEX sync_errors_signature ON sync_errors (hub_id, signature);
-- The list as the tab shows it: unresolved, newest first.
CREATE INDEX sync_errors_open ON sync_errors (hub_id, last_seen_at, id) WHERE status < 2;
-- The same list below one card.
CREATE INDEX sync_errors_open_category ON sync_errors (hub_id, category, last_seen_at, id) WHERE status < 2;
-- The worst first.
CREATE INDEX sync_errors_open_affected ON sync_errors (hub_id, affected_record_count, id) WHERE status < 2;
-- Complete walks, in any status.
CREATE INDEX sync_errors_first_seen ON sync_errors (hub_id, first_seen_at, id);

CREATE TABLE latest_failures (
    hub_id BIGINT NOT NULL,
    error_id KEY16 NOT NULL,
    failure TEXT NOT NULL,
    PRIMARY KEY (hub_id, error_id)
) ROOMY;

CREATE TABLE affected_records (
    hub_id BIGINT NOT NULL,
    error_id KEY16 NOT NULL,
    id KEY16 NOT NULL,
    hubspot_object_type TEXT,
    hubspot_record_id TEXT BYTEWISE,
    hubspot_name TEXT,
    salesforce_object_type TEXT,
    salesforce_record_id TEXT BYTEWISE,
    salesforce_name TEXT,
    existing_record TEXT,
    rejected_value TEXT,
    message TEXT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    attempt_count INTEGER NOT NULL,
    cleared_at BIGINT,
    search_text TEXT NOT NULL,
    PRIMARY KEY (hub_id, error_id, id)
) ROOMY;
-- A report looks a record up in its error, a success in all errors, by either half.
CREATE INDEX affected_records_hubspot ON affected_records (hub_id, hubspot_record_id, error_id) WHERE hubspot_record_id IS NOT NULL;
CREATE INDEX affected_records_salesforce ON affected_records (hub_id, salesforce_record_id, error_id) WHERE salesforce_record_id IS NOT NULL;

CREATE TABLE sync_error_events (
    hub_id BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    occurred_at BIGINT NOT NULL,
    error_id KEY16 NOT NULL,
    status SMALLINT NOT NULL,
    affected_record_count INTEGER NOT NULL,
    PRIMARY KEY (hub_id, sequence)
) CLUSTERED;

CREATE TABLE report_ids (
    hub_id BIGINT NOT NULL,
    digest KEY16 NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (hub_id, digest)
) CLUSTERED;
";

const DOWN: &str = "
DROP TABLE report_ids;
DROP TABLE sync_error_events;
DROP TABLE affected_records;
DROP TABLE latest_failures;
DROP TABLE sync_errors;
DROP TABLE portal_changes;
DROP TABLE trend_points;
DROP TABLE category_counters;
DROP TABLE feed_heads;
DROP TABLE portals;
";
