//! How the calls to a portal's address go.

use async_graphql::SimpleObject;

use crate::kernel::call::Call;
use crate::kernel::error::Result;
use crate::kernel::scalars::{Instant, Url};
use crate::portals::api::Portal;
use crate::resync::read;

/// The address that records to be tried again are sent to.
#[derive(Debug, Clone, SimpleObject)]
pub struct ResyncWebhook {
    /// The address.
    url: Url,
    /// How often the present message could not be delivered; after 5 times its records go back to who claims them, and
    /// the address is called an hour later. 0 while all goes well.
    failed_attempt_count: i32,
    /// When it is tried again; null while all goes well.
    next_attempt_at: Option<Instant>,
    /// Why the last call failed, or what of its answer cannot be read; null while all goes well.
    last_error: Option<String>,
}

impl ResyncWebhook {
    /// That of a portal; `None` without an address.
    pub async fn load(call: &Call, portal: &Portal) -> Result<Option<Self>> {
        let Some(url) = portal.row.portal.resync_webhook_url.clone().map(Url) else {
            return Ok(None);
        };
        let push = read::push(&call.snapshot, &portal.scope).await?;
        let push = push.filter(|push| push.url.as_ref() == Some(&url.0));
        let failing = push.as_ref().filter(|push| push.attempt_count > 0);
        Ok(Some(Self {
            failed_attempt_count: failing.map_or(0, |push| push.attempt_count),
            next_attempt_at: failing.map(|push| Instant(push.next_at)),
            last_error: push.and_then(|push| push.last_error),
            url,
        }))
    }
}
