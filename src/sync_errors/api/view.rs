//! Saved views of affected records.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, ID, Object, OutputType};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

use super::{AffectedRecord, Links, SyncError, error_id};
use crate::classify::System;
use crate::kernel::auth::{Read, Scope};
use crate::kernel::call::Call;
use crate::kernel::connection::{Connection, wants_total};
use crate::kernel::error::{Error, Result};
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::limits;
use crate::kernel::page::{Cursor, Page, TotalCount, size};
use crate::kernel::plain::Plain;
use crate::kernel::scalars::Instant;
use crate::portals::api::Portal;
use crate::sync_errors::tables::record_views;
use crate::sync_errors::views::{self, Place};

/// The order of their cursors: part of every cursor that was given out.
const VIEWS: u8 = 21;

/// A page of a portal's views, newest first.
pub async fn list_views(
    ctx: &Context<'_>,
    portal: &Portal,
    (first, after): (Option<i32>, Option<&str>),
) -> Result<Connection<RecordView>> {
    let call = Call::of(ctx)?;
    let page = Page::forwards(first, after, VIEWS)?;
    let rows = views::page(&call.snapshot, &portal.scope, &page).await?;
    let look = ctx.look_ahead();
    let wants = |field: async_graphql::Lookahead<'_>| field.field("affectedRecordCount").exists();
    let counts = match wants(look.field("nodes")) || wants(look.field("edges").field("node")) {
        true => Some(views::counts(&call.snapshot, &portal.scope, &rows).await?),
        false => None,
    };
    let total = match wants_total(&look) {
        true => TotalCount::of(&call.snapshot, views::views(&portal.scope)).await?,
        false => TotalCount::exact(0),
    };
    let view = |(place, row)| RecordView {
        portal: Portal::of(portal.scope.clone(), portal.row.clone()),
        row,
        count: counts
            .as_ref()
            .and_then(|counts| counts.get(place).copied()),
    };
    let views = rows.into_iter().enumerate().map(view).collect();
    let cursor = |view: &RecordView| {
        let (order, value, id) = (VIEWS, 0, view.row.id);
        Cursor { order, value, id }.encode()
    };
    Ok(Connection::new(&page, views, cursor, total))
}

/// A saved, live view of affected records.
pub struct RecordView {
    portal: Portal,
    row: record_views::Model,
    /// Where it was counted together with others.
    count: Option<TotalCount>,
}

impl RecordView {
    /// The view of a global id; `None` when it does not exist.
    pub async fn load(call: &Call, scope: Scope<Read>, id: &GlobalId) -> Result<Option<Self>> {
        let (Some(id), Some(portal)) = (id.uuid(), Portal::load(call, scope).await?) else {
            return Ok(None);
        };
        let row = views::find(&call.snapshot, &portal.scope, id).await?;
        Ok(row.map(|row| Self::new(portal, row)))
    }

    pub(super) fn new(portal: Portal, row: record_views::Model) -> Self {
        Self {
            portal,
            row,
            count: None,
        }
    }
}

/// A saved, live view of the records of one object type that do not sync at present: those of one error, or of all
/// unresolved errors that match a filter. HubSpot's views hold one object type too.
#[Object]
impl RecordView {
    /// Global id.
    pub async fn id(&self) -> ID {
        GlobalId::encode(Kind::RecordView, self.row.hub_id, self.row.id.as_bytes())
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.row.name
    }

    /// By whom it was made: the subject of the token.
    async fn created_by(&self) -> &str {
        &self.row.created_by
    }

    /// When it was made.
    async fn created_at(&self) -> Instant {
        Instant(self.row.created_at)
    }

    /// On which side its records are of the object type.
    async fn system(&self) -> System {
        self.row.system
    }

    /// Their object type.
    async fn object_type(&self) -> &str {
        &self.row.object_type
    }

    /// The error whose records it shows; null for a view by filter.
    async fn sync_error_id(&self) -> Option<ID> {
        self.row.error_id.map(|id| error_id(self.row.hub_id, id))
    }

    /// How many records it has now: a record with two errors counts twice. It stops at 10,000 (countedEntries).
    async fn affected_record_count(&self, ctx: &Context<'_>) -> Result<i32> {
        if let Some(count) = self.count {
            return Ok(count.count);
        }
        let call = Call::of(ctx)?;
        let views = std::slice::from_ref(&self.row);
        let counts = views::counts(&call.snapshot, &self.portal.scope, views).await?;
        Ok(counts.first().map_or(0, |count| count.count))
    }

    /// The records that it has now, by error and in each in the order in which they were first reported.
    async fn affected_records(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Only entries behind this cursor.")] after: Option<String>,
        #[graphql(
            desc = "A part of name, id or value, compared without case; at most 200 characters."
        )]
        search: Option<String>,
    ) -> Result<Connection<AffectedRecord>> {
        let call = Call::of(ctx)?;
        let scope = &self.portal.scope;
        let characters = search.as_ref().map_or(0, |text| text.chars().count());
        limits::SEARCH_CHARACTERS.check(characters, "search")?;
        let after = after.as_deref().map(place_of).transpose()?;
        // Its cursors hold two keys; the page only needs to know that there was one.
        let started = after.map(|(_, id)| Cursor {
            order: VIEWS,
            value: 0,
            id,
        });
        let page = Page {
            size: size("first", first)?,
            backwards: false,
            after: started,
            before: None,
        };
        let select = views::records(scope, &self.row, search.as_deref())?;
        let wanted = (after, page.fetch_count());
        let rows = views::records_page(&call.snapshot, select.clone(), wanted).await?;
        let look = ctx.look_ahead();
        let total = match wants_total(&look) {
            true => TotalCount::of(&call.snapshot, select).await?,
            false => TotalCount::exact(0),
        };
        let of_records = [look.field("nodes"), look.field("edges").field("node")];
        let of_errors = of_records.map(|record| record.field("syncError"));
        let errors = match of_errors.iter().any(|error| error.exists()) {
            true => {
                let mut ids: Vec<Uuid> = rows.iter().map(|row| row.error_id).collect();
                ids.dedup();
                SyncError::many(call, scope, &ids, &of_errors).await?
            }
            false => HashMap::new(),
        };
        let links = Arc::new(Links::of(&self.portal.row));
        let mut nodes = Vec::with_capacity(rows.len());
        for row in rows {
            let error = errors.get(&row.error_id).map(SyncError::again);
            nodes.push(AffectedRecord::new(
                scope.clone(),
                Arc::new(row),
                links.clone(),
                error,
            ));
        }
        let cursor = |record: &AffectedRecord| encoded((record.row.error_id, record.row.id));
        Ok(Connection::new(&page, nodes, cursor, total))
    }
}

const CURSOR_VERSION: u8 = 1;

/// A place as clients see it: opaque.
fn encoded((error_id, id): Place) -> String {
    let bytes = [
        &[CURSOR_VERSION, VIEWS],
        &error_id.as_bytes()[..],
        id.as_bytes(),
    ]
    .concat();
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn place_of(text: &str) -> Result<Place> {
    let read = || {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let keys = bytes.strip_prefix(&[CURSOR_VERSION, VIEWS])?;
        let (error_id, id) = keys.split_at_checked(16)?;
        Some((Uuid::from_slice(error_id).ok()?, Uuid::from_slice(id).ok()?))
    };
    read().ok_or_else(|| {
        Error::BadUserInput(
            "after is not a cursor of this list. Use one from its edges or pageInfo.".into(),
        )
    })
}

/// Lists of it are short.
impl Plain for RecordView {
    fn name() -> Cow<'static, str> {
        <Self as OutputType>::type_name()
    }
}
