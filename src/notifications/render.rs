//! A content in words: subject, plain text and HTML, from templates (`texts/`) that need no programmer.
//!
//! The phrases are small templates too, one for each language; the mail is laid out once for all of them.

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Environment, Error as TemplateError, State, UndefinedBehavior, context};
use serde::Deserialize;

use crate::kernel::clock::Micros;
use crate::kernel::error::{Error, Result};
use crate::kernel::text::{self, cut};
use crate::notifications::confirmation::Standing;
use crate::notifications::content::Content;
use crate::portals::{Locale, PortalRow};

/// A message in words.
#[derive(Debug)]
pub(super) struct Rendered {
    /// One line.
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

/// Why a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// News, at once.
    News,
    /// A digest.
    Digest,
    /// Somebody wants to see whether messages arrive.
    Test,
}

impl Occasion {
    /// As templates know it, and webhooks behind "notification.".
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::News => "news",
            Self::Digest => "digest",
            Self::Test => "test",
        }
    }
}

/// A phrase in every language.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Phrase {
    en: String,
    de: String,
}

/// The templates of a language.
struct Words(Environment<'static>);

/// Read once; tests render each kind of message in both languages.
static WORDS: LazyLock<Result<[Words; 2], String>> = LazyLock::new(|| {
    let words = |locale| Words::of(locale).map_err(|error| format!("{error:#}"));
    Ok([words(Locale::En)?, words(Locale::De)?])
});

impl Words {
    fn of(locale: Locale) -> Result<Self, Box<dyn std::error::Error>> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        let mut syntax = SyntaxConfig::builder();
        syntax.trim_blocks(true).lstrip_blocks(true);
        environment.set_syntax(syntax.build()?);
        environment.add_template("mail.html", include_str!("texts/mail.html"))?;
        environment.add_template("mail.txt", include_str!("texts/mail.txt"))?;
        let (html, text) = (
            include_str!("texts/confirmation.html"),
            include_str!("texts/confirmation.txt"),
        );
        environment.add_template("confirmation.html", html)?;
        environment.add_template("confirmation.txt", text)?;
        environment.add_template("page.html", include_str!("texts/page.html"))?;
        let phrases: HashMap<String, Phrase> =
            serde_json::from_str(include_str!("texts/phrases.json"))?;
        for (name, phrase) in phrases {
            let text = match locale {
                Locale::En => phrase.en,
                Locale::De => phrase.de,
            };
            environment.add_template_owned(name, text)?;
        }
        let separator = match locale {
            Locale::En => ',',
            Locale::De => '.',
        };
        environment.add_filter("number", move |number: i64| grouped(number, separator));
        environment.add_function("say", say);
        Ok(Self(environment))
    }

    fn render(&self, name: &str, known: &Value) -> Result<String> {
        let template = self.0.get_template(name);
        let text = template.and_then(|template| template.render(known));
        text.map_err(|error| Error::Internal(format!("{error:#}")))
    }
}

/// `say("phrase", key=value, …)`: a phrase in the language of the message.
fn say(state: &mut State<'_, '_>, name: &str, values: Kwargs) -> Result<String, TemplateError> {
    let known: Result<Vec<(&str, Value)>, TemplateError> = values
        .args()
        .map(|key| Ok((key, values.get(key)?)))
        .collect();
    state
        .env()
        .get_template(name)?
        .render(Value::from_pairs(known?))
}

/// A number with the separators of a language: 1,298 or 1.298.
fn grouped(number: i64, separator: char) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(separator);
        }
        grouped.push(digit);
    }
    grouped
}

/// Puts a content in words.
pub(super) fn render(
    content: &Content,
    portal: &PortalRow,
    occasion: Occasion,
) -> Result<Rendered> {
    let settings = &portal.portal;
    let about = About::of(settings.hub_id, Some(portal));
    let at = |instant: Micros| about.shown(instant);
    let turns: Vec<String> = content
        .portal_events
        .iter()
        .map(|turn| at(turn.at.0))
        .collect();
    let known = context! {
        occasion => occasion.name(),
        portal => about.name.as_str(),
        since => at(content.since.0),
        until => at(content.until.0),
        turns,
        ..Serde(content)
    };
    let words = words(settings.locale)?;
    let subject = one_line(&words.render("subject", &known)?);
    let known = context! { subject => subject.as_str(), ..known };
    Ok(Rendered {
        text: words.render("mail.txt", &known)?,
        html: words.render("mail.html", &known)?,
        subject,
    })
}

fn words(locale: Locale) -> Result<&'static Words> {
    let words = WORDS.as_ref();
    let words = words.map_err(|error| Error::Internal(error.clone()))?;
    Ok(&words[locale as usize])
}

/// Which portal a text is about, and how it is written.
pub(super) struct About {
    hub_id: i64,
    /// Its name, else its Hub ID: one line.
    name: String,
    locale: Locale,
    zone: Tz,
}

impl About {
    /// A portal; in English where it is gone.
    pub(super) fn of(hub_id: i64, portal: Option<&PortalRow>) -> Self {
        let settings = portal.map(|row| &row.portal);
        let name = settings.and_then(|settings| settings.name.as_deref());
        let zone = settings.and_then(|settings| settings.time_zone.parse().ok());
        Self {
            hub_id,
            name: name.map_or_else(|| hub_id.to_string(), one_line),
            locale: settings.map_or(Locale::En, |settings| settings.locale),
            zone: zone.unwrap_or(Tz::UTC),
        }
    }

    /// An instant in the portal's zone, as its language writes it.
    fn shown(&self, instant: Micros) -> String {
        let at = DateTime::<Utc>::from_timestamp_micros(instant).unwrap_or_default();
        let format = match self.locale {
            Locale::En => "%Y-%m-%d %H:%M",
            Locale::De => "%d.%m.%Y %H:%M",
        };
        at.with_timezone(&self.zone).format(format).to_string()
    }

    fn known(&self) -> Value {
        context! {
            language => language(self.locale),
            portal => self.name.as_str(),
            hub_id => self.hub_id.to_string(),
        }
    }
}

fn language(locale: Locale) -> &'static str {
    match locale {
        Locale::En => "en",
        Locale::De => "de",
    }
}

/// The message that asks an address, with a link that is good until an instant.
pub(super) fn confirmation(about: &About, link: &str, until: Micros) -> Result<Rendered> {
    let words = words(about.locale)?;
    let until = format!("{} ({})", about.shown(until), about.zone.name());
    let known = context! { link, until, ..about.known() };
    let subject = one_line(&words.render("confirm_subject", &known)?);
    let known = context! { subject => subject.as_str(), ..known };
    Ok(Rendered {
        text: words.render("confirmation.txt", &known)?,
        html: words.render("confirmation.html", &known)?,
        subject,
    })
}

/// The page behind the link.
pub(super) fn page(about: &About, email: &str, standing: Standing) -> Result<String> {
    let known = context! { email, standing => standing.name(), ..about.known() };
    words(about.locale)?.render("page.html", &known)
}

/// The page of a link that tells no portal: in all languages.
pub(super) fn unknown_page() -> Result<String> {
    let text = |locale| -> Result<Value> {
        let words = words(locale)?.render("page_unknown", &context! {})?;
        Ok(context! { language => language(locale), words })
    };
    let texts = [text(Locale::En)?, text(Locale::De)?];
    let known = context! { language => "en", standing => Standing::Unknown.name(), texts };
    words(Locale::En)?.render("page.html", &known)
}

/// A subject is one line, and names in it are other people's texts.
fn one_line(text: &str) -> String {
    const SUBJECT_CHARACTERS: usize = 200;
    let line = text::one_line(text);
    let words: Vec<&str> = line.split_whitespace().collect();
    cut(&words.join(" "), SUBJECT_CHARACTERS).to_owned()
}
