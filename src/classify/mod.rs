//! Pure: a raw failure becomes its causes, each with category, type, typed details and signature.
//!
//! No database and no GraphQL resolver here. Code decides first, then text, then fields; the rules are tables
//! ([`salesforce`], [`hubspot`]) that name themselves in `Classification.rule`. No input makes this panic.

mod details;
mod facts;
pub mod guide;
mod hubspot;
mod normalise;
mod provider_error;
mod record;
mod rule;
mod salesforce;
mod signature;
mod titles;
mod vocabulary;

pub use details::{Details, FieldName};
pub use record::{
    ExternalId, Record, RelatedRecord, canonical_object_type, canonical_record_id, salesforce_id_18,
};
pub use titles::{Language, category_meaning, category_title, error_title};
pub use vocabulary::{AccessKind, SyncDirection, SyncErrorCategory, SyncErrorType, System};

use uuid::Uuid;

use crate::kernel::limits;

/// The version of the rules that signatures are made by; old errors keep theirs.
pub const SIGNATURE_VERSION: i16 = 1;

/// A failure as an engine reported it, checked: empty texts are absent, ids and object types in their one form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which way the change went.
    pub direction: SyncDirection,
    /// Who refused.
    pub system: System,
    /// The provider's code.
    pub code: Option<String>,
    /// The provider's text.
    pub message: String,
    /// The fields or properties that the provider named.
    pub fields: Vec<String>,
    /// The provider's whole answer.
    pub raw: Option<String>,
    /// The record on HubSpot's side.
    pub hubspot_record: Option<Record>,
    /// The record on Salesforce's side.
    pub salesforce_record: Option<Record>,
    /// The record that this one waits for.
    pub blocking_record: Option<RelatedRecord>,
    /// The record that holds the value already.
    pub existing_record: Option<RelatedRecord>,
    /// The mapped HubSpot property.
    pub hubspot_property: Option<String>,
    /// The mapped Salesforce field.
    pub salesforce_field: Option<String>,
    /// The rejected value.
    pub value: Option<String>,
    /// The engine's own opinion.
    pub category: Option<SyncErrorCategory>,
}

impl Failure {
    /// The record on one side.
    pub fn record(&self, system: System) -> Option<&Record> {
        match system {
            System::Hubspot => self.hubspot_record.as_ref(),
            System::Salesforce => self.salesforce_record.as_ref(),
        }
    }

    /// The object type on one side.
    pub fn object_type(&self, system: System) -> Option<&str> {
        self.record(system)?.object_type.as_deref()
    }
}

/// One cause of a failure: what decides which sync error it belongs to, and what varies between its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// What makes failures the same error.
    pub signature: Uuid,
    /// The type, and by it the category.
    pub error_type: SyncErrorType,
    /// The rule that decided.
    pub rule: &'static str,
    /// Whether the engine's category replaced the rule's.
    pub overridden: bool,
    /// The provider's code, as normalised.
    pub code: Option<String>,
    /// The provider's text of this cause.
    pub message: String,
    /// The innermost code of a nested failure.
    pub cause_code: Option<String>,
    /// The innermost text of a nested failure.
    pub cause_message: Option<String>,
    /// Whether trying again alone may help.
    pub transient: bool,
    /// The fields that the signature holds constant, comparable and sorted.
    pub fields: Vec<String>,
    /// What the signature holds constant, typed.
    pub details: Details,
    /// The rejected value of this record.
    pub value: Option<String>,
    /// The record that holds the value already.
    pub existing_record: Option<RelatedRecord>,
    /// Whether the code is known to no rule.
    pub unknown_code: bool,
}

/// The causes of a failure, at least one and at most [`limits::CAUSES_PER_FAILURE`].
pub fn classify(failure: &Failure) -> Vec<Cause> {
    let mut errors = provider_error::parse(failure);
    errors.truncate(limits::CAUSES_PER_FAILURE.value);
    let mut causes: Vec<Cause> = Vec::with_capacity(errors.len());
    for error in &errors {
        let cause = classify_one(failure, error);
        if causes
            .iter()
            .all(|known| known.signature != cause.signature)
        {
            causes.push(cause);
        }
    }
    causes
}

fn classify_one(failure: &Failure, error: &provider_error::ProviderError) -> Cause {
    let verdict = match failure.system {
        System::Salesforce => salesforce::decide(error),
        System::Hubspot => hubspot::decide(error),
    };
    let overriding = failure
        .category
        .filter(|category| *category != verdict.error_type.category());
    let error_type = overriding.map_or(verdict.error_type, SyncErrorCategory::catch_all);
    let facts = facts::facts(failure, error, error_type);
    let signature = signature::signature(failure, error, error_type, &facts);
    let nested_lock = error
        .cause_code
        .as_deref()
        .is_some_and(salesforce::is_transient);
    Cause {
        signature: signature.digest,
        error_type,
        rule: verdict.rule,
        overridden: overriding.is_some(),
        code: error.code.clone(),
        message: error.message.clone(),
        cause_code: error.cause_code.clone(),
        cause_message: error.cause_message.clone(),
        transient: verdict.transient || nested_lock,
        fields: signature.fields,
        details: signature.details,
        value: facts.value,
        existing_record: facts.existing_record,
        unknown_code: verdict.unknown_code,
    }
}
