//! The rows of this domain.

use sea_orm::{DbErr, FromQueryResult, QueryResult};

/// A row read by the positions of its columns, which are those of the entity: finding a few thousand columns by name is
/// a good part of what a page costs.
pub(super) struct ByPosition<M>(pub(super) M);

macro_rules! by_position {
    ($($path:ident)::+ { $($column:ident),* $(,)? }) => {
        impl FromQueryResult for ByPosition<$($path)::+> {
            fn from_query_result(row: &QueryResult, _: &str) -> Result<Self, DbErr> {
                let mut positions = 0..;
                let mut next = || positions.next().unwrap_or_default();
                $(let $column = row.try_get_by_index(next())?;)*
                Ok(Self($($path)::+ { $($column),* }))
            }
        }
    };
}

by_position!(sync_errors::Model {
    hub_id,
    id,
    signature,
    signature_version,
    category,
    error_type,
    rule,
    overridden,
    system,
    direction,
    hubspot_object_type,
    salesforce_object_type,
    fields,
    details,
    status,
    code,
    message,
    cause_code,
    cause_message,
    transient,
    sample_values,
    first_seen_at,
    last_seen_at,
    resolved_at,
    occurrence_count,
    affected_record_count,
    search_text,
    opened_at,
});

by_position!(affected_records::Model {
    hub_id,
    error_id,
    id,
    hubspot_object_type,
    hubspot_record_id,
    hubspot_name,
    salesforce_object_type,
    salesforce_record_id,
    salesforce_name,
    existing_record,
    rejected_value,
    message,
    first_seen_at,
    last_seen_at,
    attempt_count,
    cleared_at,
    search_text,
});

pub(super) mod sync_errors {
    //! One cause in one portal.
    use sea_orm::entity::prelude::*;

    use crate::classify::{SyncDirection, SyncErrorCategory, SyncErrorType, System};
    use crate::sync_errors::SyncErrorStatus;

    /// A sync error.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "sync_errors")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub signature: Uuid,
        pub signature_version: i16,
        pub category: SyncErrorCategory,
        pub error_type: SyncErrorType,
        pub rule: String,
        pub overridden: bool,
        pub system: System,
        pub direction: SyncDirection,
        pub hubspot_object_type: Option<String>,
        pub salesforce_object_type: Option<String>,
        /// Fields and properties that the signature holds constant, folded, each between bars: "|email|phone|".
        pub fields: String,
        /// JSON of [`crate::classify::Details`].
        pub details: String,
        pub status: SyncErrorStatus,
        pub code: Option<String>,
        pub message: String,
        pub cause_code: Option<String>,
        pub cause_message: Option<String>,
        pub transient: bool,
        /// JSON list of texts, newest first.
        pub sample_values: String,
        pub first_seen_at: i64,
        pub last_seen_at: i64,
        pub resolved_at: Option<i64>,
        pub occurrence_count: i32,
        pub affected_record_count: i32,
        pub search_text: String,
        /// When it was opened last; absent where that is not known.
        pub opened_at: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod latest_failures {
    //! The latest failure of an error, apart from it: it is long and rarely read.
    use sea_orm::entity::prelude::*;

    /// The failure as reported.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "latest_failures")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub error_id: Uuid,
        /// JSON of [`crate::sync_errors::report::StoredFailure`].
        pub failure: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod affected_records {
    //! A record, or a pair of records, that does not sync because of an error.
    use sea_orm::entity::prelude::*;

    /// An affected record.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "affected_records")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub error_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub hubspot_object_type: Option<String>,
        pub hubspot_record_id: Option<String>,
        pub hubspot_name: Option<String>,
        pub salesforce_object_type: Option<String>,
        pub salesforce_record_id: Option<String>,
        pub salesforce_name: Option<String>,
        /// JSON of [`crate::classify::RelatedRecord`].
        pub existing_record: Option<String>,
        pub rejected_value: Option<String>,
        pub message: String,
        pub first_seen_at: i64,
        pub last_seen_at: i64,
        pub attempt_count: i32,
        /// `occurredAt` of the last outcome that cleared it; absent while it is affected.
        pub cleared_at: Option<i64>,
        pub search_text: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod sync_error_events {
    //! The feed.
    use sea_orm::entity::prelude::*;

    use crate::kernel::progress::digest;
    use crate::sync_errors::{SyncErrorEventKind, SyncErrorStatus};

    /// An entry of the feed.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "sync_error_events")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub sequence: i64,
        pub kind: SyncErrorEventKind,
        pub occurred_at: i64,
        pub error_id: Uuid,
        pub status: SyncErrorStatus,
        pub affected_record_count: i32,
    }

    impl Model {
        /// What stands for it in cursors: all that tells it apart from an entry of another history.
        pub fn digest(&self) -> i64 {
            let (kind, status) = (self.kind.to_value(), self.status.to_value());
            digest(&[
                self.error_id.as_bytes(),
                &self.occurred_at.to_be_bytes(),
                &kind.to_be_bytes(),
                &status.to_be_bytes(),
                &self.affected_record_count.to_be_bytes(),
            ])
        }
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod report_ids {
    //! Reports that were taken, so that sending them again changes nothing.
    use sea_orm::entity::prelude::*;

    /// A report.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "report_ids")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub digest: Uuid,
        pub received_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod trend_points {
    //! What each minute did to each card; minutes without a change have no row.
    use sea_orm::entity::prelude::*;

    use crate::classify::SyncErrorCategory;

    /// One minute of one card.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "trend_points")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub category: SyncErrorCategory,
        #[sea_orm(primary_key, auto_increment = false)]
        pub minute: i64,
        pub opened_count: i32,
        pub resolved_count: i32,
        /// As it was at the end of the minute.
        pub open_error_count: i32,
        /// As it was at the end of the minute.
        pub affected_record_count: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod record_views {
    //! Saved views.
    use sea_orm::entity::prelude::*;

    use crate::classify::System;

    /// A view.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "record_views")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        pub created_by: String,
        pub created_at: i64,
        pub system: System,
        pub object_type: String,
        /// Whose records it shows; absent in a view by filter.
        pub error_id: Option<Uuid>,
        /// The filter's JSON.
        pub filter: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
