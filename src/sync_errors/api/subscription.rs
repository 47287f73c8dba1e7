//! What happens now.

use std::sync::Arc;

use async_graphql::{Context, ID, Subscription};
use futures_util::{Stream, StreamExt};

use super::{CategorySummary, SyncErrorEvent, SyncErrorEventFilter, SyncErrorEventKind};
use crate::kernel::auth::{Read, Scope};
use crate::kernel::call::Call;
use crate::kernel::error::{Error, Result};
use crate::portals::{scope_of, unknown_portal};
use crate::sync_errors::live::{Live, streams};

/// What happens to errors.
#[derive(Default)]
pub struct SyncErrorSubscription;

#[Subscription]
impl SyncErrorSubscription {
    /// The portal's feed as it grows, in order, without gap or duplicate. Query the state with `eventCursor`, then
    /// subscribe `after` it: nothing is missed between. NOT_FOUND for an unknown portal; CURSOR_EXPIRED when `after` is
    /// from another feed, ahead of it or older than what is kept of it. Needs the scope sync-health:read.
    async fn sync_error_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The portal. May be left out when the token names exactly one.")]
        hub_id: Option<ID>,
        #[graphql(
            desc = "Only events of these kinds; []: any.",
            default_with = "default_kinds()"
        )]
        kinds: Vec<SyncErrorEventKind>,
        #[graphql(
            desc = "Only events of errors that all given keys hold for.",
            default_with = "Some(SyncErrorEventFilter::default())"
        )]
        filter: Option<SyncErrorEventFilter>,
        #[graphql(
            desc = "Only events behind this cursor: an `eventCursor` or the cursor of an event. Null: from now on."
        )]
        after: Option<String>,
    ) -> Result<impl Stream<Item = async_graphql::Result<SyncErrorEvent>> + use<>> {
        let (live, call, scope) = parts(ctx, hub_id.as_ref())?;
        let arguments = streams::EventsArguments {
            kinds,
            filter: filter.unwrap_or_default(),
            after,
        };
        let events = streams::events(live, call, scope, arguments).await?;
        Ok(events.map(|event| event.map_err(Into::into)).boxed())
    }

    /// The portal's cards: all eight at once, then those that changed, a few times a second at most; the last state
    /// always. NOT_FOUND for an unknown portal. Needs the scope sync-health:read.
    async fn categories_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The portal. May be left out when the token names exactly one.")]
        hub_id: Option<ID>,
    ) -> Result<impl Stream<Item = Vec<CategorySummary>> + use<>> {
        let (live, call, scope) = parts(ctx, hub_id.as_ref())?;
        Ok(streams::cards(live, call, scope).await?.boxed())
    }
}

fn default_kinds() -> Vec<SyncErrorEventKind> {
    vec![SyncErrorEventKind::Opened, SyncErrorEventKind::Reopened]
}

fn parts<'a>(ctx: &Context<'a>, hub_id: Option<&ID>) -> Result<(&'a Live, Arc<Call>, Scope<Read>)> {
    let missing = |_| Error::Internal("a subscription without its call".into());
    let live = ctx.data::<Arc<Live>>().map_err(missing)?;
    let call = ctx.data::<Arc<Call>>().map_err(missing)?;
    let scope = scope_of::<Read>(call, hub_id)?.ok_or_else(unknown_portal)?;
    Ok((live, call.clone(), scope))
}
