//! The rows of this domain.

use crate::classify::Record;
use crate::resync::{AUTOMATIC, Stage};

pub(super) mod resync_batches {
    //! Requests to try records again.
    use sea_orm::entity::prelude::*;

    use crate::resync::Stage;

    /// A batch.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "resync_batches")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub status: Stage,
        pub requested_by: String,
        pub requested_at: i64,
        pub finished_at: Option<i64>,
        /// When calls are left again, as the last claim found.
        pub waiting_until: Option<i64>,
        /// When it was claimed from last; 0 for never.
        pub claimed_at: i64,
        pub records_per_error: Option<i32>,
        /// The filter's JSON, while errors that match it are not reached yet.
        pub filter: Option<String>,
        /// The last error that was reached.
        pub reached_through: Option<Uuid>,
        /// Of `error_count`, as it was estimated at the request.
        pub unreached_error_count: i32,
        /// Of `waiting_count`, as it was estimated at the request.
        pub unreached_record_count: i32,
        pub error_count: i32,
        pub waiting_count: i32,
        pub claimed_count: i32,
        pub succeeded_count: i32,
        pub failed_count: i32,
        pub cancelled_count: i32,
        pub idempotency_digest: Option<Uuid>,
        pub request_digest: Option<Uuid>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl resync_batches::Model {
    /// A portal's automatic retries.
    pub(super) fn automatic(hub_id: i64, now: i64) -> Self {
        Self {
            hub_id,
            id: AUTOMATIC,
            status: Stage::Running,
            requested_by: String::new(),
            requested_at: now,
            finished_at: None,
            waiting_until: None,
            claimed_at: 0,
            records_per_error: None,
            filter: None,
            reached_through: None,
            unreached_error_count: 0,
            unreached_record_count: 0,
            error_count: 0,
            waiting_count: 0,
            claimed_count: 0,
            succeeded_count: 0,
            failed_count: 0,
            cancelled_count: 0,
            idempotency_digest: None,
            request_digest: None,
        }
    }
}

impl resync_items::Model {
    /// The record on HubSpot's side and the one on Salesforce's.
    pub(super) fn records(&self) -> (Option<Record>, Option<Record>) {
        let side = |object_type: &Option<String>, record_id: &Option<String>| {
            record_id.is_some().then(|| Record {
                object_type: object_type.clone(),
                record_id: record_id.clone(),
                name: None,
            })
        };
        (
            side(&self.hubspot_object_type, &self.hubspot_record_id),
            side(&self.salesforce_object_type, &self.salesforce_record_id),
        )
    }
}

pub(super) mod resync_results {
    //! The errors of a batch.
    use sea_orm::entity::prelude::*;

    use crate::resync::ResultStatus;

    /// An error in a batch.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "resync_results")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub batch_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub error_id: Uuid,
        pub status: ResultStatus,
        pub finished_at: Option<i64>,
        /// The last record that an item was made for.
        pub taken_through: Option<Uuid>,
        /// The last record to make an item for; absent: the error's last.
        pub taken_until: Option<Uuid>,
        /// Of `waiting_count`: no item was made yet.
        pub untaken_count: i32,
        pub waiting_count: i32,
        pub claimed_count: i32,
        pub succeeded_count: i32,
        pub failed_count: i32,
        pub cancelled_count: i32,
        /// Automatic retries: how often its records were tried.
        pub attempt_count: i32,
        /// Automatic retries: when they are tried next; absent for never.
        pub next_at: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod resync_pushes {
    //! What is being delivered to a portal's address.
    use sea_orm::entity::prelude::*;

    /// A delivery, or that there is none.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "resync_pushes")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        /// Where the last call went; another address begins anew.
        pub url: Option<String>,
        /// Not before: the next attempt, or when another server may take over.
        pub next_at: i64,
        pub message_id: Option<Uuid>,
        pub body: Option<String>,
        /// JSON of the items with their attempts.
        pub item_ids: Option<String>,
        pub attempt_count: i32,
        pub last_error: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod resync_items {
    //! Records that engines try again.
    use sea_orm::entity::prelude::*;

    use crate::classify::SyncDirection;
    use crate::resync::Settled;

    /// An item.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "resync_items")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub batch_id: Uuid,
        pub error_id: Uuid,
        pub record_id: Uuid,
        pub direction: SyncDirection,
        pub hubspot_object_type: Option<String>,
        pub hubspot_record_id: Option<String>,
        pub salesforce_object_type: Option<String>,
        pub salesforce_record_id: Option<String>,
        /// How often it was claimed.
        pub attempt: i32,
        pub claimed_by: String,
        /// Absent while it waits for an engine.
        pub lease_expires_at: Option<i64>,
        pub reservation_id: Option<Uuid>,
        pub settled_at: Option<i64>,
        /// The attempt that settled it; absent where none did.
        pub settled_attempt: Option<i32>,
        pub outcome: Option<Settled>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
