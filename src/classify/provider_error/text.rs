//! Errors in plain text: codes inside it, fields it names, and the innermost cause of a nested one.

use super::{ProviderError, is_code, normalise_code};
use crate::classify::System;

/// The first bytes of a text, cut between characters.
pub(super) fn head(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

const INVALID_BATCH: &str = "INVALIDBATCH";

/// The errors of a text: Bulk results may hold several, everything else is one.
pub(super) fn errors_in(text: &str, system: System, told: Option<&str>) -> Vec<ProviderError> {
    if system == System::Salesforce && text.contains("--") {
        let parts = bulk_parts(text);
        if !parts.is_empty() {
            return parts;
        }
    }
    let mut error = ProviderError {
        message: text.trim().to_owned(),
        ..ProviderError::default()
    };
    // How the Bulk API refuses a batch as a whole ("InvalidBatch : Field name not found : Foo__c").
    if let Some((code, rest)) = text.split_once(':')
        && code.trim().eq_ignore_ascii_case(INVALID_BATCH)
    {
        error.code = Some(INVALID_BATCH.to_owned());
        error.message = rest.trim().to_owned();
        return vec![error];
    }
    if let Some((start, end, code)) = codes_in(text, system).into_iter().next() {
        let before = text[..start].trim_end();
        let rest = text[end..].trim_start_matches([',', ':', ' ', ';']);
        // A trigger or flow that speaks before the first code is the outermost failure.
        let nested = contains_any(
            without_dml_wrapper(&before.to_ascii_lowercase()),
            &["execution of", "caused by", "trigger", "flow", "apex"],
        );
        let carries = told.is_none_or(|told| told == code || !is_code(system, told));
        if carries && !nested && !rest.is_empty() {
            error.code = Some(code);
            // Where the code stands last, its text stands before it.
            if !rest.starts_with(['"', '\'', '\\', '}', ']', ')', '<']) {
                error.message = rest.trim().to_owned();
            }
        }
    }
    vec![error]
}

/// The text before "System.DmlException: Insert failed. First exception on row 0 …; first error:", which Apex puts
/// before each error of a record and which says nothing of who failed.
fn without_dml_wrapper(before: &str) -> &str {
    let Some(start) = before.rfind(" failed. first exception on row") else {
        return before;
    };
    let start = before[..start].trim_end_matches(|c: char| c.is_ascii_alphabetic());
    start
        .trim_end()
        .trim_end_matches("system.dmlexception:")
        .trim_end()
}

/// No code is longer.
const CODE_BYTES: usize = 128;

/// Bulk results end each error by " --"; two hyphens elsewhere are part of a text.
fn bulk_parts(text: &str) -> Vec<ProviderError> {
    let mut parts: Vec<ProviderError> = Vec::new();
    let mut from = 0;
    for (at, _) in text.match_indices("--") {
        let rest = text[at + 2..].trim_start_matches([';', ' ', '\n', '\r', '"']);
        let next = head(rest, CODE_BYTES).split_once(':').map(|(code, _)| code);
        let ends = rest.is_empty() || next.is_some_and(|code| is_code(System::Salesforce, code));
        if ends && at >= from {
            let Some(part) = bulk_part(&text[from..at]) else {
                return Vec::new();
            };
            parts.push(part);
            from = text.len() - rest.len();
        }
    }
    parts
}

/// `CODE:text:fields` of a Bulk API result, fields separated by blanks or commas.
fn bulk_part(part: &str) -> Option<ProviderError> {
    let (code, rest) = part.trim().split_once(':')?;
    if !is_code(System::Salesforce, code) {
        return None;
    }
    let (message, fields) = rest.rsplit_once(':').unwrap_or((rest, ""));
    let are_names = fields
        .split([' ', ','])
        .filter(|f| !f.is_empty())
        .all(|f| f.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    let (message, fields) = if are_names {
        (message, fields)
    } else {
        (rest, "")
    };
    Some(ProviderError {
        code: normalise_code(Some(code)),
        message: message.trim().to_owned(),
        fields: fields
            .split([' ', ','])
            .filter(|f| !f.is_empty())
            .map(str::to_owned)
            .collect(),
        ..ProviderError::default()
    })
}

/// The known codes in a text with their places.
fn codes_in(text: &str, system: System) -> Vec<(usize, usize, String)> {
    let bytes = text.as_bytes();
    let is_part = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let mut codes = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_uppercase()
            || (at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_'))
        {
            at += 1;
            continue;
        }
        let length = bytes[at..].iter().take_while(|b| is_part(**b)).count();
        let end = at + length;
        let token = &text[at..end];
        let ends_there = bytes.get(end).is_none_or(|b| !b.is_ascii_alphanumeric());
        let is_marked = token.contains('_') || bytes.get(end) == Some(&b':');
        if ends_there && is_marked && is_code(system, token) {
            codes.push((at, end, token.to_owned()));
        }
        at = end;
    }
    codes
}

/// Finds the innermost failure inside the text of an outer one.
pub(super) fn find_cause(error: &mut ProviderError, system: System) {
    if system == System::Hubspot {
        return;
    }
    let text = &error.cleaned;
    if let Some((start, end, code)) = codes_in(text, system).pop() {
        let message = text[end..].trim_start_matches([',', ':', ' ', ';']).trim();
        if start > 0 || error.code.as_deref() != Some(&code) {
            error.cause_message = Some(message.to_owned()).filter(|message| !message.is_empty());
            error.cause_code = Some(code);
        }
    } else if let Some(at) = error.folded.rfind("caused by:") {
        let message = text[at + "caused by:".len()..].trim();
        let exception = message
            .split([':', ' '])
            .next()
            .filter(|name| name.ends_with("Exception"));
        error.cause_code = exception.map(str::to_owned);
        error.cause_message = Some(message.to_owned()).filter(|message| !message.is_empty());
    }
}

/// The fields that the text itself names.
pub(super) fn fields_in(error: &ProviderError, system: System) -> Vec<String> {
    let text = &error.cleaned;
    let one =
        |name: Option<&str>| name.map(|name| vec![name.trim_matches(['\'', '"', ' ']).to_owned()]);
    let found = if system == System::Salesforce {
        trailing_list(text)
            .or_else(|| list(between(text, "fields are missing: [", "]")))
            .or_else(|| list(between(text, "create/update fields: ", ". ")))
            .or_else(|| one(between(text, "No such column '", "'")))
            .or_else(|| one(split_at_text(text, "Field name not found : ").map(|(_, name)| name)))
            .or_else(|| one(between(text, "not found for field ", " in entity")))
            .or_else(|| {
                one(between(
                    text,
                    "duplicate value found: ",
                    " duplicates value",
                ))
            })
    } else {
        one(between(text, "propertyName=", ","))
            .or_else(|| one(between(text, "Property \"", "\" does not exist")))
            .or_else(|| one(between(text, "Property \"", "\"")))
    };
    found
        .unwrap_or_default()
        .into_iter()
        .filter(|name| is_name(name))
        .collect()
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 100
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
}

/// `…: [A, B]` at the end of Apex's text.
fn trailing_list(text: &str) -> Option<Vec<String>> {
    let (before, names) = text.trim_end().strip_suffix(']')?.rsplit_once('[')?;
    let names = list(Some(names))?;
    (before.ends_with(": ") && names.iter().all(|name| is_name(name))).then_some(names)
}

/// Apex puts `: [Field]` behind its text.
pub(in crate::classify) fn strip_field_list(text: &str) -> &str {
    let stripped = text
        .strip_suffix(']')
        .and_then(|text| text.rsplit_once(": ["));
    stripped.map_or(text, |(text, _)| text)
}

fn list(names: Option<&str>) -> Option<Vec<String>> {
    let names: Vec<String> = names?
        .split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    (!names.is_empty()).then_some(names)
}

fn contains_any(text: &str, any: &[&str]) -> bool {
    any.iter().any(|part| text.contains(part))
}

/// What stands between two texts, the first ones that do.
pub(in crate::classify) fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    split_at_text(split_at_text(text, start)?.1, end).map(|(found, _)| found)
}

/// `split_once`, fast where there is nothing to split at: `contains` compares many bytes at a time and prepares nothing.
pub(in crate::classify) fn split_at_text<'a>(
    text: &'a str,
    at: &str,
) -> Option<(&'a str, &'a str)> {
    if text.contains(at) {
        text.split_once(at)
    } else {
        None
    }
}

/// The text without mark-up, entities, line feeds and typographic quotes: what rules and patterns look at.
pub(super) fn clean(text: &str) -> String {
    const ENTITIES: &[(&str, char)] = &[
        ("&quot;", '"'),
        ("&#39;", '\''),
        ("&#x27;", '\''),
        ("&apos;", '\''),
        ("&lt;", '<'),
        ("&gt;", '>'),
        ("&nbsp;", ' '),
        ("&amp;", '&'),
    ];
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let plain = rest
            .bytes()
            .position(|b| !is_plain(b))
            .unwrap_or(rest.len());
        cleaned.push_str(&rest[..plain]);
        rest = &rest[plain..];
        let Some(c) = rest.chars().next() else { break };
        let entity = if c == '&' {
            ENTITIES.iter().find(|(name, _)| rest.starts_with(name))
        } else {
            None
        };
        let (c, length) = match (entity, c) {
            (Some((name, c)), _) => (*c, name.len()),
            (None, '<') => match tag_length(rest) {
                Some(length) => (' ', length),
                None => ('<', 1),
            },
            (None, '\u{2018}' | '\u{2019}' | '\u{201A}' | '\u{2032}') => ('\'', c.len_utf8()),
            (None, '\u{201C}' | '\u{201D}' | '\u{201E}' | '\u{00AB}' | '\u{00BB}') => {
                ('"', c.len_utf8())
            }
            (None, c) if c.is_whitespace() => (' ', c.len_utf8()),
            (None, c) => (c, c.len_utf8()),
        };
        if c != ' ' || !cleaned.ends_with(' ') {
            cleaned.push(c);
        }
        rest = &rest[length..];
    }
    cleaned.trim().to_owned()
}

/// Bytes that [`clean`] leaves as they are, whatever stands around them.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'&' | b'<')
}

/// The length of an HTML tag at the start; `<unknown>` and comparisons are none.
fn tag_length(text: &str) -> Option<usize> {
    const TAGS: &[&str] = &[
        "a", "b", "br", "div", "em", "font", "h1", "h2", "h3", "html", "body", "i", "li", "p",
        "pre", "span", "strong", "table", "td", "tr", "ul",
    ];
    let end = head(text, 200).find('>')?;
    let name = text[1..end]
        .trim_start_matches('/')
        .split([' ', '/'])
        .next()?
        .to_ascii_lowercase();
    TAGS.contains(&name.as_str()).then_some(end + 1)
}
