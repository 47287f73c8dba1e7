//! What changes who is told of news, and tries whether they arrive.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};

use super::{NotificationDelivery, NotificationSettings};
use crate::classify::SyncErrorCategory;
use crate::kernel::auth::{Manage, Scope};
use crate::kernel::call::Call;
use crate::kernel::clock::{Micros, SECOND};
use crate::kernel::error::{Error, Result};
use crate::kernel::limits;
use crate::kernel::scalars::Url;
use crate::kernel::user_error::{UserError, UserErrorCode};
use crate::notifications::confirmation::{Asker, Confirmations};
use crate::notifications::content::Source;
use crate::notifications::render::Occasion;
use crate::notifications::settings::{cards_of, configure, differences};
use crate::notifications::tables::notification_settings;
use crate::notifications::{NotificationFrequency, Weekday, news, store, window};
use crate::portals::{self, Change, scope_of};

/// New settings of notifications. A key left out stays as it is; null sets the default.
#[derive(Debug, InputObject)]
pub struct ConfigureNotificationsInput {
    /// The portal. May be left out when the token names exactly one.
    pub hub_id: Option<ID>,
    /// Whether news are told. Null: false.
    pub enabled: MaybeUndefined<bool>,
    /// How often. Null: DAILY.
    pub frequency: MaybeUndefined<NotificationFrequency>,
    /// Who gets an e-mail: at most 50 addresses of at most 254 characters, each once. INVALID where the server sends no
    /// e-mail, and for addresses that are not ASCII. One that is added has to confirm first (`unconfirmedEmails`): TOO_MANY
    /// where more than 100 would be asked within 24 hours. Null: nobody.
    pub emails: MaybeUndefined<Vec<String>>,
    /// Where messages are sent as signed calls: at most 10 public https URLs of at most 500 characters, each once;
    /// ADDRESS_NOT_ALLOWED for others. Null: nowhere.
    pub webhook_urls: MaybeUndefined<Vec<Url>>,
    /// Makes a new secret for the webhooks; the one before signs too for 24 hours. `Portal.changes` tells when it was
    /// made. Null: false.
    pub rotate_webhook_secret: MaybeUndefined<bool>,
    /// Whose causes are told. Null and []: all eight.
    pub categories: MaybeUndefined<Vec<SyncErrorCategory>>,
    /// The smallest number of affected records that makes a cause worth telling, at least 1. Null: 1.
    pub min_affected_record_count: MaybeUndefined<i32>,
    /// When a digest is sent, "HH:MM" from "00:00" to "23:59" in the portal's time zone. Null: "08:00".
    pub time_of_day: MaybeUndefined<String>,
    /// On which day a weekly digest is sent. Null: MONDAY.
    pub weekday: MaybeUndefined<Weekday>,
}

/// The answer to `configureNotifications`.
#[derive(SimpleObject)]
struct ConfigureNotificationsPayload {
    /// The new settings; null when something was refused: then nothing was changed.
    notification_settings: Option<NotificationSettings>,
    /// What signs the calls to all `webhookUrls`, as Standard Webhooks writes it: made with the first URL and by
    /// `rotateWebhookSecret`, and shown only then. Null otherwise.
    webhook_secret: Option<String>,
    /// What was refused.
    user_errors: Vec<UserError>,
}

/// Whom to send a test to.
#[derive(InputObject)]
struct SendTestNotificationInput {
    /// The portal. May be left out when the token names exactly one.
    hub_id: Option<ID>,
}

/// The answer to `sendTestNotification`.
#[derive(SimpleObject)]
struct SendTestNotificationPayload {
    /// The messages, one for each recipient that has confirmed; null when none was sent.
    deliveries: Option<Vec<NotificationDelivery>>,
    /// What was refused: the whole test, or the addresses that have not confirmed.
    user_errors: Vec<UserError>,
}

/// The mutations of this domain.
#[derive(Default)]
pub struct NotificationMutations;

#[Object]
impl NotificationMutations {
    /// Changes who is told of a portal's news, when and how; each changed setting is told in `Portal.changes`. Needs the
    /// scope sync-health:manage.
    async fn configure_notifications(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] input: ConfigureNotificationsInput,
    ) -> Result<ConfigureNotificationsPayload> {
        let call = Call::of(ctx)?;
        let changed = match scope_of::<Manage>(call, input.hub_id.as_ref())? {
            Some(scope) => change(ctx, &scope, &input)
                .await?
                .map(|secret| (scope, secret)),
            None => Err(vec![UserError::unknown_portal()]),
        };
        Ok(match changed {
            Ok((scope, webhook_secret)) => ConfigureNotificationsPayload {
                notification_settings: NotificationSettings::load(call, scope.reading()).await?,
                webhook_secret,
                user_errors: Vec::new(),
            },
            Err(user_errors) => ConfigureNotificationsPayload {
                notification_settings: None,
                webhook_secret: None,
                user_errors,
            },
        })
    }

    /// Sends a message that says so to all recipients, also while notifications are not enabled; once in 60 seconds,
    /// CONFLICT before. Addresses that have not confirmed get none, and are named by a user error CONFLICT. Needs the scope
    /// sync-health:manage.
    async fn send_test_notification(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of which portal.")] input: SendTestNotificationInput,
    ) -> Result<SendTestNotificationPayload> {
        let call = Call::of(ctx)?;
        let sent = match scope_of::<Manage>(call, input.hub_id.as_ref())? {
            Some(scope) => send_test(call, &scope).await?,
            None => Err(UserError::unknown_portal()),
        };
        Ok(match sent {
            Ok((deliveries, unconfirmed)) => SendTestNotificationPayload {
                deliveries: Some(deliveries),
                user_errors: unconfirmed.into_iter().collect(),
            },
            Err(error) => SendTestNotificationPayload {
                deliveries: None,
                user_errors: vec![error],
            },
        })
    }
}

/// Changes the settings inside the portal's change, so that it is certain from which event on news are told.
async fn change(
    ctx: &Context<'_>,
    scope: &Scope<Manage>,
    input: &ConfigureNotificationsInput,
) -> Result<Result<Option<String>, Vec<UserError>>> {
    let call = Call::of(ctx)?;
    let asker = asker(ctx, input).await?;
    let Some(change) = Change::begin(&call.env, scope).await? else {
        return Ok(Err(vec![UserError::unknown_portal()]));
    };
    let committed = call.env.db.moving();
    let old = store::locked(change.transaction(), scope).await?;
    let portal = portals::find_in(&committed, scope).await?;
    let mut new = old.clone();
    let secret = match configure(&mut new, input, (&call.env, change.now))? {
        Ok(secret) => secret,
        Err(refused) => return Ok(Err(refused)),
    };
    let portal = portal.as_deref();
    new.forget_removed();
    if let Some(asker) = asker
        && let Err(refused) = asker.ask((&change, portal), &old, &mut new).await?
    {
        return Ok(Err(vec![refused]));
    }
    let zone = portal.map_or("UTC", |portal| portal.portal.time_zone.as_str());
    let begins = new.enabled && !old.enabled;
    if begins {
        new.told_sequence = change.sequence();
        new.told_at = change.now;
        new.remember_cards(&cards_of(portal));
    }
    if is_rescheduled(&old, &new) {
        new.plan(zone, change.now);
    }
    let told = |row: &notification_settings::Model| {
        (row.min_affected_record_count, row.categories.clone())
    };
    if new.min_affected_record_count > 1 && (begins || told(&new) != told(&old)) {
        news::begin(change.transaction(), &new, change.now).await?;
    }
    for told in differences(&old, &new) {
        change.tell_setting(scope.subject(), told).await?;
    }
    if new != old {
        store::replace(change.transaction(), new).await?;
    }
    change.commit().await?;
    call.snapshot.renew().await;
    Ok(Ok(secret))
}

/// What asks the addresses that are added, its key at hand: inside of the change there is no time to make one.
async fn asker<'a>(
    ctx: &Context<'a>,
    input: &ConfigureNotificationsInput,
) -> Result<Option<Asker<'a>>> {
    if input.emails.is_undefined() || input.emails.is_null() {
        return Ok(None);
    }
    let confirmations = ctx.data::<Arc<Confirmations>>();
    let confirmations =
        confirmations.map_err(|_| Error::Internal("a schema without confirmations".to_owned()))?;
    confirmations.asker(&Call::of(ctx)?.env).await
}

fn is_rescheduled(old: &notification_settings::Model, new: &notification_settings::Model) -> bool {
    let plan = |row: &notification_settings::Model| {
        (row.enabled, row.frequency, row.minute_of_day, row.weekday)
    };
    plan(old) != plan(new)
}

/// What was sent, and who is not sent anything yet.
type Tested = (Vec<NotificationDelivery>, Option<UserError>);

async fn send_test(call: &Call, scope: &Scope<Manage>) -> Result<Result<Tested, UserError>> {
    let env = &call.env;
    let Some(change) = Change::begin(env, scope).await? else {
        return Ok(Err(UserError::unknown_portal()));
    };
    let committed = env.db.moving();
    let settings = store::locked(change.transaction(), scope).await?;
    let emails = settings.confirmed(env);
    let unconfirmed = unconfirmed(&settings.unconfirmed(env));
    let has_recipients = !emails.is_empty() || !settings.webhook_urls().is_empty();
    let Some(portal) = portals::find_in(&committed, scope)
        .await?
        .filter(|_| has_recipients)
    else {
        let message = "There is no recipient: configure emails or webhookUrls first.";
        let nobody = UserError::new(UserErrorCode::Conflict, &[], message);
        return Ok(Err(unconfirmed.unwrap_or(nobody)));
    };
    let pause = limits::TEST_NOTIFICATION_SECONDS;
    let next = settings
        .tested_at
        .map(|at| at + pause.value as Micros * SECOND);
    if let Some(left) = next.filter(|next| *next > change.now) {
        let message = format!(
            "A test was sent less than {} {} ago ({}): try again in {} seconds.",
            pause.value,
            pause.unit,
            pause.name,
            (left - change.now) / SECOND + 1
        );
        return Ok(Err(UserError::new(UserErrorCode::Conflict, &[], message)));
    }
    let reading = Scope::of_server(scope.hub_id());
    let source = Source {
        snapshot: &committed,
        scope: &reading,
        portal: &portal,
        settings: &settings,
        emails,
        now: change.now,
    };
    let content = source.present().await?;
    let (message, deliveries) = window::message(&source, &content, Occasion::Test)?;
    let tested = notification_settings::Model {
        tested_at: Some(change.now),
        ..settings.clone()
    };
    store::replace(change.transaction(), tested).await?;
    store::insert(change.transaction(), &message, &deliveries).await?;
    change.commit().await?;
    call.snapshot.renew().await;
    let sent = store::of_message(&call.snapshot, scope, (message.id, None)).await?;
    let sent = sent.into_iter().map(NotificationDelivery).collect();
    Ok(Ok((sent, unconfirmed)))
}

/// Tells which addresses get nothing yet.
fn unconfirmed(emails: &[String]) -> Option<UserError> {
    if emails.is_empty() {
        return None;
    }
    let message = format!(
        "Not sent to {}: who gets an e-mail has to confirm first, by the link of the message that came when the address was added. Was it lost, take the address out of emails and add it again, {} {} later.",
        emails.join(", "),
        limits::CONFIRMATION_MAIL_HOURS.value,
        limits::CONFIRMATION_MAIL_HOURS.unit,
    );
    Some(UserError::new(UserErrorCode::Conflict, &[], message))
}
