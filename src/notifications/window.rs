//! What happened since news were told last becomes one message. Every server looks; the version of the settings lets one
//! of them write, so that a window is told once, whenever servers die.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::kernel::auth::{Report, Scope};
use crate::kernel::clock::Micros;
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::kernel::progress::Position;
use crate::kernel::scalars::Instant;
use crate::kernel::wake::ANY_PORTAL;
use crate::notifications::content::{Content, Source};
use crate::notifications::news::Window;
use crate::notifications::render::{Occasion, Rendered, render};
use crate::notifications::settings::cards_of;
use crate::notifications::store::{self, Candidate};
use crate::notifications::tables::{notification_deliveries, notification_settings, notifications};
use crate::notifications::{DeliveryStatus, NotificationChannel, NotificationFrequency};
use crate::portals::{self, PortalRow};
use crate::sync_errors::history;

/// So many events without news are not looked through again by a server that starts.
const SKIPPED_EVENTS: i64 = 10_000;

/// What this server knows of a portal whose news are told at once.
#[derive(Default, Clone, Copy)]
struct Looked {
    /// Of the settings.
    version: i64,
    /// Up to where the feed was looked through.
    through: Option<Position>,
    /// When the first news that are not told happened.
    first_at: Option<Micros>,
}

/// Tells the news of all portals, for ever; news that are told at once are gathered for a while.
pub async fn tell(env: &Env, gathering: Duration) {
    const PAUSE: Duration = Duration::from_secs(1);
    let gathering = Micros::try_from(gathering.as_micros()).unwrap_or(Micros::MAX);
    let mut looked: HashMap<i64, Looked> = HashMap::new();
    let mut ring = env.wake.listen(ANY_PORTAL);
    loop {
        ring.mark_unchanged();
        if let Err(error) = look(env, gathering, &mut looked).await {
            // Logged where it is translated; the next look tries again.
            let _ = error.answer();
        }
        tokio::time::sleep(PAUSE / 2).await;
        tokio::select! {
            _ = ring.changed() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn look(env: &Env, gathering: Micros, looked: &mut HashMap<i64, Looked>) -> Result<()> {
    let candidates = store::candidates(&env.db.moving(), env.clock.now()).await?;
    looked.retain(|hub_id, _| {
        candidates
            .iter()
            .any(|candidate| candidate.hub_id == *hub_id)
    });
    for candidate in candidates {
        let looked = looked.entry(candidate.hub_id).or_default();
        // One that fails does not hold up the others.
        if let Err(error) = look_at(env, &candidate, gathering, looked).await {
            let _ = error.answer();
        }
    }
    Ok(())
}

async fn look_at(
    env: &Env,
    candidate: &Candidate,
    gathering: Micros,
    looked: &mut Looked,
) -> Result<()> {
    if looked.version != candidate.version {
        *looked = Looked {
            version: candidate.version,
            ..Looked::default()
        };
    }
    let now = env.clock.now();
    let is_told_at_once = candidate.frequency == NotificationFrequency::Immediately;
    let waits = match looked.first_at {
        Some(first) => now < first + gathering,
        None => looked.through == Some(candidate.head.position()),
    };
    if is_told_at_once && waits {
        return Ok(());
    }
    let scope = Scope::<Report>::of_server(candidate.hub_id);
    let snapshot = env.db.snapshot();
    let settings = store::settings(&snapshot, &scope).await?;
    let portal = portals::find_in(&snapshot, &scope).await?;
    // Configured meanwhile: the next look knows.
    let Some(portal) = portal.filter(|_| settings.version == candidate.version) else {
        return Ok(());
    };
    let source = Source {
        snapshot: &snapshot,
        scope: &scope,
        portal: &portal,
        settings: &settings,
        emails: settings.confirmed(env),
        now,
    };
    if !is_told_at_once {
        return digest(env, &source).await;
    }
    if looked.first_at.is_none() {
        let mut unseen = Window::of(&settings, portal.head.sequence);
        // In another history than that which was looked through, all that is not told is unseen.
        if let Some(through) = looked.through
            && let Some(known) = history::known(&snapshot, &scope, &portal.head, &through).await?
        {
            unseen = unseen.behind(known.sequence);
        }
        looked.first_at = unseen.first_at(&snapshot).await?;
        looked.through = Some(portal.head.position());
    }
    match looked.first_at {
        Some(first) if now < first + gathering => Ok(()),
        Some(_) => close(env, &source, Occasion::News).await,
        None if portal.head.sequence - settings.told_sequence < SKIPPED_EVENTS => Ok(()),
        None => write(env, moved(&source), None).await,
    }
}

async fn digest(env: &Env, source: &Source<'_>) -> Result<()> {
    let Source {
        settings,
        portal,
        now,
        ..
    } = source;
    let zone = &portal.portal.time_zone;
    if settings.due_zone.as_ref() != Some(zone) {
        let mut planned = (*settings).clone();
        // As if it had been so since news were told last: a digest that this makes due is not lost.
        planned.plan(zone, settings.told_at);
        return write(env, planned, None).await;
    }
    match settings.due_at {
        Some(due_at) if due_at <= *now => close(env, source, Occasion::Digest).await,
        _ => Ok(()),
    }
}

/// Tells what the window holds, where that is anything.
async fn close(env: &Env, source: &Source<'_>, occasion: Occasion) -> Result<()> {
    let window = Window::of(source.settings, source.portal.head.sequence);
    let content = source.news(&window).await?;
    let message = match &content {
        Some(content) => Some((&window, message(source, content, occasion)?)),
        None => None,
    };
    write(env, moved(source), message).await
}

/// The settings when all up to the present is told.
fn moved(source: &Source<'_>) -> notification_settings::Model {
    let mut settings = source.settings.clone();
    settings.told_sequence = source.portal.head.sequence;
    settings.told_at = source.now;
    settings.remember_cards(&cards_of(Some(source.portal)));
    settings.plan(&source.portal.portal.time_zone, source.now);
    settings
}

/// A message with its deliveries.
pub(super) type Message = (notifications::Model, Vec<notification_deliveries::Model>);

/// Puts a content into a message to all recipients.
pub(super) fn message(
    source: &Source<'_>,
    content: &Content,
    occasion: Occasion,
) -> Result<Message> {
    let portal: &PortalRow = source.portal;
    let Rendered {
        subject,
        text,
        html,
    } = render(content, portal, occasion)?;
    let body = json!({
        "type": format!("notification.{}", occasion.name()),
        "timestamp": Instant(source.now),
        "data": content,
    });
    let id = Uuid::now_v7();
    let hub_id = portal.portal.hub_id;
    let emails = source.emails.iter().cloned();
    let urls = source.settings.webhook_urls().into_iter();
    let recipients = emails
        .map(|email| (NotificationChannel::Email, email))
        .chain(urls.map(|url| (NotificationChannel::Webhook, url)));
    let delivery = |(number, (channel, target))| notification_deliveries::Model {
        hub_id,
        notification_id: id,
        number,
        channel,
        target,
        status: DeliveryStatus::Pending,
        attempt_count: 0,
        attempts: "[]".to_owned(),
        next_at: source.now,
        delivered_at: None,
        last_error: None,
    };
    let row = notifications::Model {
        hub_id,
        id,
        created_at: source.now,
        subject,
        mail_text: Some(text),
        mail_html: Some(html),
        webhook_body: Some(body.to_string()),
        confirms: false,
    };
    Ok((row, (1..).zip(recipients).map(delivery).collect()))
}

async fn write(
    env: &Env,
    settings: notification_settings::Model,
    message: Option<(&Window, Message)>,
) -> Result<()> {
    let transaction = env.db.begin().await?;
    if !store::replace(&transaction, settings).await? {
        // Another server was first.
        return Ok(());
    }
    if let Some((window, (message, deliveries))) = message {
        window.remember(&transaction).await?;
        if !deliveries.is_empty() {
            store::insert(&transaction, &message, &deliveries).await?;
        }
    }
    transaction.commit().await
}
