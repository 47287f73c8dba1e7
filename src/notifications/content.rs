//! What a message says, before it is put in words: the data of a webhook, and what the e-mail is written from.

use serde::Serialize;

use crate::classify::{SyncErrorCategory, category_title};
use crate::kernel::auth::{Report, Scope};
use crate::kernel::clock::Micros;
use crate::kernel::db::Snapshot;
use crate::kernel::error::Result;
use crate::kernel::scalars::{Instant, enum_name};
use crate::notifications::NotificationFrequency;
use crate::notifications::news::{NewError, Window};
use crate::notifications::settings::{Cards, cards_of};
use crate::notifications::tables::notification_settings;
use crate::portals::{Locale, PortalRow};
use crate::quota;
use crate::sync_errors::api::{Brief, briefs, worst};

/// How many of the worst errors a digest names.
const WORST: u64 = 5;

/// What is told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Content {
    /// As a text, as in the contract.
    pub(super) hub_id: String,
    pub(super) portal_name: Option<String>,
    pub(super) locale: &'static str,
    pub(super) frequency: NotificationFrequency,
    /// What was told before ends here.
    pub(super) since: Instant,
    pub(super) until: Instant,
    pub(super) new_error_count: i64,
    /// The largest of them.
    pub(super) new_errors: Vec<News>,
    pub(super) resolved_error_count: i64,
    pub(super) resolved_errors: Vec<News>,
    pub(super) portal_events: Vec<PortalNews>,
    /// In a digest: the cards then and now.
    pub(super) categories: Vec<Card>,
    /// In a digest.
    pub(super) worst_errors: Vec<Brief>,
    pub(super) quota: QuotaNow,
}

/// A cause that is new, open again or resolved.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct News {
    kind: &'static str,
    #[serde(flatten)]
    brief: Brief,
}

/// What happened to the portal as a whole.
#[derive(Debug, Serialize)]
pub(super) struct PortalNews {
    kind: &'static str,
    pub(super) at: Instant,
}

/// A card, and what it was when news were told last.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Card {
    name: SyncErrorCategory,
    title: String,
    open_error_count: i32,
    affected_record_count: i32,
    previous_open_error_count: i32,
    previous_affected_record_count: i32,
}

/// API calls as they are.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct QuotaNow {
    used_last24_hours: i64,
    allocated_to_hubspot: Option<i32>,
    remaining: Option<i64>,
    state: &'static str,
}

/// What the content of a message is gathered from.
pub(super) struct Source<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) scope: &'a Scope<Report>,
    pub(super) portal: &'a PortalRow,
    pub(super) settings: &'a notification_settings::Model,
    /// Who gets an e-mail.
    pub(super) emails: Vec<String>,
    pub(super) now: Micros,
}

impl Source<'_> {
    /// The content without news: what a test says.
    pub(super) async fn present(&self) -> Result<Content> {
        let portal = &self.portal.portal;
        let facts = quota::facts(self.snapshot, &[portal.hub_id], self.now).await?;
        let calls = facts.first();
        Ok(Content {
            hub_id: portal.hub_id.to_string(),
            portal_name: portal.name.clone(),
            locale: enum_name(portal.locale),
            frequency: self.settings.frequency,
            since: Instant(self.settings.told_at),
            until: Instant(self.now),
            new_error_count: 0,
            new_errors: Vec::new(),
            resolved_error_count: 0,
            resolved_errors: Vec::new(),
            portal_events: Vec::new(),
            categories: Vec::new(),
            worst_errors: Vec::new(),
            quota: QuotaNow {
                used_last24_hours: calls.map_or(0, |calls| calls.used),
                allocated_to_hubspot: calls.and_then(|calls| calls.allocated),
                remaining: calls.and_then(quota::Facts::remaining),
                state: calls.map_or("OK", |calls| enum_name(calls.state())),
            },
        })
    }

    /// The news of a window; `None` where there are none.
    pub(super) async fn news(&self, window: &Window) -> Result<Option<Content>> {
        let new = window.new_errors(self.snapshot).await?;
        let turns = window.turns(self.snapshot).await?;
        let is_digest = self.settings.frequency != NotificationFrequency::Immediately;
        let resolved = match is_digest {
            true => window.resolved_errors(self.snapshot).await?,
            false => Vec::new(),
        };
        if new.is_empty() && turns.is_empty() && resolved.is_empty() {
            return Ok(None);
        }
        let mut content = self.present().await?;
        content.new_error_count = total(&new);
        content.resolved_error_count = total(&resolved);
        content.new_errors = self.named(&new, opened).await?;
        content.resolved_errors = self.named(&resolved, |_| "RESOLVED").await?;
        content.portal_events = turns
            .iter()
            .map(|turn| PortalNews {
                kind: enum_name(turn.kind),
                at: Instant(turn.occurred_at),
            })
            .collect();
        if is_digest {
            let categories = self.settings.categories();
            let here = (self.scope, self.portal);
            content.categories = self.cards(&categories);
            content.worst_errors = worst(self.snapshot, here, (&categories, WORST)).await?;
        }
        Ok(Some(content))
    }

    async fn named(
        &self,
        news: &[NewError],
        kind: fn(&NewError) -> &'static str,
    ) -> Result<Vec<News>> {
        let keys: Vec<_> = news.iter().map(|error| error.id).collect();
        let found = briefs(self.snapshot, (self.scope, self.portal), &keys).await?;
        let named = |brief: Brief| {
            let error = news.iter().find(|error| error.id == brief.key())?;
            let kind = kind(error);
            Some(News { kind, brief })
        };
        Ok(found.into_iter().filter_map(named).collect())
    }

    fn cards(&self, categories: &[SyncErrorCategory]) -> Vec<Card> {
        let locale: Locale = self.portal.portal.locale;
        let (then, now): (Cards, Cards) = (self.settings.told_cards(), cards_of(Some(self.portal)));
        let card = |name: &SyncErrorCategory| {
            let place = *name as usize;
            let (open, affected) = now[place];
            let (open_then, affected_then) = then[place];
            Card {
                name: *name,
                title: category_title(*name, locale),
                open_error_count: open,
                affected_record_count: affected,
                previous_open_error_count: open_then,
                previous_affected_record_count: affected_then,
            }
        };
        categories.iter().map(card).collect()
    }
}

fn opened(error: &NewError) -> &'static str {
    match error.is_reopened {
        true => "REOPENED",
        false => "OPENED",
    }
}

fn total(errors: &[NewError]) -> i64 {
    errors.first().map_or(0, |error| error.total)
}
