//! The shapes a provider's answer arrives in, made one: code, text, fields, cause.
//!
//! JSON of either system (arrays, Composite, SaveResult, HubSpot's nested errors), JSON inside a text, also cut
//! off; `CODE: text` of client libraries, `CODE:text:fields --` of Bulk results, `first error: CODE, text: [fields]`
//! of Apex. What cannot be read stays a text.

mod json;
mod loose;
mod text;

pub(super) use text::{between, split_at_text, strip_field_list};

use crate::classify::{Failure, System, hubspot, salesforce};
use crate::kernel::limits;
use crate::kernel::text::cut_in_place;

/// One error as the provider told it.
#[derive(Debug, Clone, Default)]
pub(super) struct ProviderError {
    /// In upper case, without name space; absent when none was told.
    pub(super) code: Option<String>,
    /// The provider's text, without what a library put around it.
    pub(super) message: String,
    /// Fields or properties as named.
    pub(super) fields: Vec<String>,
    /// The innermost code of a nested failure.
    pub(super) cause_code: Option<String>,
    /// The innermost text of a nested failure.
    pub(super) cause_message: Option<String>,
    /// Whether HubSpot told it as an invalid property value (`"isValid": false`).
    pub(super) is_property_validation: bool,
    /// The rule and the first record of a Salesforce duplicate result.
    pub(super) duplicate: Option<DuplicateResult>,
    /// The text without mark-up and line feeds, quotes straight.
    pub(super) cleaned: String,
    /// The same in lower case (ASCII: the same offsets).
    pub(super) folded: String,
}

/// What `duplicateResult` tells beside the text.
#[derive(Debug, Clone, Default)]
pub(super) struct DuplicateResult {
    pub(super) rule: Option<String>,
    pub(super) object_type: Option<String>,
    pub(super) record_id: Option<String>,
}

/// What is looked at of a text; the rest of a longer one decides nothing.
const READ_BYTES: usize = 16 * 1024;

/// All errors that a failure names, at least one.
pub(super) fn parse(failure: &Failure) -> Vec<ProviderError> {
    let told = normalise_code(failure.code.as_deref());
    let raw = failure.raw.as_deref().unwrap_or_default();
    let text = if failure.message.is_empty() {
        raw
    } else {
        &failure.message
    };
    // With a code that decides, what looks like an answer inside a longer text is a record's value.
    let decided = told.as_deref().is_some_and(|code| {
        is_code(failure.system, code) && !is_general(code) && !is_all_structure(text)
    });
    let mut errors = Vec::new();
    if !decided {
        errors = structured(text, failure.system);
    }
    if errors.is_empty() && !failure.message.is_empty() {
        errors = json::errors_in(raw, failure.system);
        // The raw answer counts when it is about the same text; then it may know more causes and the duplicates.
        if !errors.iter().any(|error| error.message == failure.message) {
            errors.clear();
        }
    }
    if errors.is_empty() {
        errors = text::errors_in(text, failure.system, told.as_deref());
    }
    for error in &mut errors {
        complete(error, failure, told.as_deref());
    }
    errors
}

/// The errors of JSON, of what is nearly JSON, or of either with its quotes as entities.
fn structured(text: &str, system: System) -> Vec<ProviderError> {
    let errors = json::errors_in(text, system);
    if !errors.is_empty() {
        return errors;
    }
    let errors = loose::errors_in(text, system);
    if errors.is_empty() && text.contains("&quot;") {
        let cleaned = text::clean(text::head(text, READ_BYTES));
        let errors = json::errors_in(&cleaned, system);
        return match errors.is_empty() {
            true => loose::errors_in(&cleaned, system),
            false => errors,
        };
    }
    errors
}

/// Whether a text begins as an object, a list or mark-up, and so is an answer as a whole.
fn is_all_structure(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[', '<'])
}

/// Fills in what the failure told beside the text, and what the text alone tells.
fn complete(error: &mut ProviderError, failure: &Failure, told: Option<&str>) {
    let known = |code: &str| is_code(failure.system, code);
    match (&error.code, told) {
        // The code that the engine told is the outermost, unless it says nothing and the text has a real one.
        (Some(found), Some(told)) if known(told) && !is_general(told) && !known(found) => {
            error.code = Some(told.to_owned())
        }
        (None, Some(told)) => error.code = Some(told.to_owned()),
        _ => {}
    }
    cut_in_place(&mut error.message, limits::MESSAGE_CHARACTERS.value);
    error.cleaned = text::clean(text::head(&error.message, READ_BYTES));
    error.folded = error.cleaned.to_ascii_lowercase();
    if error.cause_code.is_none() {
        text::find_cause(error, failure.system);
    }
    if error.fields.is_empty() {
        error.fields = if failure.fields.is_empty() {
            text::fields_in(error, failure.system)
        } else {
            failure.fields.clone()
        };
    }
    error.fields.retain(|field| !field.trim().is_empty());
    error.fit();
}

impl ProviderError {
    /// Cuts what was read out of an answer to what may be told beside one.
    fn fit(&mut self) {
        self.fields.truncate(limits::FAILURE_FIELDS.value);
        let (code, cause) = (self.code.as_mut(), self.cause_code.as_mut());
        let fields = self.fields.iter_mut();
        let duplicate = self.duplicate.iter_mut().flat_map(|duplicate| {
            let (rule, object_type) = (duplicate.rule.as_mut(), duplicate.object_type.as_mut());
            [rule, object_type, duplicate.record_id.as_mut()]
        });
        let names = duplicate.chain([code, cause]).flatten().chain(fields);
        names.for_each(|name| cut_in_place(name, limits::NAME_CHARACTERS.value));
        if let Some(message) = &mut self.cause_message {
            cut_in_place(message, limits::MESSAGE_CHARACTERS.value);
        }
    }
}

/// Codes by which HubSpot and client libraries say no more than that something is wrong.
fn is_general(code: &str) -> bool {
    matches!(
        code,
        "VALIDATION_ERROR"
            | "BATCH_VALIDATION_ERROR"
            | "BAD_REQUEST"
            | "ERROR"
            | "UNKNOWN"
            | "FORBIDDEN"
            | "NOT_FOUND"
            | "CONFLICT"
    )
}

fn is_code(system: System, code: &str) -> bool {
    match system {
        System::Salesforce => salesforce::is_code(code),
        System::Hubspot => hubspot::is_code(code),
    }
}

/// A code in upper case without the name space of SOAP (`sf:`); numbers are HTTP statuses, not codes.
pub(super) fn normalise_code(code: Option<&str>) -> Option<String> {
    let code = code?.trim();
    let code = code.rsplit([':', '.']).next().unwrap_or(code).trim();
    if code.is_empty() || code.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(code.to_uppercase().replace([' ', '-'], "_"))
}
