//! Addresses that are asked whether they want a portal's news.

use sea_orm_migration::prelude::*;

migration! {
    /// Who has not confirmed, which messages ask, and who was asked when. What was configured before counts as confirmed.
}

const UP: &str = "
ALTER TABLE notification_settings ADD COLUMN unconfirmed_emails TEXT NOT NULL DEFAULT '[]';
ALTER TABLE notifications ADD COLUMN confirms BOOLEAN NOT NULL DEFAULT FALSE;
-- An address stays here for a while when it was taken out of the settings, as a digest of it.
CREATE TABLE confirmation_mails (
    hub_id BIGINT NOT NULL,
    email_digest KEY16 NOT NULL,
    mailed_at BIGINT NOT NULL,
    PRIMARY KEY (hub_id, email_digest)
) CLUSTERED;
";

const DOWN: &str = "
DROP TABLE confirmation_mails;
ALTER TABLE notifications DROP COLUMN confirms;
ALTER TABLE notification_settings DROP COLUMN unconfirmed_emails;
";
