//! Who is told of a portal's news, what was told, and how the messages go.

use sea_orm_migration::prelude::*;

migration! {
    /// Settings, messages, their deliveries, and which errors were told.
}

const UP: &str = "
CREATE TABLE notification_settings (
    hub_id BIGINT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    enabled BOOLEAN NOT NULL,
    frequency SMALLINT NOT NULL,
    emails TEXT NOT NULL,
    webhook_urls TEXT NOT NULL,
    categories TEXT NOT NULL,
    min_affected_record_count INTEGER NOT NULL,
    minute_of_day INTEGER NOT NULL,
    weekday SMALLINT NOT NULL,
    webhook_secret TEXT,
    webhook_former_secret TEXT,
    webhook_rotated_at BIGINT,
    tested_at BIGINT,
    told_sequence BIGINT NOT NULL,
    told_at BIGINT NOT NULL,
    told_cards TEXT NOT NULL,
    due_at BIGINT,
    due_zone TEXT
) ROOMY;
-- Those to look after, every second.
CREATE INDEX notification_settings_enabled ON notification_settings (hub_id) WHERE enabled;

CREATE TABLE notifications (
    hub_id BIGINT NOT NULL,
    id KEY16 NOT NULL,
    created_at BIGINT NOT NULL,
    subject TEXT NOT NULL,
    mail_text TEXT,
    mail_html TEXT,
    webhook_body TEXT,
    PRIMARY KEY (hub_id, id)
);

CREATE TABLE notification_deliveries (
    hub_id BIGINT NOT NULL,
    notification_id KEY16 NOT NULL,
    number INTEGER NOT NULL,
    channel SMALLINT NOT NULL,
    target TEXT NOT NULL,
    status SMALLINT NOT NULL,
    attempt_count INTEGER NOT NULL,
    attempts TEXT NOT NULL,
    next_at BIGINT NOT NULL,
    delivered_at BIGINT,
    last_error TEXT,
    PRIMARY KEY (hub_id, notification_id, number)
) CLUSTERED;
-- What is to be sent, every second.
CREATE INDEX notification_deliveries_pending ON notification_deliveries (next_at) WHERE status = 0;

CREATE TABLE notification_told (
    hub_id BIGINT NOT NULL,
    error_id KEY16 NOT NULL,
    told_at BIGINT NOT NULL,
    PRIMARY KEY (hub_id, error_id)
) CLUSTERED;
";

const DOWN: &str = "
DROP TABLE notification_told;
DROP TABLE notification_deliveries;
DROP TABLE notifications;
DROP TABLE notification_settings;
";
