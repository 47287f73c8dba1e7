//! The rows of this domain. Which errors were told (`notification_told`) is written and read by [`super::news`] alone.

pub(super) mod notification_settings {
    //! What a portal has configured, and how far its news were told.
    use sea_orm::entity::prelude::*;

    use crate::notifications::{NotificationFrequency, Weekday};

    /// The settings of a portal.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "notification_settings")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        /// Grows with each write: who has read an older one writes nothing.
        pub version: i64,
        pub enabled: bool,
        pub frequency: NotificationFrequency,
        /// JSON list of texts.
        pub emails: String,
        /// JSON list of those that were asked and have not answered, and when they were asked.
        pub unconfirmed_emails: String,
        /// JSON list of texts.
        pub webhook_urls: String,
        /// JSON list of the names of the contract; empty: all.
        pub categories: String,
        pub min_affected_record_count: i32,
        pub minute_of_day: i32,
        pub weekday: Weekday,
        pub webhook_secret: Option<String>,
        /// The one before, which signs too for a while.
        pub webhook_former_secret: Option<String>,
        pub webhook_rotated_at: Option<i64>,
        /// When a test was sent last.
        pub tested_at: Option<i64>,
        /// The feed's position up to which news were told.
        pub told_sequence: i64,
        /// When that was.
        pub told_at: i64,
        /// JSON of the cards' numbers as they were then.
        pub told_cards: String,
        /// When the next digest is due.
        pub due_at: Option<i64>,
        /// The time zone that this was reckoned in.
        pub due_zone: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod notifications {
    //! Messages, as they were made.
    use sea_orm::entity::prelude::*;

    /// A message. Its texts are dropped when all its deliveries have ended.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "notifications")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub created_at: i64,
        pub subject: String,
        pub mail_text: Option<String>,
        pub mail_html: Option<String>,
        pub webhook_body: Option<String>,
        /// Whether it asks its recipient, and may go to one that has not confirmed.
        pub confirms: bool,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod notification_deliveries {
    //! Messages to single recipients.
    use sea_orm::entity::prelude::*;

    use crate::notifications::{DeliveryStatus, NotificationChannel};

    /// A message to one recipient.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "notification_deliveries")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub notification_id: Uuid,
        /// Tells a message's recipients apart.
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i32,
        pub channel: NotificationChannel,
        pub target: String,
        pub status: DeliveryStatus,
        pub attempt_count: i32,
        /// JSON list of the attempts that have ended.
        pub attempts: String,
        /// When it is tried next; while it is tried, when another server may take over.
        pub next_at: i64,
        pub delivered_at: Option<i64>,
        pub last_error: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod confirmation_mails {
    //! Which addresses were asked, whether they still are in the settings or not.
    use sea_orm::entity::prelude::*;

    /// An address that was asked.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "confirmation_mails")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        /// Of the address in lower case.
        #[sea_orm(primary_key, auto_increment = false)]
        pub email_digest: Uuid,
        pub mailed_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
