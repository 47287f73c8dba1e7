//! The address that a portal's records to be tried again are sent to, and what signs them.

use async_graphql::MaybeUndefined;

use crate::kernel::call::Call;
use crate::kernel::clock::Micros;
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::kernel::limits;
use crate::kernel::scalars::Url;
use crate::kernel::user_error::{UserError, UserErrorCode};
use crate::kernel::webhook::{new_secret, secrets_at};
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
    match checked_address(&call.env, text, &["resyncWebhookUrl"]) {
        Err(error) => Ok(Err(error)),
        Ok(url) => {
            let secret = new_secret()?;
            Ok(Ok(Some(Some(NewWebhook { url, secret }))))
        }
    }
}

/// An address that may be called, or why the value at `path` of the input is none.
pub fn checked_address(env: &Env, text: &str, path: &[&str]) -> Result<String, UserError> {
    let limit = limits::URL_CHARACTERS;
    if text.chars().count() > limit.value {
        let message = format!("At most {} {} ({}).", limit.value, limit.unit, limit.name);
        return Err(UserError::new(UserErrorCode::TooLong, path, message));
    }
    let Ok(url) = url::Url::parse(text) else {
        let message = "Not a URL. An https URL is needed, for example https://example.com/sync.";
        return Err(UserError::new(UserErrorCode::Invalid, path, message));
    };
    match env.webhooks.refusal(&url) {
        Some(refusal) => Err(UserError::new(
            UserErrorCode::AddressNotAllowed,
            path,
            refusal,
        )),
        None => Ok(url.to_string()),
    }
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
        let present = self.resync_webhook_secret.as_deref();
        let former = self.resync_webhook_former_secret.as_deref();
        secrets_at((present, former), self.resync_webhook_rotated_at, now)
    }
}
