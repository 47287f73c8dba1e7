//! Addresses are asked before they get news: one message with a link, behind which somebody presses a button.
//!
//! A confirmation belongs to an address in a portal's settings and goes with it. Who was asked is remembered for a while
//! beyond that, so that nobody is asked again and again.

mod ask;

use serde::{Deserialize, Serialize};

pub(super) use ask::Asker;

use crate::kernel::auth::{Purpose, Report, Scope};
use crate::kernel::clock::{DAY, Micros};
use crate::kernel::env::Env;
use crate::kernel::error::{Error, Result};
use crate::kernel::limits;
use crate::kernel::server_keys::ServerKey;
use crate::notifications::render::{self, About};
use crate::notifications::store;
use crate::notifications::tables::notification_settings;
use crate::portals;

const CONFIRMATIONS: Purpose = Purpose {
    audience: "sync-health confirmation",
    mutation: "configureNotifications",
    limit: limits::CONFIRMATION_TICKET_BYTES,
};

/// An address that was asked and has not answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Asked {
    email: String,
    asked_at: Micros,
}

/// What a ticket is for.
#[derive(Debug, Serialize, Deserialize)]
struct Question {
    hub_id: i64,
    #[serde(flatten)]
    asked: Asked,
}

impl Question {
    /// Until when it can be answered.
    fn until(&self) -> Micros {
        let days = limits::CONFIRMATION_DAYS.value as Micros;
        self.asked.asked_at + days * DAY
    }
}

/// Where an address stands that a link was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It can be confirmed.
    Unconfirmed,
    /// It is confirmed.
    Confirmed,
    /// The link is too old.
    Expired,
    /// It was taken out of the settings, or asked anew.
    Withdrawn,
    /// The link is not whole, or not of this server.
    Unknown,
}

impl Standing {
    /// As templates know it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Unconfirmed => "unconfirmed",
            Self::Confirmed => "confirmed",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Unknown => "unknown",
        }
    }
}

/// What a browser shows.
#[derive(Debug)]
pub struct Page {
    /// What it says.
    pub standing: Standing,
    /// The whole page.
    pub html: String,
}

impl notification_settings::Model {
    fn asked(&self) -> Vec<Asked> {
        serde_json::from_str(&self.unconfirmed_emails).unwrap_or_default()
    }

    fn remember_asked(&mut self, asked: &[Asked]) {
        let json = serde_json::to_string(asked);
        self.unconfirmed_emails = json.unwrap_or_else(|_| "[]".to_owned());
    }

    fn has(&self, email: &str) -> bool {
        is_among(&self.emails(), email)
    }

    /// The addresses that get no news before they confirm.
    pub(super) fn unconfirmed(&self, env: &Env) -> Vec<String> {
        self.divided(env).0
    }

    /// The addresses that get news.
    pub(super) fn confirmed(&self, env: &Env) -> Vec<String> {
        self.divided(env).1
    }

    fn divided(&self, env: &Env) -> (Vec<String>, Vec<String>) {
        let asked = self.asked().into_iter().map(|asked| asked.email);
        let asked: Vec<String> = asked.filter(|_| env.confirms_emails).collect();
        let emails = self.emails().into_iter();
        emails.partition(|email| is_among(&asked, email))
    }

    /// Forgets of addresses that are no recipients any more whether they have confirmed.
    pub(super) fn forget_removed(&mut self) {
        let mut asked = self.asked();
        asked.retain(|asked| self.has(&asked.email));
        self.remember_asked(&asked);
    }

    fn standing(&self, question: &Question) -> Standing {
        let asked = self.asked();
        let asked = asked
            .iter()
            .find(|asked| is_same(&asked.email, &question.asked.email));
        match asked {
            _ if !self.has(&question.asked.email) => Standing::Withdrawn,
            Some(asked) if asked.asked_at != question.asked.asked_at => Standing::Withdrawn,
            Some(_) => Standing::Unconfirmed,
            None => Standing::Confirmed,
        }
    }
}

fn is_same(email: &str, other: &str) -> bool {
    email.eq_ignore_ascii_case(other)
}

fn is_among(emails: &[String], email: &str) -> bool {
    emails.iter().any(|known| is_same(known, email))
}

/// Asks addresses, and takes their answers.
pub struct Confirmations {
    key: ServerKey,
    public_url: String,
}

impl Confirmations {
    /// Links begin with `public_url`.
    pub fn new(public_url: String) -> Self {
        Self {
            key: ServerKey::new("confirmations"),
            public_url,
        }
    }

    /// What asks inside a change; none where addresses are not asked.
    pub(super) async fn asker(&self, env: &Env) -> Result<Option<Asker<'_>>> {
        if !env.confirms_emails {
            return Ok(None);
        }
        Ok(Some(Asker {
            key: self.key.secret(env).await?,
            public_url: &self.public_url,
        }))
    }

    /// Where the address of a ticket stands; nothing is changed by looking.
    pub async fn look(&self, env: &Env, ticket: &str) -> Result<Page> {
        match self.question(env, ticket).await? {
            Some(question) => {
                let standing = look(env, &question).await?;
                page(env, &question, standing).await
            }
            None => unknown(),
        }
    }

    /// Confirms the address of a ticket, where it still is to be.
    pub async fn confirm(&self, env: &Env, ticket: &str) -> Result<Page> {
        match self.question(env, ticket).await? {
            Some(question) => {
                let standing = match look(env, &question).await? {
                    Standing::Unconfirmed => confirm(env, &question).await?,
                    standing => standing,
                };
                page(env, &question, standing).await
            }
            None => unknown(),
        }
    }

    async fn question(&self, env: &Env, ticket: &str) -> Result<Option<Question>> {
        let key = self.key.secret(env).await?;
        match CONFIRMATIONS.verify_open(key, ticket) {
            Ok(question) => Ok(Some(question)),
            Err(Error::Unauthenticated(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

async fn look(env: &Env, question: &Question) -> Result<Standing> {
    if env.clock.now() >= question.until() {
        return Ok(Standing::Expired);
    }
    let scope = Scope::<Report>::of_server(question.hub_id);
    let snapshot = env.db.moving().of_portal(question.hub_id);
    let settings = store::settings(&snapshot, &scope).await?;
    Ok(settings.standing(question))
}

async fn confirm(env: &Env, question: &Question) -> Result<Standing> {
    let scope = Scope::<Report>::of_server(question.hub_id);
    let transaction = env.db.begin_for(question.hub_id).await?;
    let mut settings = store::locked(&transaction, &scope).await?;
    let standing = settings.standing(question);
    if standing != Standing::Unconfirmed {
        drop(transaction);
        return Ok(standing);
    }
    let mut asked = settings.asked();
    asked.retain(|asked| !is_same(&asked.email, &question.asked.email));
    settings.remember_asked(&asked);
    store::replace(&transaction, settings).await?;
    transaction.commit().await?;
    look(env, question).await
}

async fn page(env: &Env, question: &Question, standing: Standing) -> Result<Page> {
    let scope = Scope::<Report>::of_server(question.hub_id);
    let snapshot = env.db.moving().of_portal(question.hub_id);
    let portal = portals::find_in(&snapshot, &scope).await?;
    let about = About::of(question.hub_id, portal.as_deref());
    Ok(Page {
        standing,
        html: render::page(&about, &question.asked.email, standing)?,
    })
}

fn unknown() -> Result<Page> {
    Ok(Page {
        standing: Standing::Unknown,
        html: render::unknown_page()?,
    })
}
