//! The address that a portal's records to be tried again are sent to, and what signs them.

use async_graphql::MaybeUndefined;

use crate::kernel::call::Call;
use crate::kernel::clock::{MINUTE, Micros};
use crate::kernel::error::Result;
use crate::kernel::limits;
use crate::kernel::scalars::Url;
use crate::kernel::user_error::{UserError, UserErrorCode};
use crate::kernel::webhook::new_secret;
use crate::portals::check_length;
use crate::portals::tables::portals;

/// A new address with its secret.
#[derive(Debug, Clone)]
pub(super) struct NewWebhook {
    url: String,
    pub(super) secret: String,
}

/// What an input asks for: nothing, none, or an address that may be called, with a fresh secret.
pub(super) fn checked_webhook(
    call: &Call,
    url: &MaybeUndefined<Url>,
) -> Result<Result<Option<Option<NewWebhook>>, UserError>> {
    let text = match url {
        MaybeUndefined::Undefined => return Ok(Ok(None)),
        MaybeUndefined::Null => return Ok(Ok(Some(None))),
        MaybeUndefined::Value(url) => url.0.trim(),
    };
    const KEY: &str = "resyncWebhookUrl";
    if let Err(error) = check_length(text, KEY, limits::URL_CHARACTERS) {
        return Ok(Err(error));
    }
    let Ok(url) = url::Url::parse(text) else {
        let message = "Not a URL. An https URL is needed, for example https://example.com/resync.";
        return Ok(Err(UserError::new(UserErrorCode::Invalid, &[KEY], message)));
    };
    if let Some(refusal) = call.env.webhooks.refusal(&url) {
        let code = UserErrorCode::AddressNotAllowed;
        return Ok(Err(UserError::new(code, &[KEY], refusal)));
    }
    let (url, secret) = (url.to_string(), new_secret()?);
    Ok(Ok(Some(Some(NewWebhook { url, secret }))))
}

impl portals::Model {
    /// Sets the address; the secret before it signs too for a while.
    pub(super) fn set_webhook(&mut self, webhook: &Option<Option<NewWebhook>>, now: Micros) {
        match webhook {
            None => {}
            Some(None) => {
                self.resync_webhook_url = None;
                self.resync_webhook_secret = None;
                self.resync_webhook_former_secret = None;
            }
            Some(Some(webhook)) => {
                self.resync_webhook_url = Some(webhook.url.clone());
                self.resync_webhook_former_secret = self.resync_webhook_secret.take();
                self.resync_webhook_secret = Some(webhook.secret.clone());
                self.resync_webhook_rotated_at = Some(now);
            }
        }
    }

    /// What signs at an instant, the newest first.
    pub fn resync_webhook_secrets(&self, now: Micros) -> Vec<&str> {
        let rotation = limits::WEBHOOK_ROTATION_HOURS.value as Micros * 60 * MINUTE;
        let rotated_at = self.resync_webhook_rotated_at.unwrap_or(0);
        let former = self.resync_webhook_former_secret.as_deref();
        let former = former.filter(|_| now < rotated_at + rotation);
        let present = self.resync_webhook_secret.as_deref();
        present.into_iter().chain(former).collect()
    }
}
