//! The rows of this domain.

pub mod quotas {
    //! One row a portal, once something is known of its calls.
    use sea_orm::entity::prelude::*;

    use crate::quota::QuotaState;

    /// Limits, as they are now.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "quotas")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        /// Calls that HubSpot may use.
        pub allocated: Option<i32>,
        /// Calls that Salesforce allows the org.
        pub salesforce_limit: Option<i32>,
        /// Calls that the org used.
        pub org_used: Option<i32>,
        /// When the two before were read; an older reading changes nothing.
        pub org_read_at: Option<i64>,
        /// The latest report.
        pub measured_at: Option<i64>,
        /// The state that the feed told last.
        pub told_state: QuotaState,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod api_usage_minutes {
    //! Calls by minute, and what was allowed then.
    use sea_orm::entity::prelude::*;

    /// The calls of a minute.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "api_usage_minutes")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        /// When it begins.
        #[sea_orm(primary_key, auto_increment = false)]
        pub minute: i64,
        pub used: i64,
        pub salesforce_limit: Option<i32>,
        pub allocated: Option<i32>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod api_usage_reports {
    //! Reports that were counted.
    use sea_orm::entity::prelude::*;

    /// A report.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "api_usage_reports")]
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

pub mod api_reservations {
    //! Calls that are set aside.
    use sea_orm::entity::prelude::*;

    use crate::quota::ApiCallPurpose;

    /// A reservation.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "api_reservations")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hub_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub calls: i32,
        pub purpose: ApiCallPurpose,
        pub expires_at: i64,
        pub settled_at: Option<i64>,
        pub idempotency_digest: Option<Uuid>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
