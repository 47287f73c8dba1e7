//! What changes a portal's settings and sync state: by people (`configurePortal`), by engines (`reportPortalState`).

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};

use crate::kernel::auth::{Manage, Report, Scope, Writing};
use crate::kernel::call::Call;
use crate::kernel::error::Result;
use crate::kernel::limits;
use crate::kernel::scalars::{Instant, Url};
use crate::kernel::text::{fold_all, one_line};
use crate::kernel::user_error::{UserError, UserErrorCode};
use crate::portals::api::Portal;
use crate::portals::settings::{
    check_base_url, check_length, check_name, check_time_zone, differences,
};
use crate::portals::store;
use crate::portals::tables::portals;
use crate::portals::webhook::checked_webhook;
use crate::portals::{Change, Locale, SuspensionReason, SyncState, check_occurred_at, scope_of};

/// New settings. A key left out stays as it is; null sets the default.
#[derive(Debug, InputObject)]
pub struct ConfigurePortalInput {
    /// The portal. May be left out when the token names exactly one.
    pub hub_id: Option<ID>,
    /// A name for people, at most 255 characters. Null: none.
    pub name: MaybeUndefined<String>,
    /// A zone of the IANA time zone database, for example "Europe/Berlin". Null: UTC.
    pub time_zone: MaybeUndefined<String>,
    /// The language of our own texts. Null: EN.
    pub locale: MaybeUndefined<Locale>,
    /// Where the portal's HubSpot app is: it differs by region. An https URL of at most 500 characters. Null: https://app.hubspot.com.
    pub hubspot_app_url: MaybeUndefined<Url>,
    /// The org's own URL, for links to its records. An https URL of at most 500 characters. Null: none.
    pub salesforce_instance_url: MaybeUndefined<Url>,
    /// Where records to be tried again are sent as signed calls: a public https URL of at most 500 characters,
    /// ADDRESS_NOT_ALLOWED for others. Each time it is set, even to the same, there is a new secret. Null: nowhere.
    pub resync_webhook_url: MaybeUndefined<Url>,
}

/// The answer to `configurePortal`.
#[derive(SimpleObject)]
pub struct ConfigurePortalPayload {
    /// The portal with its new settings; null when something was refused: then nothing was changed.
    pub portal: Option<Portal>,
    /// What signs the calls to `resyncWebhookUrl`, as Standard Webhooks writes it; shown only here, when that was set. The
    /// secret before it signs too for 24 hours. Null otherwise.
    pub webhook_secret: Option<String>,
    /// What was refused.
    pub user_errors: Vec<UserError>,
}

/// What an engine tells of a portal. A key left out stays as it is; null means not known.
#[derive(Debug, InputObject)]
pub struct ReportPortalStateInput {
    /// The portal. May be left out when the token names exactly one.
    pub hub_id: Option<ID>,
    /// When it was so; now when left out. At most 300 seconds ahead. A state older than the latest one that was
    /// reported changes nothing.
    pub occurred_at: Option<Instant>,
    /// Whether the portal syncs. Null stays as it is.
    pub sync_state: Option<SyncState>,
    /// Why it does not; only with SUSPENDED, UNKNOWN when left out.
    pub suspension_reason: Option<SuspensionReason>,
    /// The org's own URL. An https URL of at most 500 characters.
    pub salesforce_instance_url: MaybeUndefined<Url>,
    /// The connected user, at most 255 characters.
    pub salesforce_username: MaybeUndefined<String>,
}

/// The answer to `reportPortalState`.
#[derive(SimpleObject)]
pub struct ReportPortalStatePayload {
    /// The portal as it is now: only for a token that may also read, else null. Null also when something was refused.
    pub portal: Option<Portal>,
    /// What was refused.
    pub user_errors: Vec<UserError>,
}

/// The mutations of this domain.
#[derive(Default)]
pub struct PortalMutations;

#[Object]
impl PortalMutations {
    /// Changes a portal's settings; each changed one is told in `Portal.changes`. Needs the scope sync-health:manage.
    async fn configure_portal(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] input: ConfigurePortalInput,
    ) -> Result<ConfigurePortalPayload> {
        let call = Call::of(ctx)?;
        let refused = |user_errors| ConfigurePortalPayload {
            portal: None,
            webhook_secret: None,
            user_errors,
        };
        let Some(scope) = scope_of::<Manage>(call, input.hub_id.as_ref())? else {
            return Ok(refused(vec![UserError::unknown_portal()]));
        };
        let webhook = match checked_webhook(call, &input.resync_webhook_url)? {
            Ok(webhook) => webhook,
            Err(error) => return Ok(refused(vec![error])),
        };
        let configure = |portal: &mut portals::Model, change: &Change| {
            portal.set_webhook(&webhook, change.now);
            configure(portal, &input)
        };
        match change_settings(call, &scope, configure).await? {
            Ok(()) => {
                let portal = Portal::load(call, scope.reading()).await?;
                Ok(ConfigurePortalPayload {
                    portal,
                    webhook_secret: webhook.flatten().map(|webhook| webhook.secret),
                    user_errors: Vec::new(),
                })
            }
            Err(user_errors) => Ok(refused(user_errors)),
        }
    }

    /// Tells whether a portal syncs and how it is connected. Needs the scope sync-health:report.
    async fn report_portal_state(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is so.")] input: ReportPortalStateInput,
    ) -> Result<ReportPortalStatePayload> {
        let call = Call::of(ctx)?;
        let refused = |user_errors| ReportPortalStatePayload {
            portal: None,
            user_errors,
        };
        let Some(scope) = scope_of::<Report>(call, input.hub_id.as_ref())? else {
            return Ok(refused(vec![UserError::unknown_portal()]));
        };
        let report =
            |portal: &mut portals::Model, change: &Change| report_state(portal, &input, change);
        match change_settings(call, &scope, report).await? {
            Ok(()) => {
                let reading = call.viewer.scope(scope.hub_id()).ok().flatten();
                let portal = match reading {
                    Some(scope) => Portal::load(call, scope).await?,
                    None => None,
                };
                Ok(ReportPortalStatePayload {
                    portal,
                    user_errors: Vec::new(),
                })
            }
            Err(user_errors) => Ok(refused(user_errors)),
        }
    }
}

/// Applies `apply` to the settings inside a change and writes what differs.
async fn change_settings<R: Writing>(
    call: &Call,
    scope: &Scope<R>,
    apply: impl Fn(&mut portals::Model, &Change) -> Vec<UserError>,
) -> Result<Result<(), Vec<UserError>>> {
    let unknown = || Ok(Err(vec![UserError::unknown_portal()]));
    let Some(mut change) = Change::begin(&call.env, scope).await? else {
        return unknown();
    };
    let Some(old) = store::settings(change.transaction(), scope.hub_id()).await? else {
        return unknown();
    };
    let mut new = old.clone();
    let user_errors = apply(&mut new, &change);
    if !user_errors.is_empty() {
        return Ok(Err(user_errors));
    }
    let hub_id = scope.hub_id().to_string();
    new.search_text = fold_all([new.name.as_deref(), Some(hub_id.as_str())]);
    if new != old {
        for told in differences(&old, &new) {
            change.tell_setting(scope.subject(), told).await?;
        }
        change.tell_turn(&old, &new).await?;
        store::write_settings(change.transaction(), new).await?;
    }
    change.commit().await?;
    call.snapshot.renew().await;
    Ok(Ok(()))
}

/// Puts one key of an input where it belongs, or tells why not.
fn set<I, T>(
    key: &MaybeUndefined<I>,
    target: &mut T,
    default: T,
    check: impl Fn(&I) -> Result<T, UserError>,
) -> Option<UserError> {
    match key {
        MaybeUndefined::Undefined => {}
        MaybeUndefined::Null => *target = default,
        MaybeUndefined::Value(value) => match check(value) {
            Ok(value) => *target = value,
            Err(error) => return Some(error),
        },
    }
    None
}

fn configure(portal: &mut portals::Model, input: &ConfigurePortalInput) -> Vec<UserError> {
    let defaults = store::empty(portal.hub_id);
    let some =
        |check: fn(&str) -> Result<String, UserError>| move |value: &String| check(value).map(Some);
    [
        set(&input.name, &mut portal.name, None, some(check_name)),
        set(
            &input.time_zone,
            &mut portal.time_zone,
            defaults.time_zone,
            |zone: &String| check_time_zone(zone),
        ),
        set(
            &input.locale,
            &mut portal.locale,
            defaults.locale,
            |locale| Ok(*locale),
        ),
        set(
            &input.hubspot_app_url,
            &mut portal.hubspot_app_url,
            defaults.hubspot_app_url,
            |url| check_base_url(&url.0, "hubspotAppUrl"),
        ),
        set_instance_url(portal, &input.salesforce_instance_url),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn set_instance_url(portal: &mut portals::Model, url: &MaybeUndefined<Url>) -> Option<UserError> {
    set(url, &mut portal.salesforce_instance_url, None, |url| {
        check_base_url(&url.0, "salesforceInstanceUrl").map(Some)
    })
}

fn report_state(
    portal: &mut portals::Model,
    input: &ReportPortalStateInput,
    change: &Change,
) -> Vec<UserError> {
    let known = portal.state_reported_at;
    let known = known.filter(|known| *known <= change.latest());
    let occurred_at = match input.occurred_at {
        Some(at) => at.0,
        // Without an instant it is the latest.
        None => change.now.max(known.unwrap_or(change.now)),
    };
    let mut user_errors = Vec::new();
    if let Err(error) = check_occurred_at(occurred_at, change.now) {
        user_errors.push(error);
    }
    let suspended = input.sync_state == Some(SyncState::Suspended);
    if input.suspension_reason.is_some() && !suspended {
        let message = "A reason goes with syncState SUSPENDED only.";
        user_errors.push(UserError::new(
            UserErrorCode::Invalid,
            &["suspensionReason"],
            message,
        ));
    }
    if known.is_some_and(|known| occurred_at < known) {
        return user_errors;
    }
    user_errors.extend(set_instance_url(portal, &input.salesforce_instance_url));
    user_errors.extend(set(
        &input.salesforce_username,
        &mut portal.salesforce_username,
        None,
        |name| {
            check_length(name, "salesforceUsername", limits::NAME_CHARACTERS)?;
            Ok(Some(one_line(name).trim().to_owned()).filter(|name| !name.is_empty()))
        },
    ));
    portal.state_reported_at = Some(occurred_at);
    if let Some(state) = input.sync_state {
        portal.suspended_since = suspended.then(|| portal.suspended_since.unwrap_or(occurred_at));
        portal.suspension_reason =
            suspended.then(|| input.suspension_reason.unwrap_or(SuspensionReason::Unknown));
        portal.sync_state = state;
    }
    user_errors
}
