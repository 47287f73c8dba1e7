//! The rows of this domain.

pub mod portals {
    //! One row a portal.
    use sea_orm::entity::prelude::*;

    use crate::portals::{Locale, SuspensionReason, SyncState};

    /// A portal.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "portals")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        pub name: Option<String>,
        pub time_zone: String,
        pub locale: Locale,
        pub hubspot_app_url: String,
        pub salesforce_instance_url: Option<String>,
        pub salesforce_username: Option<String>,
        pub sync_state: SyncState,
        pub suspension_reason: Option<SuspensionReason>,
        pub suspended_since: Option<i64>,
        /// `occurredAt` of the latest state that was reported; an older report changes nothing.
        pub state_reported_at: Option<i64>,
        /// Name and Hub ID, folded.
        pub search_text: String,
        pub resync_webhook_url: Option<String>,
        pub resync_webhook_secret: Option<String>,
        /// The one before, which signs too for a while.
        pub resync_webhook_former_secret: Option<String>,
        pub resync_webhook_rotated_at: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod feed_heads {
    //! The narrow row that a change locks: where the portal's feed stands.
    use sea_orm::entity::prelude::*;

    /// The head of a feed.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "feed_heads")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        /// Names this feed: a feed that starts anew gets another one.
        pub epoch: i64,
        /// The last sequence number given out.
        pub sequence: i64,
        /// The last one whose event is not kept any more.
        pub swept_sequence: i64,
        /// Open errors of all cards, for the order of the portals.
        pub open_error_count: i32,
        /// Of the entry at `digest_sequence`.
        pub digest: i64,
        /// The last entry, where the version that wrote it knew of digests.
        pub digest_sequence: i64,
        /// The latest instant that a change was given.
        pub latest_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod category_counters {
    //! What the cards show, kept by each change.
    use sea_orm::entity::prelude::*;

    use crate::classify::SyncErrorCategory;

    /// The numbers of one card.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "category_counters")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        /// The portal.
        pub hub_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        /// The card.
        pub category: SyncErrorCategory,
        /// Errors that are not resolved.
        pub open_error_count: i32,
        /// Those of them that are resyncing.
        pub resyncing_error_count: i32,
        /// Errors that are resolved and kept.
        pub resolved_error_count: i32,
        /// Records that do not sync, summed over the errors.
        pub affected_record_count: i32,
    }

    /// None: tables are joined by hand.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod portal_events {
    //! The feed's entries about the portal as a whole; they share its sequence numbers.
    use sea_orm::entity::prelude::*;

    use crate::kernel::progress::digest;
    use crate::portals::PortalEventKind;

    /// An entry.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "portal_events")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub sequence: i64,
        pub kind: PortalEventKind,
        pub occurred_at: i64,
    }

    impl Model {
        /// What stands for it in cursors.
        pub fn digest(&self) -> i64 {
            let (kind, at) = (self.kind.to_value(), self.occurred_at);
            digest(&[&kind.to_be_bytes(), &at.to_be_bytes()])
        }
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod portal_changes {
    //! Who changed which setting.
    use sea_orm::entity::prelude::*;

    /// One change of one setting.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "portal_changes")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub changed_at: i64,
        pub changed_by: String,
        pub setting: String,
        pub old_value: Option<String>,
        pub new_value: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod erasures {
    //! Portals that are being erased.
    use sea_orm::entity::prelude::*;

    /// An erasure that has begun and not ended.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "erasures")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        pub begun_at: i64,
        /// When its last step was made.
        pub stepped_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
