//! Messages to single recipients.

use std::borrow::Cow;

use async_graphql::{Context, ID, Object, OutputType, SimpleObject};

use crate::kernel::auth::{Read, Scope};
use crate::kernel::call::Call;
use crate::kernel::connection::{Connection, wants_total};
use crate::kernel::error::Result;
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::page::{Cursor, Page, TotalCount};
use crate::kernel::plain::Plain;
use crate::kernel::scalars::Instant;
use crate::notifications::store::{self, Delivery};
use crate::notifications::{DeliveryStatus, NotificationChannel};

/// The order of their cursors: part of every cursor that was given out.
const DELIVERIES: u8 = 40;

/// A page of a portal's deliveries, newest first.
pub(super) async fn list(
    ctx: &Context<'_>,
    scope: &Scope<Read>,
    (first, after): (Option<i32>, Option<&str>),
    statuses: &[DeliveryStatus],
) -> Result<Connection<NotificationDelivery>> {
    let call = Call::of(ctx)?;
    let page = Page::forwards(first, after, DELIVERIES)?;
    let select = store::deliveries(scope, statuses);
    let rows = store::deliveries_page(&call.snapshot, select.clone(), &page).await?;
    let total = match wants_total(&ctx.look_ahead()) {
        true => TotalCount::of(&call.snapshot, select).await?,
        false => TotalCount::exact(0),
    };
    let cursor = |delivery: &NotificationDelivery| {
        let row = &delivery.0.row;
        let (order, value, id) = (DELIVERIES, row.number.into(), row.notification_id);
        Cursor { order, value, id }.encode()
    };
    let rows = rows.into_iter().map(NotificationDelivery).collect();
    Ok(Connection::new(&page, rows, cursor, total))
}

/// A message to one recipient.
pub struct NotificationDelivery(pub(super) Delivery);

impl NotificationDelivery {
    /// The delivery of a global id; `None` when it does not exist.
    pub async fn load(call: &Call, scope: &Scope<Read>, id: &GlobalId) -> Result<Option<Self>> {
        let Some((id, number)) = id.uuid_and_number() else {
            return Ok(None);
        };
        let found = store::of_message(&call.snapshot, scope, (id, Some(number))).await?;
        Ok(found.into_iter().next().map(Self))
    }
}

/// One message to one recipient.
#[Object]
impl NotificationDelivery {
    /// Global id.
    pub async fn id(&self) -> ID {
        let row = &self.0.row;
        let number = row.number.to_be_bytes();
        let key = [&row.notification_id.as_bytes()[..], &number].concat();
        GlobalId::encode(Kind::NotificationDelivery, row.hub_id, &key)
    }

    /// By which way.
    async fn channel(&self) -> NotificationChannel {
        self.0.row.channel
    }

    /// The e-mail address or URL.
    async fn target(&self) -> &str {
        &self.0.row.target
    }

    /// What it is about, in the language of the portal.
    async fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Whether it has arrived.
    async fn status(&self) -> DeliveryStatus {
        self.0.row.status
    }

    /// How often it was tried, the attempt under way included; at most 8 times.
    async fn attempt_count(&self) -> i32 {
        self.0.row.attempt_count
    }

    /// The attempts that have ended, oldest first.
    async fn attempts(&self) -> Vec<NotificationAttempt> {
        let ended = self.0.row.ended().into_iter();
        ended
            .map(|attempt| NotificationAttempt {
                at: Instant(attempt.at),
                error: attempt.error,
            })
            .collect()
    }

    /// When it is tried next, or, while it is, when another server may; null unless PENDING.
    async fn next_attempt_at(&self) -> Option<Instant> {
        let is_pending = self.0.row.status == DeliveryStatus::Pending;
        is_pending.then_some(Instant(self.0.row.next_at))
    }

    /// When the message was made.
    async fn created_at(&self) -> Instant {
        Instant(self.0.created_at)
    }

    /// When the recipient's server took it; null unless DELIVERED.
    async fn delivered_at(&self) -> Option<Instant> {
        self.0.row.delivered_at.map(Instant)
    }

    /// Why the last attempt failed; null before the first failure and once DELIVERED.
    async fn last_error(&self) -> Option<&str> {
        self.0.row.last_error.as_deref()
    }
}

/// One attempt to deliver a message.
#[derive(SimpleObject)]
struct NotificationAttempt {
    /// When it ended.
    at: Instant,
    /// Why it failed; null for the one that delivered.
    error: Option<String>,
}

/// Lists of it are short.
impl Plain for NotificationDelivery {
    fn name() -> Cow<'static, str> {
        <Self as OutputType>::type_name()
    }
}
