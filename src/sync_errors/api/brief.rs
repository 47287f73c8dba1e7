//! An error in a few words, for who tells of it outside of GraphQL.

use async_graphql::ID;
use sea_orm::sea_query::{Expr, ExprTrait, Order, Query};
use serde::Serialize;
use uuid::Uuid;

use super::error::{error_id, title_of};
use super::guide::Place;
use crate::classify::{Details, SyncErrorCategory, SyncErrorType};
use crate::kernel::auth::{Right, Scope};
use crate::kernel::columns::columns;
use crate::kernel::db::Snapshot;
use crate::kernel::error::Result;
use crate::kernel::scalars::Url;
use crate::portals::PortalRow;
use crate::sync_errors::list;
use crate::sync_errors::tables::sync_errors;

/// An error in the language of its portal; named as in the contract.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Brief {
    #[serde(skip)]
    pub(in crate::sync_errors) key: Uuid,
    /// Global id.
    pub sync_error_id: ID,
    /// Its card.
    pub category: SyncErrorCategory,
    /// Its type.
    pub r#type: SyncErrorType,
    /// The type in words, with object and field.
    pub title: String,
    /// Records that do not sync because of it.
    pub affected_record_count: i32,
    /// What to do first.
    pub first_step: Option<String>,
    /// Where.
    pub first_link: Option<FirstLink>,
}

/// A page of one of the two systems.
#[derive(Debug, Clone, Serialize)]
pub struct FirstLink {
    /// What the page is called.
    pub label: String,
    /// Its address.
    pub url: Url,
}

impl Brief {
    /// Its key.
    pub fn key(&self) -> Uuid {
        self.key
    }

    fn of(row: &sync_errors::Model, portal: &PortalRow) -> Self {
        let place = Place::of(portal, None);
        let details: Details = serde_json::from_str(&row.details).unwrap_or(Details::Other);
        let samples: Vec<String> = serde_json::from_str(&row.sample_values).unwrap_or_default();
        let first = place.guide_of(row, &details, &samples).into_first();
        let (first_step, link) = first.unzip();
        Self {
            key: row.id,
            sync_error_id: error_id(row.hub_id, row.id),
            category: row.category,
            r#type: row.error_type,
            title: title_of(row, portal.portal.locale),
            affected_record_count: row.affected_record_count,
            first_step,
            first_link: link.flatten().map(|(label, url)| FirstLink { label, url }),
        }
    }
}

/// Errors by their keys, in that order; those that are gone are left out.
pub async fn briefs<R: Right>(
    snapshot: &Snapshot,
    (scope, portal): (&Scope<R>, &PortalRow),
    keys: &[Uuid],
) -> Result<Vec<Brief>> {
    let rows = list::find_in(snapshot, scope, keys).await?;
    let row = |key: &Uuid| rows.iter().find(|row| row.id == *key);
    let found = keys.iter().filter_map(row);
    Ok(found.map(|row| Brief::of(row, portal)).collect())
}

/// The open errors of some cards that hold back the most records.
pub async fn worst<R: Right>(
    snapshot: &Snapshot,
    (scope, portal): (&Scope<R>, &PortalRow),
    (categories, count): (&[SyncErrorCategory], u64),
) -> Result<Vec<Brief>> {
    use sync_errors::Column;
    let mut select = Query::select();
    select
        .columns(columns::<sync_errors::Entity>())
        .from(sync_errors::Entity)
        .and_where(Expr::col(Column::HubId).eq(scope.hub_id()))
        // Literal, so that PostgreSQL can prove that the partial index holds all of it.
        .and_where(Expr::cust("status < 2"))
        .and_where(Expr::col(Column::Category).is_in(categories.iter().copied()))
        .order_by(Column::AffectedRecordCount, Order::Desc)
        .order_by(Column::Id, Order::Desc)
        .limit(count);
    let rows: Vec<sync_errors::Model> = snapshot.all(&select).await?;
    Ok(rows.iter().map(|row| Brief::of(row, portal)).collect())
}
