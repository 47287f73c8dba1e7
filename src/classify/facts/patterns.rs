//! The wordings by which both systems always tell fields, values, limits and other records.

use crate::classify::System;
use crate::classify::provider_error::{ProviderError, between, split_at_text, strip_field_list};

/// What a text tells by one of the wordings that both systems always use.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    pub(super) label: Option<&'a str>,
    pub(super) value: Option<&'a str>,
    pub(super) object: Option<&'a str>,
    pub(super) number: Option<i32>,
    pub(super) expected_type: Option<&'a str>,
    pub(super) existing_id: Option<&'a str>,
    pub(super) external_id: Option<(&'a str, &'a str)>,
}

/// "LABEL: wording: VALUE", the value up to the text on the right.
const LABEL_AND_VALUE: &[(&str, &str)] = &[
    (": bad value for restricted picklist field: ", ""),
    (": data value too large: ", " (max length="),
    (": invalid email address: ", ""),
    (": id value of incorrect type: ", ""),
    (": value not of required type: ", ""),
];

/// Reads them.
pub(super) fn patterns(error: &ProviderError, system: System) -> Found<'_> {
    let text = error.cleaned.as_str();
    let mut found = Found::default();
    match system {
        System::Salesforce => {
            salesforce_patterns(text, &mut found);
            if found.value.is_none() && error.code.as_deref().is_some_and(is_label_and_value) {
                by_position(text, &mut found);
            }
        }
        System::Hubspot => hubspot_patterns(text, &mut found),
    }
    found.value = found.value.map(str::trim).filter(|value| !value.is_empty());
    found
}

/// Codes whose text is "LABEL: wording: VALUE" in every language.
fn is_label_and_value(code: &str) -> bool {
    matches!(
        code,
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST" | "STRING_TOO_LONG" | "INVALID_EMAIL_ADDRESS"
    )
}

fn by_position<'a>(text: &'a str, found: &mut Found<'a>) {
    let mut parts = text.splitn(3, ": ");
    if let (Some(label), Some(_), Some(value)) = (parts.next(), parts.next(), parts.next()) {
        let value = strip_field_list(value);
        let limit = value.strip_suffix(')').and_then(|value| value.rfind(" ("));
        found.value = Some(limit.map_or(value, |at| &value[..at]));
        found.label = Some(label).filter(|label| label.len() <= 100);
    }
}

fn salesforce_patterns<'a>(text: &'a str, found: &mut Found<'a>) {
    for (wording, end) in LABEL_AND_VALUE {
        if let Some((label, rest)) = split_at_text(text, wording) {
            let value = if end.is_empty() {
                rest
            } else {
                rest.rsplit_once(end).map_or(rest, |(value, _)| value)
            };
            found.value = Some(strip_field_list(value));
            found.label = Some(label.rsplit_once(": ").map_or(label, |(_, label)| label))
                .filter(|label| label.len() <= 100);
        }
    }
    found.number = between(text, "max length=", ")").and_then(|number| number.parse().ok());
    found.existing_id = split_at_text(text, "on record with id: ").map(|(_, id)| first_word(id));
    found.object = between(text, "sObject type '", "'")
        .or_else(|| between(text, "on entity '", "'"))
        .or_else(|| between(text, "on sobject of type ", " "));
    found.expected_type = between(text, "Cannot deserialize instance of ", " from");
    if let Some((_, told)) = split_at_text(text, " from VALUE_") {
        let value = split_at_text(told, " value ").map(|(_, value)| value);
        found.value = value.map(|value| {
            let ends = [" or request may be missing", " at [line"];
            let end = ends.iter().filter_map(|end| value.find(end)).min();
            &value[..end.unwrap_or(value.len())]
        });
    }
    if let Some((_, name)) = split_at_text(text, "does not exist or is not accessible: ") {
        found.value = Some(name);
    }
    if let Some(value) = between(text, "oreign key external ID: ", " not found for field ")
        && let Some((field, entity)) = text
            .split_once(" not found for field ")
            .and_then(|(_, rest)| rest.split_once(" in entity "))
    {
        found.external_id = Some((field, value));
        found.object = Some(first_word(entity));
    }
}

fn hubspot_patterns<'a>(text: &'a str, found: &mut Found<'a>) {
    found.value = between(text, "", " was not one of the allowed options")
        .or_else(|| between(text, "Email address ", " is invalid"))
        .or_else(|| between(text, "", " was not a valid "))
        .or_else(|| between(text, ", value=", "}"));
    found.existing_id = split_at_text(text, "Existing ID: ")
        .map(|(_, id)| first_word(id))
        .or_else(|| {
            let (before, _) = split_at_text(text, " already has that value")?;
            before
                .rsplit(' ')
                .next()
                .filter(|id| id.bytes().all(|b| b.is_ascii_digit()))
        });
    found.expected_type = split_at_text(text, "was not a valid ").map(|(_, rest)| first_word(rest));
    found.number = ["limit of ", "Limit of "]
        .iter()
        .find_map(|wording| split_at_text(text, wording))
        .and_then(|(_, rest)| whole_number(rest));
}

/// The number at the start, which may have commas between its thousands.
fn whole_number(text: &str) -> Option<i32> {
    let is_part = |b: &u8| b.is_ascii_digit() || *b == b',';
    let length = text.bytes().take_while(is_part).count();
    text[..length].replace(',', "").parse().ok()
}

pub(super) fn first_word(text: &str) -> &str {
    text.split([' ', ',', ')', ']', '}'])
        .next()
        .unwrap_or(text)
        .trim_end_matches(['.', ':'])
}
