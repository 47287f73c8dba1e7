//! Errors in JSON, whole or cut off, alone or inside a text.

use serde_json::{Map, Value};

use super::{DuplicateResult, ProviderError, normalise_code, text};
use crate::classify::System;

/// How deep errors are looked for.
const DEPTH: u8 = 8;
/// Errors read from one answer; a failure keeps fewer.
const MOST: usize = 64;

/// All errors in a text that is JSON or holds some; none where there is no JSON that tells of errors.
pub(super) fn errors_in(text: &str, system: System) -> Vec<ProviderError> {
    errors_within(text, system, DEPTH)
}

fn errors_within(text: &str, system: System, depth: u8) -> Vec<ProviderError> {
    if depth == 0 || !text.contains('{') {
        return Vec::new();
    }
    let Some(start) = start_of_json(text) else {
        return Vec::new();
    };
    let unescaped;
    let mut body = &text[start..];
    if body.starts_with("[{\\\"") || body.starts_with("{\\\"") {
        unescaped = body.replace("\\\"", "\"");
        body = &unescaped;
    }
    let mut errors = Vec::new();
    match serde_json::Deserializer::from_str(body)
        .into_iter::<Value>()
        .next()
    {
        Some(Ok(value)) => collect(&value, None, system, depth, &mut errors),
        _ => cut_off(body, system, depth, &mut errors),
    }
    errors
}

/// Where JSON starts: an object, or an array of objects.
fn start_of_json(text: &str) -> Option<usize> {
    text.char_indices()
        .filter(|(_, c)| matches!(c, '[' | '{'))
        .map(|(at, _)| at)
        .find(|at| {
            let mut rest = text[*at..]
                .bytes()
                .filter(|b| !b.is_ascii_whitespace() && *b != b'\\');
            match (rest.next(), rest.next(), rest.next()) {
                (Some(b'{'), Some(b'"'), _) | (Some(b'['), Some(b'{'), Some(b'"')) => true,
                (Some(b'{'), Some(b'}'), _) => false,
                _ => false,
            }
        })
}

fn collect(
    value: &Value,
    outer: Option<&str>,
    system: System,
    depth: u8,
    errors: &mut Vec<ProviderError>,
) {
    if depth == 0 || errors.len() >= MOST {
        return;
    }
    match value {
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect(item, outer, system, depth - 1, errors)),
        Value::Object(object) => collect_object(object, outer, system, depth, errors),
        _ => {}
    }
}

fn collect_object(
    object: &Map<String, Value>,
    outer: Option<&str>,
    system: System,
    depth: u8,
    errors: &mut Vec<ProviderError>,
) {
    let code = code_of(object);
    let before = errors.len();
    for key in [
        "errors",
        "validationResults",
        "failureMessages",
        "propertyValidationResult",
        "compositeResponse",
        "body",
        "results",
        "error",
        "response",
    ] {
        if let Some(inner @ (Value::Array(_) | Value::Object(_))) = object.get(key) {
            collect(inner, code.as_deref().or(outer), system, depth - 1, errors);
        }
    }
    if errors.len() > before {
        return;
    }
    let is_property_validation = object.get("isValid") == Some(&Value::Bool(false));
    let Some(message) = message_of(object) else {
        // A code without a text is an error where it names a property, as HubSpot's validations do.
        let fields = fields_of(object);
        if let Some(code) = code.filter(|_| !fields.is_empty()) {
            errors.push(ProviderError {
                message: code.clone(),
                code: Some(code),
                fields,
                is_property_validation,
                ..ProviderError::default()
            });
        }
        return;
    };
    // HubSpot puts its validation errors as JSON into the text.
    let inner = errors_within(message, system, depth - 1);
    if !inner.is_empty() {
        errors.extend(inner);
        return;
    }
    let known_by_text = || {
        text::errors_in(message, system, None)
            .into_iter()
            .next()
            .and_then(|error| error.code)
    };
    let code = code
        .or_else(known_by_text)
        .or_else(|| outer.map(str::to_owned));
    errors.push(ProviderError {
        code,
        message: message.to_owned(),
        fields: fields_of(object),
        is_property_validation,
        duplicate: duplicate_of(object),
        ..ProviderError::default()
    });
}

/// The most telling of the keys that hold a code.
fn code_of(object: &Map<String, Value>) -> Option<String> {
    [
        "errorCode",
        "statusCode",
        "code",
        "error",
        "subCategory",
        "category",
        "errorType",
    ]
    .iter()
    .filter_map(|key| object.get(*key)?.as_str())
    .find_map(|code| normalise_code(Some(code)))
}

fn message_of(object: &Map<String, Value>) -> Option<&str> {
    ["message", "errorMessage", "error_description", "detail"]
        .iter()
        .filter_map(|key| object.get(*key)?.as_str())
        .find(|message| !message.is_empty())
}

fn fields_of(object: &Map<String, Value>) -> Vec<String> {
    let texts = |value: &Value| -> Vec<String> {
        match value {
            Value::String(text) => vec![text.clone()],
            Value::Array(items) => items
                .iter()
                .filter_map(|item| item.as_str().map(str::to_owned))
                .collect(),
            _ => Vec::new(),
        }
    };
    let context = object.get("context").and_then(Value::as_object);
    let in_context = context.and_then(|context| {
        ["propertyName", "properties", "property"]
            .iter()
            .find_map(|key| context.get(*key))
    });
    ["fields", "name", "in", "propertyName"]
        .iter()
        .filter_map(|key| object.get(*key))
        .chain(in_context)
        .map(texts)
        .find(|fields| !fields.is_empty())
        .unwrap_or_default()
}

/// Salesforce writes the key with and without its second "l".
fn duplicate_of(object: &Map<String, Value>) -> Option<DuplicateResult> {
    let result = object
        .get("duplicateResult")
        .or_else(|| object.get("duplicateResut"))?;
    let record = result.pointer("/matchResults/0/matchRecords/0/record");
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    Some(DuplicateResult {
        rule: text(result.get("duplicateRule")),
        object_type: text(record.and_then(|r| r.pointer("/attributes/type")))
            .or_else(|| text(result.get("duplicateRuleEntityType"))),
        record_id: text(record.and_then(|r| r.get("Id").or_else(|| r.get("id")))),
    })
}

/// JSON that ends in the middle: what its objects tell, as far as they go.
fn cut_off(body: &str, system: System, depth: u8, errors: &mut Vec<ProviderError>) {
    for part in body.split("},{").take(MOST) {
        let value = |keys: &[&str]| keys.iter().find_map(|key| string_after(part, key));
        let message = value(&["message"]);
        // The JSON inside the text is what was cut off: it tells more than what is around it.
        let inside = message
            .as_deref()
            .map(|text| errors_within(text, system, depth - 1));
        if let Some(inside) = inside.filter(|inside| !inside.is_empty()) {
            errors.extend(inside);
            continue;
        }
        let code = value(&["errorCode", "statusCode", "error", "code", "category"]);
        if code.is_none() && message.is_none() {
            continue;
        }
        let fields = value(&["name", "in"])
            .into_iter()
            .filter(|name| !name.is_empty())
            .collect();
        errors.push(ProviderError {
            code: normalise_code(code.as_deref()),
            message: message.unwrap_or_default(),
            fields,
            is_property_validation: part.contains("\"isValid\":false"),
            ..ProviderError::default()
        });
    }
}

/// The text value of `"key":"…"` with its escapes undone, up to its end or the end of everything.
fn string_after(json: &str, key: &str) -> Option<String> {
    let start = json.find(&format!("\"{key}\":"))? + key.len() + 3;
    let value = json[start..].trim_start().strip_prefix('"')?;
    let mut text = String::new();
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => break,
            '\\' => match characters.next() {
                Some('n' | 'r' | 't') => text.push(' '),
                Some(escaped) => text.push(escaped),
                None => break,
            },
            c => text.push(c),
        }
    }
    Some(text)
}
