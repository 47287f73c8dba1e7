//! Pure rules of a portal's settings: what is accepted, and what a change of them tells.

use crate::kernel::limits;
use crate::kernel::scalars::enum_name;
use crate::kernel::text::one_line;
use crate::kernel::user_error::{UserError, UserErrorCode};
use crate::portals::Locale;
use crate::portals::tables::portals;

/// The settings that `changes` tells of.
pub(super) type Told = (&'static str, Option<String>, Option<String>);

/// A name: one line, not empty, not too long.
pub(super) fn check_name(name: &str) -> Result<String, UserError> {
    let name = one_line(name);
    let name = name.trim();
    if name.is_empty() {
        return Err(UserError::new(
            UserErrorCode::Invalid,
            &["name"],
            "A name has at least one character. Use null for none.",
        ));
    }
    check_length(name, "name", limits::NAME_CHARACTERS)?;
    Ok(name.to_owned())
}

/// A zone of the IANA time zone database.
pub(super) fn check_time_zone(name: &str) -> Result<String, UserError> {
    let zone: Result<chrono_tz::Tz, _> = name.parse();
    zone.map(|zone| zone.name().to_owned()).map_err(|_| {
        UserError::new(
            UserErrorCode::Invalid,
            &["timeZone"],
            "Not a zone of the IANA time zone database, for example Europe/Berlin.",
        )
    })
}

/// The base URL of one of the two systems: https, a host, and nothing that would end up in a link by mistake.
pub(super) fn check_base_url(text: &str, key: &'static str) -> Result<String, UserError> {
    check_length(text, key, limits::URL_CHARACTERS)?;
    let refused = || {
        UserError::new(
            UserErrorCode::Invalid,
            &[key],
            "An https URL without user, query and fragment is needed, for example https://example.my.salesforce.com.",
        )
    };
    let url = url::Url::parse(text.trim()).map_err(|_| refused())?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if url.scheme() != "https" || url.host_str().is_none() || !plain {
        return Err(refused());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// A text within its limit.
pub fn check_length(text: &str, key: &'static str, limit: limits::Limit) -> Result<(), UserError> {
    if text.chars().count() <= limit.value {
        return Ok(());
    }
    Err(UserError::new(
        UserErrorCode::TooLong,
        &[key],
        format!("At most {} {} ({}).", limit.value, limit.unit, limit.name),
    ))
}

/// A name that an engine gives to a request or report of its own: not empty, not too long.
pub fn check_key(text: &str, key: &'static str) -> Result<(), UserError> {
    if text.is_empty() {
        let message = "At least one character is needed.";
        return Err(UserError::new(UserErrorCode::Required, &[key], message));
    }
    check_length(text, key, limits::NAME_CHARACTERS)
}

/// What differs between two states of the settings, named as in the contract.
pub(super) fn differences(old: &portals::Model, new: &portals::Model) -> Vec<Told> {
    let locale = |locale: Locale| Some(enum_name(locale).to_owned());
    let all: [Told; 7] = [
        ("name", old.name.clone(), new.name.clone()),
        (
            "timeZone",
            Some(old.time_zone.clone()),
            Some(new.time_zone.clone()),
        ),
        ("locale", locale(old.locale), locale(new.locale)),
        (
            "hubspotAppUrl",
            Some(old.hubspot_app_url.clone()),
            Some(new.hubspot_app_url.clone()),
        ),
        (
            "salesforceInstanceUrl",
            old.salesforce_instance_url.clone(),
            new.salesforce_instance_url.clone(),
        ),
        (
            "salesforceUsername",
            old.salesforce_username.clone(),
            new.salesforce_username.clone(),
        ),
        (
            "resyncWebhookUrl",
            old.resync_webhook_url.clone(),
            new.resync_webhook_url.clone(),
        ),
    ];
    all.into_iter().filter(|(_, old, new)| old != new).collect()
}
