//! Which errors: the contract's filter, checked, kept, and as SQL.

use async_graphql::{InputType, Pos, Value};
use sea_orm::sea_query::{Expr, ExprTrait, LikeExpr, Query};

use crate::classify::{System, canonical_object_type, canonical_record_id};
use crate::kernel::auth::{Right, Scope};
use crate::kernel::error::{Error, Result};
use crate::kernel::limits;
use crate::kernel::text::like_pattern;
use crate::sync_errors::api::{SyncErrorFilter, TimeRangeInput};
use crate::sync_errors::feed::{self, some};
use crate::sync_errors::tables::{affected_records, sync_errors};

/// Refuses lists and texts above their limits.
pub(super) fn check(filter: &SyncErrorFilter) -> Result<()> {
    feed::check(&filter.facts())?;
    feed::check_names("filter.codes", filter.codes.as_deref().unwrap_or_default())?;
    limits::SEARCH_CHARACTERS.check(
        filter
            .search
            .as_ref()
            .map_or(0, |text| text.chars().count()),
        "filter.search",
    )
}

/// A filter as it is kept.
pub fn kept(filter: &SyncErrorFilter) -> Result<String> {
    serde_json::to_string(&filter.to_value()).map_err(|error| Error::Internal(error.to_string()))
}

/// A filter that was kept.
pub fn read(filter: &str) -> Result<SyncErrorFilter> {
    parse(filter).map_err(Error::Internal)
}

/// A filter as JSON; in words what is wrong with it.
pub fn parse(filter: &str) -> std::result::Result<SyncErrorFilter, String> {
    let value: Value = serde_json::from_str(filter).map_err(|error| error.to_string())?;
    let parsed = SyncErrorFilter::parse(Some(value.clone()));
    let parsed = parsed.map_err(|error| error.into_server_error(Pos::default()).message)?;
    if let (Value::Object(told), Value::Object(known)) = (value, parsed.to_value())
        && let Some(key) = told.keys().find(|key| !known.contains_key(*key))
    {
        return Err(format!("SyncErrorFilter has no {key}"));
    }
    Ok(parsed)
}

/// The filter's keys, each as one condition: all have to hold.
pub(super) fn conditions<R: Right>(
    scope: &Scope<R>,
    filter: &SyncErrorFilter,
) -> Result<Vec<Expr>> {
    use sync_errors::Column;
    let mut all = feed::conditions(&filter.facts());
    if let Some(codes) = some(&filter.codes) {
        all.push(
            Expr::col(Column::Code).is_in(codes.iter().map(|code| code.trim().to_uppercase())),
        );
    }
    if let Some(transient) = filter.transient {
        all.push(Expr::col(Column::Transient).eq(transient));
    }
    if let Some(search) = &filter.search {
        all.push(
            Expr::col(Column::SearchText).like(LikeExpr::new(like_pattern(search)).escape('\\')),
        );
    }
    if let Some(count) = filter.min_affected_record_count {
        all.push(Expr::col(Column::AffectedRecordCount).gte(count));
    }
    all.extend(within(Column::FirstSeenAt, filter.first_seen.as_ref())?);
    all.extend(within(Column::LastSeenAt, filter.last_seen.as_ref())?);
    if let Some(key) = &filter.affecting {
        let id = canonical_record_id(key.system, key.record_id.as_str());
        all.push(affects(scope, key.system, id, key.object_type.as_deref()));
    }
    Ok(all)
}

fn within(column: sync_errors::Column, range: Option<&TimeRangeInput>) -> Result<Vec<Expr>> {
    let Some(range) = range else {
        return Ok(Vec::new());
    };
    if let (Some(since), Some(until)) = (range.since, range.until)
        && since >= until
    {
        return Err(Error::BadUserInput(
            "In a time range since comes before until (which is exclusive).".into(),
        ));
    }
    let since = range.since.map(|since| Expr::col(column).gte(since.0));
    let until = range.until.map(|until| Expr::col(column).lt(until.0));
    Ok(since.into_iter().chain(until).collect())
}

/// Errors that hold back the record with this id.
fn affects<R: Right>(
    scope: &Scope<R>,
    system: System,
    id: String,
    object_type: Option<&str>,
) -> Expr {
    use affected_records::Column;
    let (id_column, type_column) = match system {
        System::Hubspot => (Column::HubspotRecordId, "hubspot_object_type"),
        System::Salesforce => (Column::SalesforceRecordId, "salesforce_object_type"),
    };
    let mut of_record = Query::select();
    of_record
        .column(Column::ErrorId)
        .from(affected_records::Entity)
        .and_where(Expr::col(Column::HubId).eq(scope.hub_id()))
        .and_where(Expr::col(id_column).eq(id))
        .and_where(Expr::col(Column::ClearedAt).is_null());
    if let Some(name) = object_type {
        let name = canonical_object_type(system, name).to_ascii_lowercase();
        let told = Expr::cust(format!("LOWER({type_column})")).eq(name);
        of_record.and_where(told.or(Expr::cust(format!("{type_column} IS NULL"))));
    }
    Expr::col(sync_errors::Column::Id).in_subquery(of_record)
}
