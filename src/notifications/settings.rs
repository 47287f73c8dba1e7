//! Pure rules of the settings: their defaults, what is accepted, and what a change of them tells.

use async_graphql::MaybeUndefined;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::classify::SyncErrorCategory;
use crate::kernel::auth::{Right, Scope};
use crate::kernel::clock::Micros;
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::kernel::limits;
use crate::kernel::mail::is_address;
use crate::kernel::scalars::{Instant, Url, enum_name};
use crate::kernel::user_error::{UserError, UserErrorCode};
use crate::kernel::webhook::{new_secret, secrets_at};
use crate::notifications::api::ConfigureNotificationsInput;
use crate::notifications::schedule::next_digest;
use crate::notifications::tables::notification_settings::Model;
use crate::notifications::{NotificationFrequency, Weekday};
use crate::portals::{PortalRow, check_length, checked_address};

/// Open errors and affected records of each card.
pub(super) type Cards = [(i32, i32); 8];

/// The cards of a portal as they are.
pub(super) fn cards_of(portal: Option<&PortalRow>) -> Cards {
    let none = Cards::default();
    portal.map_or(none, |portal| {
        portal
            .counters
            .map(|card| (card.open_error_count, card.affected_record_count))
    })
}

/// Eight in the morning.
const MINUTE_OF_DAY: i32 = 8 * 60;

impl Model {
    /// Those of a portal that has configured nothing.
    pub(super) fn default_of<R: Right>(scope: &Scope<R>) -> Self {
        Self {
            hub_id: scope.hub_id(),
            version: 0,
            enabled: false,
            frequency: NotificationFrequency::Daily,
            emails: "[]".to_owned(),
            unconfirmed_emails: "[]".to_owned(),
            webhook_urls: "[]".to_owned(),
            categories: "[]".to_owned(),
            min_affected_record_count: 1,
            minute_of_day: MINUTE_OF_DAY,
            weekday: Weekday::Monday,
            webhook_secret: None,
            webhook_former_secret: None,
            webhook_rotated_at: None,
            tested_at: None,
            told_sequence: 0,
            told_at: 0,
            told_cards: "[]".to_owned(),
            due_at: None,
            due_zone: None,
        }
    }

    pub(super) fn emails(&self) -> Vec<String> {
        list(&self.emails)
    }

    pub(super) fn webhook_urls(&self) -> Vec<String> {
        list(&self.webhook_urls)
    }

    /// Whose causes are told.
    pub(super) fn categories(&self) -> Vec<SyncErrorCategory> {
        match list(&self.categories) {
            none if none.is_empty() => SyncErrorCategory::all().collect(),
            some => some,
        }
    }

    /// The cards as they were when news were told last.
    pub(super) fn told_cards(&self) -> Cards {
        serde_json::from_str(&self.told_cards).unwrap_or_default()
    }

    pub(super) fn remember_cards(&mut self, cards: &Cards) {
        self.told_cards = json(cards);
    }

    pub(super) fn time_of_day(&self) -> String {
        format!(
            "{:02}:{:02}",
            self.minute_of_day / 60,
            self.minute_of_day % 60
        )
    }

    /// The digest behind an instant.
    pub(super) fn next_digest(&self, zone: &str, after: Micros) -> Option<Micros> {
        let zone: Tz = zone.parse().unwrap_or(Tz::UTC);
        let time = (self.frequency, self.minute_of_day, self.weekday);
        next_digest(time, zone, after).filter(|_| self.enabled)
    }

    /// Reckons when the next digest is due.
    pub(super) fn plan(&mut self, zone: &str, now: Micros) {
        self.due_at = self.next_digest(zone, now);
        self.due_zone = Some(zone.to_owned());
    }

    /// What signs webhooks at an instant, the newest first.
    pub(super) fn webhook_secrets(&self, now: Micros) -> Vec<&str> {
        let former = self.webhook_former_secret.as_deref();
        secrets_at(
            (self.webhook_secret.as_deref(), former),
            self.webhook_rotated_at,
            now,
        )
    }
}

fn list<T: for<'a> Deserialize<'a>>(json: &str) -> Vec<T> {
    serde_json::from_str(json).unwrap_or_default()
}

fn json<T: Serialize>(list: &[T]) -> String {
    serde_json::to_string(list).unwrap_or_else(|_| "[]".to_owned())
}

/// Puts an input's keys where they belong; answers a secret that was made, or what is refused.
pub(super) fn configure(
    row: &mut Model,
    input: &ConfigureNotificationsInput,
    (env, now): (&Env, Micros),
) -> Result<Result<Option<String>, Vec<UserError>>> {
    let mut refused = Vec::new();
    take(&mut row.enabled, input.enabled, false);
    take(
        &mut row.frequency,
        input.frequency,
        NotificationFrequency::Daily,
    );
    take(&mut row.weekday, input.weekday, Weekday::Monday);
    let none = Vec::new;
    if let Some(emails) = checked(&input.emails, &mut refused, none, |emails| {
        checked_emails(emails, env)
    }) {
        row.emails = json(&emails);
    }
    let none = Vec::new;
    if let Some(urls) = checked(&input.webhook_urls, &mut refused, none, |urls| {
        checked_urls(urls, env)
    }) {
        row.webhook_urls = json(&urls);
    }
    let all = Vec::new;
    if let Some(names) = checked(&input.categories, &mut refused, all, |names| {
        Ok(in_order(names))
    }) {
        row.categories = json(&names);
    }
    let count = &input.min_affected_record_count;
    if let Some(count) = checked(count, &mut refused, || 1, |count| least_records(*count)) {
        row.min_affected_record_count = count;
    }
    let time = &input.time_of_day;
    if let Some(minute) = checked(
        time,
        &mut refused,
        || MINUTE_OF_DAY,
        |text| minute_of_day(text),
    ) {
        row.minute_of_day = minute;
    }
    if !refused.is_empty() {
        return Ok(Err(refused));
    }
    let rotates = matches!(input.rotate_webhook_secret, MaybeUndefined::Value(true));
    let is_first = !row.webhook_urls().is_empty() && row.webhook_secret.is_none();
    if !rotates && !is_first {
        return Ok(Ok(None));
    }
    let secret = new_secret()?;
    row.webhook_former_secret = row.webhook_secret.replace(secret.clone());
    row.webhook_rotated_at = Some(now);
    Ok(Ok(Some(secret)))
}

fn take<T: Copy>(target: &mut T, key: MaybeUndefined<T>, default: T) {
    match key {
        MaybeUndefined::Undefined => {}
        MaybeUndefined::Null => *target = default,
        MaybeUndefined::Value(value) => *target = value,
    }
}

/// The new value of a key, where there is one; what is wrong with it is added to `refused`.
fn checked<I, T>(
    key: &MaybeUndefined<I>,
    refused: &mut Vec<UserError>,
    default: impl Fn() -> T,
    check: impl Fn(&I) -> Result<T, UserError>,
) -> Option<T> {
    match key {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(default()),
        MaybeUndefined::Value(value) => match check(value) {
            Ok(value) => Some(value),
            Err(error) => {
                refused.push(error);
                None
            }
        },
    }
}

fn least_records(count: i32) -> Result<i32, UserError> {
    let path = &["minAffectedRecordCount"];
    match count {
        1.. => Ok(count),
        _ => Err(UserError::new(
            UserErrorCode::OutOfRange,
            path,
            "At least 1 record.",
        )),
    }
}

/// Each once, in the order of the enum; none where all are named.
fn in_order(names: &[SyncErrorCategory]) -> Vec<SyncErrorCategory> {
    let named: Vec<_> = SyncErrorCategory::all()
        .filter(|category| names.contains(category))
        .collect();
    match named.len() == SyncErrorCategory::all().count() {
        true => Vec::new(),
        false => named,
    }
}

fn checked_emails(emails: &[String], env: &Env) -> Result<Vec<String>, UserError> {
    const KEY: &str = "emails";
    let refused = |code, message: String| UserError::new(code, &[KEY], message);
    if emails.len() > limits::NOTIFICATION_EMAILS.value {
        let limit = limits::NOTIFICATION_EMAILS;
        let message = format!("At most {} {} ({}).", limit.value, limit.unit, limit.name);
        return Err(refused(UserErrorCode::TooMany, message));
    }
    let mut all: Vec<String> = Vec::new();
    for (index, text) in emails.iter().enumerate() {
        let email = text.trim();
        check_length(email, KEY, limits::EMAIL_CHARACTERS)?;
        if !is_address(email) {
            let message = "Not an e-mail address in ASCII, for example operations@example.com: write the domain as its servers know it (xn--…).";
            let error = UserError::new(UserErrorCode::Invalid, &[], message);
            return Err(error.in_element(KEY, index));
        }
        if all.iter().all(|known| !known.eq_ignore_ascii_case(email)) {
            all.push(email.to_owned());
        }
    }
    if !all.is_empty() && !env.mailer.is_configured() {
        let message = "This server sends no e-mail: its operator has to set --smtp-url first. Use webhookUrls meanwhile.";
        return Err(refused(UserErrorCode::Invalid, message.into()));
    }
    Ok(all)
}

fn checked_urls(urls: &[Url], env: &Env) -> Result<Vec<String>, UserError> {
    const KEY: &str = "webhookUrls";
    if urls.len() > limits::NOTIFICATION_WEBHOOKS.value {
        let limit = limits::NOTIFICATION_WEBHOOKS;
        let message = format!("At most {} {} ({}).", limit.value, limit.unit, limit.name);
        return Err(UserError::new(UserErrorCode::TooMany, &[KEY], message));
    }
    let mut all: Vec<String> = Vec::new();
    for (index, url) in urls.iter().enumerate() {
        let url = checked_address(env, url.0.trim(), &[])
            .map_err(|error| error.in_element(KEY, index))?;
        if !all.contains(&url) {
            all.push(url);
        }
    }
    Ok(all)
}

/// Reads "HH:MM".
fn minute_of_day(text: &str) -> Result<i32, UserError> {
    let digits = |text: &str| {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse::<i32>().ok()).flatten()
    };
    let read = || {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute) = (digits(hour)?, digits(minute)?);
        (hour < 24 && minute < 60).then_some(hour * 60 + minute)
    };
    read().ok_or_else(|| {
        let message = "A time of day from \"00:00\" to \"23:59\" is needed, for example \"08:00\".";
        UserError::new(UserErrorCode::Invalid, &["timeOfDay"], message)
    })
}

/// What differs between two states of the settings, named as in the contract.
pub(super) fn differences(
    old: &Model,
    new: &Model,
) -> Vec<(&'static str, Option<String>, Option<String>)> {
    let names = |row: &Model| {
        let names = row
            .categories()
            .into_iter()
            .map(|name| enum_name(name).to_owned());
        names.collect::<Vec<_>>()
    };
    let shown = |texts: Vec<String>| (!texts.is_empty()).then(|| texts.join(", "));
    let told = |name, value: &dyn Fn(&Model) -> Option<String>| (name, value(old), value(new));
    [
        told("notificationSettings.enabled", &|row| {
            Some(row.enabled.to_string())
        }),
        told("notificationSettings.frequency", &|row| {
            Some(enum_name(row.frequency).to_owned())
        }),
        told("notificationSettings.emails", &|row| shown(row.emails())),
        told("notificationSettings.webhookUrls", &|row| {
            shown(row.webhook_urls())
        }),
        told("notificationSettings.webhookSecret", &|row| {
            row.webhook_rotated_at.map(|at| Instant(at).to_string())
        }),
        told("notificationSettings.categories", &|row| shown(names(row))),
        told("notificationSettings.minAffectedRecordCount", &|row| {
            Some(row.min_affected_record_count.to_string())
        }),
        told("notificationSettings.timeOfDay", &|row| {
            Some(row.time_of_day())
        }),
        told("notificationSettings.weekday", &|row| {
            Some(enum_name(row.weekday).to_owned())
        }),
    ]
    .into_iter()
    .filter(|(_, old, new)| old != new)
    .collect()
}
