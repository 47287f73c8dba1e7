//! The GraphQL objects of notifications.

mod delivery;
mod mutations;

use async_graphql::{Context, ID, Object};

use crate::classify::SyncErrorCategory;
use crate::kernel::auth::{Read, Scope};
use crate::kernel::call::Call;
use crate::kernel::connection::Connection;
use crate::kernel::error::Result;
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::scalars::{Instant, Url};
use crate::notifications::tables::notification_settings;
use crate::notifications::{DeliveryStatus, NotificationFrequency, Weekday, store};
use crate::portals::api::Portal;

pub use delivery::NotificationDelivery;
pub use mutations::{ConfigureNotificationsInput, NotificationMutations};

/// Who is told of a portal's news, and when.
pub struct NotificationSettings {
    scope: Scope<Read>,
    time_zone: String,
    row: notification_settings::Model,
    unconfirmed: Vec<String>,
}

impl NotificationSettings {
    /// Those of a portal.
    pub async fn of(call: &Call, portal: &Portal) -> Result<Self> {
        let row = store::settings(&call.snapshot, &portal.scope).await?;
        Ok(Self {
            unconfirmed: row.unconfirmed(&call.env),
            row,
            time_zone: portal.row.portal.time_zone.clone(),
            scope: portal.scope.clone(),
        })
    }

    /// Those of a global id; `None` when the portal does not exist.
    pub async fn load(call: &Call, scope: Scope<Read>) -> Result<Option<Self>> {
        match Portal::load(call, scope).await? {
            Some(portal) => Ok(Some(Self::of(call, &portal).await?)),
            None => Ok(None),
        }
    }
}

/// Who is told of a portal's news, when and how. News are causes that are new or open again, and turns of the API calls
/// and of the sync state; never single records. A message holds all news since the one before, and none is sent without
/// news.
#[Object]
impl NotificationSettings {
    /// Global id.
    pub async fn id(&self) -> ID {
        GlobalId::encode(Kind::NotificationSettings, self.row.hub_id, &[])
    }

    /// Whether news are told; false until configured. What happens meanwhile is not told later.
    async fn enabled(&self) -> bool {
        self.row.enabled
    }

    /// How often; DAILY until configured.
    async fn frequency(&self) -> NotificationFrequency {
        self.row.frequency
    }

    /// Who gets an e-mail, at most 50; none until configured. Whoever may read the portal sees them.
    async fn emails(&self) -> Vec<String> {
        self.row.emails()
    }

    /// Those of `emails` that have not confirmed that they want the news: each gets one message with a link, and nothing
    /// else before somebody presses the button of the page behind it, within 7 days. An address that is taken out and
    /// added again has to confirm again; it gets another message where the one before is older than 24 hours. Empty where
    /// the server sends to unconfirmed addresses (`--unconfirmed-emails`).
    async fn unconfirmed_emails(&self) -> Vec<String> {
        self.unconfirmed.clone()
    }

    /// Where messages are sent as calls signed by Standard Webhooks, at most 10; none until configured. The body is
    /// JSON: `type`, `timestamp` and in `data` what the e-mail says.
    async fn webhook_urls(&self) -> Vec<Url> {
        self.row.webhook_urls().into_iter().map(Url).collect()
    }

    /// Whose causes are told, in the order of the enum; all eight until configured.
    async fn categories(&self) -> Vec<SyncErrorCategory> {
        self.row.categories()
    }

    /// The smallest number of affected records that makes a cause worth telling; 1 until configured. One that opens
    /// smaller is told when it has grown to it.
    async fn min_affected_record_count(&self) -> i32 {
        self.row.min_affected_record_count
    }

    /// When a digest is sent, "HH:MM" in the portal's time zone; "08:00" until configured.
    async fn time_of_day(&self) -> String {
        self.row.time_of_day()
    }

    /// On which day a weekly digest is sent; MONDAY until configured.
    async fn weekday(&self) -> Weekday {
        self.row.weekday
    }

    /// When the next digest is due: where a change of the clock skips the time of day, right behind it; where the time
    /// comes twice, at the first. Null while not enabled, and with IMMEDIATELY.
    async fn next_digest_at(&self) -> Option<Instant> {
        let is_planned = self.row.due_zone.as_deref() == Some(&self.time_zone);
        let due_at = match is_planned {
            true => self.row.due_at,
            false => self.row.next_digest(&self.time_zone, self.row.told_at),
        };
        due_at.map(Instant)
    }

    /// What was sent or is to be sent, newest first.
    async fn deliveries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Only entries behind this cursor.")] after: Option<String>,
        #[graphql(desc = "Only deliveries in one of these; [] and null: any.")] statuses: Option<
            Vec<DeliveryStatus>,
        >,
    ) -> Result<Connection<NotificationDelivery>> {
        let page = (first, after.as_deref());
        delivery::list(ctx, &self.scope, page, &statuses.unwrap_or_default()).await
    }
}
