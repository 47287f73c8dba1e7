//! The fields of an error.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};

use super::{Access, Classification, SyncError, record_cursor};
use crate::classify::{SyncDirection, SyncErrorCategory, SyncErrorType, System};
use crate::kernel::call::Call;
use crate::kernel::connection::{Connection, wants_total};
use crate::kernel::error::{Error, Result};
use crate::kernel::limits;
use crate::kernel::page::Page;
use crate::kernel::scalars::Instant;
use crate::portals::Locale;
use crate::portals::api::Portal;
use crate::resync::api::{OfErrors, ResyncResult, RetryPlan};
use crate::sync_errors::SyncErrorStatus;
use crate::sync_errors::api::AffectedRecord;
use crate::sync_errors::api::details::SyncErrorDetails;
use crate::sync_errors::api::failure::SyncFailure;
use crate::sync_errors::api::guide::{Place, ResolutionGuide};
use crate::sync_errors::api::record::Links;
use crate::sync_errors::records;

/// One cause in one portal: all failures with the same signature (direction, type, object and what the category adds).
/// The row of the tab.
#[Object]
impl SyncError {
    /// Global id.
    pub async fn id(&self) -> ID {
        self.global_id()
    }

    /// The portal it belongs to. FORBIDDEN in the answer to a report whose token may not read.
    async fn portal(&self, ctx: &Context<'_>) -> Result<Portal> {
        let call = Call::of(ctx)?;
        let scope = self.reading(call)?;
        Ok(Portal::of(scope, self.portal_row(call).await?))
    }

    /// The card it is on.
    async fn category(&self) -> SyncErrorCategory {
        self.row.category
    }

    /// The tab's column "Error type": the stable key inside the card.
    #[graphql(name = "type")]
    async fn error_type(&self) -> SyncErrorType {
        self.row.error_type
    }

    /// The type in words, with object and fields filled in where they are known.
    async fn title(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The language; the portal's when left out.")] locale: Option<Locale>,
    ) -> Result<String> {
        let locale = match locale {
            Some(locale) => locale,
            None => self.portal_row(Call::of(ctx)?).await?.portal.locale,
        };
        Ok(self.title_in(locale))
    }

    /// Whether it still holds records back.
    async fn status(&self) -> SyncErrorStatus {
        self.row.status
    }

    /// Who refused.
    async fn system(&self) -> System {
        self.row.system
    }

    /// Which way the change was to go.
    async fn direction(&self) -> SyncDirection {
        self.row.direction
    }

    /// HubSpot's object type: contact, company …; custom objects 2-N. Null when not told.
    async fn hubspot_object_type(&self) -> Option<&str> {
        self.row.hubspot_object_type.as_deref()
    }

    /// Salesforce's object type: the API name. Null when not told.
    async fn salesforce_object_type(&self) -> Option<&str> {
        self.row.salesforce_object_type.as_deref()
    }

    /// The provider's code of the latest failure, in upper case; null when it had none.
    async fn code(&self) -> Option<&str> {
        self.row.code.as_deref()
    }

    /// The innermost code of a nested failure (a validation rule inside a flow inside a trigger); null when not nested,
    /// or without code. FORBIDDEN in the answer to a report whose token may not read.
    async fn cause_code(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        Ok(self.readable(ctx)?.cause_code.as_deref())
    }

    /// The innermost text of a nested failure; null when not nested. FORBIDDEN in the answer to a report whose token may
    /// not read.
    async fn cause_message(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        Ok(self.readable(ctx)?.cause_message.as_deref())
    }

    /// The text of the latest failure as the provider wrote it; each record has its own. At most 16,000 characters.
    /// FORBIDDEN in the answer to a report whose token may not read.
    async fn message(&self, ctx: &Context<'_>) -> Result<&str> {
        Ok(&self.readable(ctx)?.message)
    }

    /// Whether trying again alone may help.
    async fn transient(&self) -> bool {
        self.row.transient
    }

    /// When a failure was first seen; an older one that is reported later moves it back.
    async fn first_seen_at(&self) -> Instant {
        Instant(self.row.first_seen_at)
    }

    /// When a failure was last seen.
    async fn last_seen_at(&self) -> Instant {
        Instant(self.row.last_seen_at)
    }

    /// When its last record was cleared; null unless RESOLVED.
    async fn resolved_at(&self) -> Option<Instant> {
        self.row.resolved_at.map(Instant)
    }

    /// Number of failures; stops at 2^31-1. Kept when the error is resolved and opens again.
    async fn occurrence_count(&self) -> i32 {
        self.row.occurrence_count
    }

    /// Number of records that do not sync because of it at present.
    async fn affected_record_count(&self) -> i32 {
        self.row.affected_record_count
    }

    /// The records that do not sync because of it, in the order in which they were first reported. FORBIDDEN in the
    /// answer to a report whose token may not read.
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
        let scope = self.reading(call)?;
        let page = Page::forwards(first, after.as_deref(), records::BY_ID)?;
        limits::SEARCH_CHARACTERS.check(
            search.as_ref().map_or(0, |text| text.chars().count()),
            "search",
        )?;
        let links = Arc::new(Links::of(&*self.portal_row(call).await?));
        let read_ahead = self.read_ahead(page.size);
        let rows = match read_ahead {
            Some(rows) if search.is_none() && page.after.is_none() => rows,
            _ => {
                let of = (self.row.id, search.as_deref());
                let wanted = (page.after.map(|cursor| cursor.id), page.fetch_count());
                let rows = records::of(&call.snapshot, &scope, of, wanted).await?;
                rows.into_iter().map(Arc::new).collect()
            }
        };
        let look = ctx.look_ahead();
        let total = match &search {
            Some(search) if wants_total(&look) => match page.whole(rows.len()) {
                Some(total) => total,
                None => records::count(call, &scope, self.row.id, search).await?,
            },
            _ => self.total(),
        };
        let node = look.field("edges").field("node");
        let wants_error =
            look.field("nodes").field("syncError").exists() || node.field("syncError").exists();
        let mut nodes = Vec::with_capacity(rows.len());
        for row in rows {
            let error = match self.access {
                Access::Reading(_) if wants_error => Some(self.again()),
                _ => None,
            };
            let (scope, links) = (scope.clone(), links.clone());
            nodes.push(AffectedRecord::new(scope, row, links, error));
        }
        Ok(Connection::new(&page, nodes, record_cursor, total))
    }

    /// What the signature holds constant for all its records, typed by category; null in OTHER. FORBIDDEN in the answer
    /// to a report whose token may not read.
    async fn details(&self, ctx: &Context<'_>) -> Result<Option<SyncErrorDetails>> {
        self.readable(ctx)?;
        let links = Links::of(&*self.portal_row(Call::of(ctx)?).await?);
        Ok(SyncErrorDetails::new(self.stored_details(), &links))
    }

    /// What varies between its records: up to 10 distinct rejected values, newest first. Each record has its own in
    /// `AffectedRecord.value`. FORBIDDEN in the answer to a report whose token may not read.
    async fn sample_values(&self, ctx: &Context<'_>) -> Result<Vec<String>> {
        self.readable(ctx)?;
        Ok(self.samples())
    }

    /// What it means and what to do about it, step by step; names what is at hand. FORBIDDEN in the answer to a report
    /// whose token may not read.
    async fn guide(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The language; the portal's when left out.")] locale: Option<Locale>,
    ) -> Result<ResolutionGuide> {
        let row = self.readable(ctx)?;
        let portal = self.portal_row(Call::of(ctx)?).await?;
        let place = Place::of(&portal, locale);
        Ok(place.guide_of(row, &self.stored_details(), &self.samples()))
    }

    /// Why it is on this card.
    async fn classification(&self) -> Classification {
        Classification {
            rule: self.row.rule.clone(),
            overridden: self.row.overridden,
        }
    }

    /// The latest failure as it was reported: nothing lost. FORBIDDEN in the answer to a report whose token may not read.
    async fn latest_failure(&self, ctx: &Context<'_>) -> Result<SyncFailure> {
        let call = Call::of(ctx)?;
        let scope = self.reading(call)?;
        let stored = match &self.prefetched.latest_failure {
            Some(stored) => Some(stored.clone()),
            None => {
                let read = records::latest_failures(&call.snapshot, &scope, &[self.row.id]).await?;
                read.into_iter().next().map(|(_, stored)| stored)
            }
        };
        let failure = stored.and_then(|stored| serde_json::from_str(&stored).ok());
        let failure = failure.ok_or_else(|| {
            Error::Internal(format!("error {} has no latest failure", self.row.id))
        })?;
        Ok(SyncFailure::new(
            failure,
            Links::of(&*self.portal_row(call).await?),
        ))
    }

    /// What became of the latest resync of this error; null when none was ever requested. FORBIDDEN in the answer to a
    /// report whose token may not read.
    async fn latest_resync(&self, ctx: &Context<'_>) -> Result<Option<ResyncResult>> {
        let call = Call::of(ctx)?;
        let scope = self.reading(call)?;
        let known = match &self.resyncs {
            Some(known) => known.clone(),
            None => {
                let portal = Portal::of(scope.clone(), self.portal_row(call).await?);
                Arc::new(OfErrors::one(call, &portal, self.row.id).await?)
            }
        };
        Ok(known.latest(&scope, self.row.id))
    }

    /// How its records are tried again without being asked; null unless `transient`, and when RESOLVED. FORBIDDEN in the
    /// answer to a report whose token may not read.
    async fn retry(&self, ctx: &Context<'_>) -> Result<Option<RetryPlan>> {
        let call = Call::of(ctx)?;
        let scope = self.reading(call)?;
        if !self.row.transient || self.row.status == SyncErrorStatus::Resolved {
            return Ok(None);
        }
        let known = match &self.resyncs {
            Some(known) if known.has_retries() => known.clone(),
            _ => {
                let portal = Portal::of(scope, self.portal_row(call).await?);
                Arc::new(OfErrors::one(call, &portal, self.row.id).await?)
            }
        };
        Ok(known.plan(self.row.id, self.row.opened_at))
    }
}
