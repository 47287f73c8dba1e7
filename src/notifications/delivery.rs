//! Messages on their way: each recipient for itself, with growing pauses, a limited number of times, always with the same
//! id. No transaction is held meanwhile; a server that dies leaves a delivery that another one takes over.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::task::{JoinError, JoinSet};
use url::Url;

use crate::kernel::auth::{Report, Scope};
use crate::kernel::backoff::pause;
use crate::kernel::clock::{Micros, SECOND, instant};
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::kernel::limits;
use crate::kernel::mail::{Mail, MailError};
use crate::kernel::webhook;
use crate::notifications::tables::{notification_deliveries, notification_settings, notifications};
use crate::notifications::{DeliveryStatus, NotificationChannel, store};

/// Messages that are under way at once: so many that slow servers do not hold up others.
const AT_ONCE: usize = 512;
/// Those of one portal.
const OF_PORTAL_AT_ONCE: usize = 4;
/// For how long a server may take for one attempt before another one takes over; longer than a mail or a call takes.
const BUSY: Micros = 60 * SECOND;
/// The pause after the first failed attempt; each further one is three times as long.
const FIRST_PAUSE: Micros = 10 * SECOND;
/// The longest pause.
const LONGEST_PAUSE: Micros = 3_600 * SECOND;

/// One attempt that has ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Attempt {
    /// In microseconds since 1970.
    pub(super) at: Micros,
    /// Why it failed.
    pub(super) error: Option<String>,
}

impl notification_deliveries::Model {
    /// The attempts that have ended, oldest first.
    pub(super) fn ended(&self) -> Vec<Attempt> {
        serde_json::from_str(&self.attempts).unwrap_or_default()
    }
}

/// How an attempt ended.
enum Sent {
    Delivered,
    /// It is tried again.
    Failed(String),
    /// It never will.
    Refused(String),
}

/// Delivers the messages of all portals, for ever.
pub async fn deliver(env: &Env) {
    const PAUSE: Duration = Duration::from_secs(1);
    let mut under_way: JoinSet<()> = JoinSet::new();
    let mut portals: HashMap<tokio::task::Id, i64> = HashMap::new();
    loop {
        for row in due(env, &portals).await {
            let (env, hub_id) = (env.clone(), row.hub_id);
            let task = under_way.spawn(async move {
                if let Err(error) = attempt(&env, row).await {
                    let _ = error.answer();
                }
            });
            portals.insert(task.id(), hub_id);
        }
        tokio::select! {
            Some(ended) = under_way.join_next_with_id() => {
                let id = |ended: Result<(tokio::task::Id, ()), JoinError>| ended.map_or_else(|error| error.id(), |(id, ())| id);
                portals.remove(&id(ended));
                while let Some(ended) = under_way.try_join_next_with_id() {
                    portals.remove(&id(ended));
                }
            }
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// What is due, as far as there are places for it.
async fn due(
    env: &Env,
    portals: &HashMap<tokio::task::Id, i64>,
) -> Vec<notification_deliveries::Model> {
    let free = AT_ONCE.saturating_sub(portals.len());
    if free == 0 {
        return Vec::new();
    }
    let mut of_portal: HashMap<i64, usize> = HashMap::new();
    for hub_id in portals.values() {
        *of_portal.entry(*hub_id).or_default() += 1;
    }
    let is_busy = |(_, count): &(&i64, &usize)| **count >= OF_PORTAL_AT_ONCE;
    let busy: Vec<i64> = of_portal
        .iter()
        .filter(is_busy)
        .map(|(hub_id, _)| *hub_id)
        .collect();
    let wanted = (free, OF_PORTAL_AT_ONCE, busy.as_slice());
    let due = store::due(&env.db.moving(), env.clock.now(), wanted).await;
    due.unwrap_or_else(|error| {
        // Logged where it is translated; the next look tries again.
        let _ = error.answer();
        Vec::new()
    })
}

/// How often a delivery is tried.
fn most_attempts() -> i32 {
    i32::try_from(limits::NOTIFICATION_ATTEMPTS.value).unwrap_or(i32::MAX)
}

async fn attempt(env: &Env, row: notification_deliveries::Model) -> Result<()> {
    let until = env.clock.now() + BUSY;
    let is_over = row.attempt_count >= most_attempts();
    let Some(mut row) = store::take(env, row, (i32::from(!is_over), until)).await? else {
        return Ok(());
    };
    let scope = Scope::<Report>::of_server(row.hub_id);
    let message = store::message(&env.db.moving(), &scope, row.notification_id).await?;
    let sent = match message {
        _ if is_over => Sent::Refused("The server stopped during the last attempt.".into()),
        Some(message) => send(env, &scope, &row, &message).await?,
        None => Sent::Refused("The message is gone.".into()),
    };
    let outcome = match &sent {
        Sent::Delivered => "delivered",
        Sent::Failed(_) | Sent::Refused(_) => "failed",
    };
    let channel = match row.channel {
        NotificationChannel::Email => "email",
        NotificationChannel::Webhook => "webhook",
    };
    end(&mut row, sent, env.clock.now());
    store::end(env, &row, until).await?;
    env.metrics.notification_sent(channel, outcome);
    Ok(())
}

/// What became of a delivery by an attempt.
fn end(row: &mut notification_deliveries::Model, sent: Sent, now: Micros) {
    let is_last = row.attempt_count >= most_attempts();
    let error = match sent {
        Sent::Delivered => {
            row.status = DeliveryStatus::Delivered;
            row.delivered_at = Some(now);
            None
        }
        Sent::Failed(why) => {
            if is_last {
                row.status = DeliveryStatus::Failed;
            }
            let random = row.notification_id.as_bytes()[15].wrapping_add(row.number as u8);
            row.next_at = now + pause(row.attempt_count, (FIRST_PAUSE, LONGEST_PAUSE), random);
            Some(why)
        }
        Sent::Refused(why) => {
            row.status = DeliveryStatus::Failed;
            Some(why)
        }
    };
    let mut attempts = row.ended();
    attempts.push(Attempt {
        at: now,
        error: error.clone(),
    });
    row.attempts = serde_json::to_string(&attempts).unwrap_or_else(|_| "[]".to_owned());
    row.last_error = error;
}

async fn send(
    env: &Env,
    scope: &Scope<Report>,
    row: &notification_deliveries::Model,
    message: &notifications::Model,
) -> Result<Sent> {
    let settings = store::settings(&env.db.moving(), scope).await?;
    if let Some(why) = refusal(&settings, row, (message, env)) {
        return Ok(Sent::Refused(why.into()));
    }
    let id = format!("{}-{}", row.notification_id, row.number);
    let (Some(text), Some(html), Some(body)) = (
        &message.mail_text,
        &message.mail_html,
        &message.webhook_body,
    ) else {
        return Ok(Sent::Refused("The message is gone.".into()));
    };
    if row.channel == NotificationChannel::Email {
        let mail = Mail {
            id: &id,
            to: &row.target,
            subject: &message.subject,
            text,
            html,
            written_at: SystemTime::from(instant(message.created_at)),
        };
        return Ok(match env.mailer.send(&mail).await {
            Ok(()) => Sent::Delivered,
            Err(MailError::Failed(why)) => Sent::Failed(why),
            Err(MailError::Refused(why)) => Sent::Refused(why),
        });
    }
    let Ok(url) = Url::parse(&row.target) else {
        return Ok(Sent::Refused("Not a URL.".into()));
    };
    let now = env.clock.now();
    let call = webhook::Message {
        id: &id,
        body,
        secrets: &settings.webhook_secrets(now),
        now,
    };
    let called = env.webhooks.send(&url, &call).await;
    Ok(called.map_or_else(Sent::Failed, |_| Sent::Delivered))
}

/// Why a message is not sent to its recipient any more.
fn refusal(
    settings: &notification_settings::Model,
    row: &notification_deliveries::Model,
    (message, env): (&notifications::Model, &Env),
) -> Option<&'static str> {
    let is_same = |known: &String| known.eq_ignore_ascii_case(&row.target);
    let is_recipient = match row.channel {
        NotificationChannel::Email => settings.emails().iter().any(is_same),
        NotificationChannel::Webhook => settings.webhook_urls().contains(&row.target),
    };
    let is_email = row.channel == NotificationChannel::Email;
    let waits = || settings.unconfirmed(env).iter().any(is_same);
    match is_recipient {
        false => Some("It is no recipient any more."),
        true if is_email && !message.confirms && waits() => Some("It has not confirmed yet."),
        true => None,
    }
}
