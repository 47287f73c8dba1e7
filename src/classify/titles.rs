//! The words of cards and types, in every language, from data files that need no programmer.

use std::collections::HashMap;
use std::sync::LazyLock;

use async_graphql::Enum;
use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

use crate::classify::{SyncErrorCategory, SyncErrorType};
use crate::kernel::limits;
use crate::kernel::text::{one_line, shortened};

/// The languages that our own texts are written in.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Enum, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[graphql(name = "Locale")]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Language {
    /// English.
    #[sea_orm(num_value = 0)]
    En,
    /// German.
    #[sea_orm(num_value = 1)]
    De,
}

/// A text in every language.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Text {
    en: String,
    de: String,
}

impl Text {
    pub(super) fn of(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::De => &self.de,
        }
    }
}

#[derive(Deserialize)]
struct Card {
    title: Text,
    meaning: Text,
}

#[derive(Deserialize)]
struct Titles {
    categories: HashMap<SyncErrorCategory, Card>,
    types: HashMap<SyncErrorType, Text>,
}

/// Read once; a test parses the file, so that it cannot fail here.
static TITLES: LazyLock<Option<Titles>> =
    LazyLock::new(|| serde_json::from_str(include_str!("guide/titles.json")).ok());

/// The card's title.
pub fn category_title(category: SyncErrorCategory, language: Language) -> String {
    card(category).map_or_else(
        || format!("{category:?}"),
        |card| card.title.of(language).to_owned(),
    )
}

/// One sentence on what the card collects.
pub fn category_meaning(category: SyncErrorCategory, language: Language) -> String {
    card(category).map_or_else(String::new, |card| card.meaning.of(language).to_owned())
}

fn card(category: SyncErrorCategory) -> Option<&'static Card> {
    TITLES.as_ref()?.categories.get(&category)
}

/// The type in words, followed by object and fields where they are known: "Value too long (Contact: Title)". One line, as
/// long as a title may be.
pub fn error_title(
    error_type: SyncErrorType,
    language: Language,
    object: Option<&str>,
    fields: &[String],
) -> String {
    let words = TITLES
        .as_ref()
        .and_then(|titles| titles.types.get(&error_type));
    let words = words.map_or_else(
        || format!("{error_type:?}"),
        |words| words.of(language).to_owned(),
    );
    let fields = fields.join(", ");
    let title = match (object, fields.as_str()) {
        (Some(object), "") => format!("{words} ({object})"),
        (Some(object), fields) => format!("{words} ({object}: {fields})"),
        (None, "") => words,
        (None, fields) => format!("{words} ({fields})"),
    };
    shortened(&one_line(&title), limits::TITLE_CHARACTERS.value).into_owned()
}
