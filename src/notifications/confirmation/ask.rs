//! Asking: one message to each address that a change adds, with a link that is its own.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Asked, CONFIRMATIONS, Question, is_same};
use crate::kernel::bulk;
use crate::kernel::clock::{MINUTE, Micros};
use crate::kernel::error::Result;
use crate::kernel::limits;
use crate::kernel::user_error::{UserError, UserErrorCode};
use crate::notifications::render::{self, About, Rendered};
use crate::notifications::tables::{
    confirmation_mails, notification_deliveries, notification_settings, notifications,
};
use crate::notifications::{DeliveryStatus, NotificationChannel, store};
use crate::portals::{Change, PortalRow};

/// What stands for an address.
fn digest(email: &str) -> Uuid {
    let hash = Sha256::digest(email.to_ascii_lowercase());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    Uuid::from_bytes(bytes)
}

/// Asks addresses inside a change.
pub(in crate::notifications) struct Asker<'a> {
    pub(super) key: &'a [u8],
    pub(super) public_url: &'a str,
}

impl Asker<'_> {
    /// Asks those that the new settings add, each once in a while; or answers what is refused.
    pub(in crate::notifications) async fn ask(
        &self,
        (change, portal): (&Change, Option<&PortalRow>),
        old: &notification_settings::Model,
        new: &mut notification_settings::Model,
    ) -> Result<Result<(), UserError>> {
        let mut added = new.emails();
        added.retain(|email| !old.has(email));
        if added.is_empty() {
            return Ok(Ok(()));
        }
        let before = asked_before(change).await?;
        let mut asked = new.asked();
        let mut mails = Vec::new();
        for email in added {
            let known = before.get(&digest(&email)).copied();
            let asked_at = known.unwrap_or(change.now);
            let one = Asked { email, asked_at };
            if known.is_none() {
                mails.push(one.clone());
            }
            // An older version leaves entries behind.
            asked.retain(|known| !is_same(&known.email, &one.email));
            asked.push(one);
        }
        let limit = limits::CONFIRMATION_MAILS;
        if before.len() + mails.len() > limit.value {
            return Ok(Err(too_many()));
        }
        let about = About::of(change.hub_id(), portal);
        for one in mails {
            self.mail(change, &about, one).await?;
        }
        new.remember_asked(&asked);
        Ok(Ok(()))
    }

    async fn mail(&self, change: &Change, about: &About, asked: Asked) -> Result<()> {
        let hub_id = change.hub_id();
        let question = Question { hub_id, asked };
        let email = question.asked.email.clone();
        let until = question.until();
        let ticket = CONFIRMATIONS.sign_open(self.key, question)?;
        let link = format!("{}/v1/confirmations?ticket={ticket}", self.public_url);
        let Rendered {
            subject,
            text,
            html,
        } = render::confirmation(about, &link, until)?;
        let id = Uuid::now_v7();
        let message = notifications::Model {
            hub_id,
            id,
            created_at: change.now,
            subject,
            mail_text: Some(text),
            mail_html: Some(html),
            // It goes to no webhook; an older version refuses a message without.
            webhook_body: Some("{}".to_owned()),
            confirms: true,
        };
        let mailed = confirmation_mails::Model {
            hub_id,
            email_digest: digest(&email),
            mailed_at: change.now,
        };
        let delivery = notification_deliveries::Model {
            hub_id,
            notification_id: id,
            number: 1,
            channel: NotificationChannel::Email,
            target: email,
            status: DeliveryStatus::Pending,
            attempt_count: 0,
            attempts: "[]".to_owned(),
            next_at: change.now,
            delivered_at: None,
            last_error: None,
        };
        let transaction = change.transaction();
        bulk::upsert::<confirmation_mails::Entity>(transaction, [&mailed]).await?;
        store::insert(transaction, &message, &[delivery]).await
    }
}

/// When which addresses were asked, as far as it matters.
async fn asked_before(change: &Change) -> Result<HashMap<Uuid, Micros>> {
    use confirmation_mails::{Column, Entity};
    let hours = limits::CONFIRMATION_MAIL_HOURS.value as Micros;
    let found = Entity::find()
        .filter(Column::HubId.eq(change.hub_id()))
        .filter(Column::MailedAt.gt(change.now - hours * 60 * MINUTE))
        .all(change.transaction())
        .await?;
    let found = found
        .into_iter()
        .map(|row| (row.email_digest, row.mailed_at));
    Ok(found.collect())
}

fn too_many() -> UserError {
    let (most, hours) = (limits::CONFIRMATION_MAILS, limits::CONFIRMATION_MAIL_HOURS);
    let message = format!(
        "At most {} {} are asked for a portal within {} {} ({}): add the others later.",
        most.value, most.unit, hours.value, hours.unit, most.name
    );
    UserError::new(UserErrorCode::TooMany, &["emails"], message)
}
