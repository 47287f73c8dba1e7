//! Errors in what is nearly JSON: objects as Python, JavaScript, PHP or Objective-C print them, and SOAP's XML.
//!
//! Only the keys that tell of an error are looked for, with whatever stands between key and value there.

use super::{ProviderError, is_code, json, normalise_code};
use crate::classify::System;

/// Keys that hold a code, the most telling first.
const CODE_KEYS: &[&str] = &[
    "errorCode",
    "statusCode",
    "exceptionCode",
    "error",
    "subCategory",
    "category",
];
const MESSAGE_KEYS: &[&str] = &["message", "exceptionMessage"];
const FIELDS_KEY: &str = "fields";
/// Keys read from one text.
const MOST: usize = 256;

/// One key with what stands behind it.
struct Found<'a> {
    key: &'static str,
    start: usize,
    value: &'a str,
}

/// The errors of a text that prints objects with a code and a text; none where there are no such objects.
pub(super) fn errors_in(text: &str, system: System) -> Vec<ProviderError> {
    let tells = |keys: &[&str]| keys.iter().any(|key| text.contains(key));
    if !tells(CODE_KEYS) || !tells(MESSAGE_KEYS) {
        return Vec::new();
    }
    let mut entries: Vec<Vec<Found<'_>>> = vec![Vec::new()];
    for found in keys_in(text) {
        let is_next = |entry: &Vec<Found<'_>>| entry.iter().any(|known| known.key == found.key);
        if entries.last().is_some_and(is_next) {
            entries.push(Vec::new());
        }
        if let Some(entry) = entries.last_mut() {
            entry.push(found);
        }
    }
    let errors = entries.iter().filter_map(|entry| error_of(entry, system));
    let errors: Vec<ProviderError> = errors.flatten().collect();
    // What has no code is what a client library wrote around the answer.
    errors
        .into_iter()
        .filter(|error| error.code.is_some() && !error.message.is_empty())
        .collect()
}

fn error_of(entry: &[Found<'_>], system: System) -> Option<Vec<ProviderError>> {
    let value = |key: &str| {
        let found = entry.iter().find(|found| found.key == key);
        found.map(|found| found.value)
    };
    let message = MESSAGE_KEYS.iter().find_map(|key| value(key))?;
    let inner = json::errors_in(message, system);
    if !inner.is_empty() {
        return Some(inner);
    }
    let codes = || {
        let codes = CODE_KEYS.iter().filter_map(|key| value(key));
        codes.filter_map(|code| normalise_code(Some(code)))
    };
    let code = codes()
        .find(|code| is_code(system, code))
        .or(codes().next());
    let fields = value(FIELDS_KEY).map(names).unwrap_or_default();
    Some(vec![ProviderError {
        code,
        message: message.to_owned(),
        fields,
        ..ProviderError::default()
    }])
}

/// Where each key stands next: the text is searched once for each, however often others come before.
struct Keys<'a> {
    text: &'a str,
    /// Keys that are still ahead.
    ahead: Vec<(usize, &'static str)>,
}

impl<'a> Keys<'a> {
    fn of(text: &'a str) -> Self {
        let all = CODE_KEYS.iter().chain(MESSAGE_KEYS).chain([&FIELDS_KEY]);
        let ahead = all.filter_map(|key| Some((text.find(key)?, *key)));
        Self {
            text,
            ahead: ahead.collect(),
        }
    }

    /// The first key from a place on, the longest of those that begin there.
    fn next(&mut self, from: usize) -> Option<(usize, &'static str)> {
        let text = self.text;
        self.ahead.retain_mut(|(start, key)| {
            if *start < from {
                match text[from..].find(*key) {
                    Some(at) => *start = from + at,
                    None => return false,
                }
            }
            true
        });
        let ahead = self.ahead.iter().copied();
        ahead.min_by_key(|(start, key)| (*start, std::cmp::Reverse(key.len())))
    }
}

/// All keys in the order of the text. A value without quotes goes on to the next key, or to the end of its line.
fn keys_in(text: &str) -> Vec<Found<'_>> {
    let mut keys = Keys::of(text);
    let last_end_tag = text.rfind("</");
    let mut found: Vec<(Found<'_>, bool)> = Vec::new();
    let mut at = 0;
    while found.len() < MOST {
        let Some((start, key)) = keys.next(at) else {
            break;
        };
        at = start + key.len();
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        if text[..start].ends_with(is_word) || text[at..].starts_with(is_word) {
            continue;
        }
        let behind = Behind {
            rest: &text[at..],
            holds_end_tag: last_end_tag.is_some_and(|last| last >= at),
        };
        let Some((value, length, is_open)) = behind.value(key) else {
            continue;
        };
        at += length;
        found.push((Found { key, start, value }, is_open));
    }
    for place in 0..found.len() {
        let next = found.get(place + 1).map(|(next, _)| next.start);
        let (this, is_open) = &mut found[place];
        if *is_open && let Some(next) = next {
            let from = this.value.as_ptr() as usize - text.as_ptr() as usize;
            let most = next.saturating_sub(from).min(this.value.len());
            this.value = this.value[..most].trim_end_matches(is_around);
        }
    }
    found.into_iter().map(|(found, _)| found).collect()
}

/// What stands between a value and the next key.
fn is_around(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '[' | '{' | '(' | '<' | ';' | '\\')
}

/// What stands behind a key.
struct Behind<'a> {
    rest: &'a str,
    /// Whether there is a `</` in it, so that none is looked for in vain behind each of many keys.
    holds_end_tag: bool,
}

impl<'a> Behind<'a> {
    /// The value, the length up to where the search goes on, and whether only the next key ends it.
    fn value(&self, key: &str) -> Option<(&'a str, usize, bool)> {
        let rest = self.rest;
        let after = rest.trim_start_matches(['"', '\'', ']', '\\']);
        let after = after.trim_start();
        let body = ["=>", ":", "=", ">"]
            .iter()
            .find_map(|separator| after.strip_prefix(separator))?
            .trim_start();
        let skipped = rest.len() - body.len();
        if after.starts_with('>') {
            if !self.holds_end_tag {
                return None;
            }
            let end = body.find("</")?;
            return Some((&body[..end], skipped + end, false));
        }
        if key == FIELDS_KEY {
            let end = body.find([']', ')', '\n']).unwrap_or(body.len());
            let end = match body.starts_with("Array") || body.starts_with('(') {
                true => body.find(')').unwrap_or(end),
                false => end,
            };
            return Some((&body[..end], skipped + end, false));
        }
        let body_start = body.trim_start_matches('\\');
        let quote = body_start
            .chars()
            .next()
            .filter(|c| matches!(c, '"' | '\''));
        if let Some(quote) = quote {
            let value = &body_start[1..];
            let end = quoted_end(value, quote);
            let skipped = rest.len() - value.len();
            return Some((&value[..end], skipped + end, false));
        }
        let end = body.find('\n').unwrap_or(body.len());
        Some((body[..end].trim_end_matches([';', ',', ' ']), skipped, true))
    }
}

/// Where a quoted value ends: at its quote, where something follows that is no part of a text.
fn quoted_end(value: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in value.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            let next = value[at + 1..].trim_start().chars().next();
            if next.is_none_or(|next| matches!(next, ',' | '}' | ']' | ')' | ';' | '\n' | '\\')) {
                return at;
            }
        }
    }
    value.len()
}

/// The names in a printed list.
fn names(list: &str) -> Vec<String> {
    list.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.')))
        .filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
        .filter(|name| !matches!(*name, "Array" | "null" | "None" | "nil"))
        .map(str::to_owned)
        .collect()
}
