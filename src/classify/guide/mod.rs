//! Advice: what an error means and what to do, step by step, from data files that need no programmer (one for each card,
//! `*.json` beside this file).
//!
//! A text names what is at hand: `{field}` and the like stand inside square brackets together with the words that go with
//! them, and the whole bracket is dropped where the fact is not known.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::classify::titles::Text;
use crate::classify::{Details, Language, RelatedRecord, SyncErrorType, System};
use crate::kernel::text::{cut, one_line};

/// A page where something can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the labels say what they are")]
pub enum Page {
    HubspotIntegration,
    HubspotMappings,
    HubspotProperties,
    HubspotImport,
    HubspotObjects,
    HubspotUsers,
    SalesforceObject,
    SalesforceFields,
    SalesforceValidationRules,
    SalesforceTriggers,
    SalesforceFlows,
    SalesforcePermissionSets,
    SalesforceProfiles,
    SalesforceUsers,
    SalesforceDuplicateRules,
    SalesforceRecordTypes,
    SalesforceStateCountry,
    SalesforceApprovals,
    SalesforceCompany,
    SalesforceStorage,
    SalesforceConnectedApps,
    SalesforceApexClasses,
    SalesforceDebugLogs,
    SalesforceSharing,
}

/// What is known of the error at hand; a fact that is absent is left out of the texts.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "named as in the texts")]
pub struct Facts {
    pub object: Option<String>,
    pub field: Option<String>,
    pub value: Option<String>,
    pub limit: Option<i32>,
    pub expected: Option<String>,
    pub record: Option<String>,
    pub component: Option<String>,
    pub rule: Option<String>,
    pub user: Option<String>,
    pub code: Option<String>,
}

impl Facts {
    /// Adds what a signature holds constant for an error of a system.
    pub fn add_details(&mut self, details: &Details, system: System) {
        let named = |record: &RelatedRecord| {
            let external = record.external_id.as_ref().map(|id| id.value.clone());
            record
                .name
                .clone()
                .or(record.record_id.clone())
                .or(external)
        };
        let fields = details.field_names(system);
        self.field = (!fields.is_empty()).then(|| fields.join(", "));
        match details {
            Details::Associations {
                blocking_record,
                limit,
                ..
            } => {
                self.record = blocking_record.as_ref().and_then(named);
                self.limit = *limit;
            }
            Details::CustomCode { component_name } => self.component.clone_from(component_name),
            Details::Duplicates {
                duplicate_value,
                existing_record,
                duplicate_rule,
                ..
            } => {
                self.value = duplicate_value.clone().or(self.value.take());
                self.record = existing_record
                    .as_ref()
                    .and_then(named)
                    .or(self.record.take());
                self.rule.clone_from(duplicate_rule);
            }
            Details::Permissions { object_type, .. } => {
                self.object = object_type.clone().or(self.object.take());
            }
            Details::Picklists { option_limit, .. } => self.limit = *option_limit,
            Details::PropertyMappings { expected_type, .. } => {
                self.expected.clone_from(expected_type);
            }
            Details::PropertyValues { max_length, .. } => self.limit = *max_length,
            Details::Other => {}
        }
    }

    /// A fact as it stands inside a sentence.
    fn get(&self, name: &str) -> Option<String> {
        self.told(name).map(|text| one_line(&text).into_owned())
    }

    fn told(&self, name: &str) -> Option<String> {
        match name {
            "object" => self.object.clone(),
            "field" => self.field.clone(),
            "value" => self.value.as_deref().map(shortened),
            "limit" => self.limit.map(|limit| limit.to_string()),
            "expected" => self.expected.clone(),
            "record" => self.record.clone(),
            "component" => self.component.clone(),
            "rule" => self.rule.clone(),
            "user" => self.user.clone(),
            "code" => self.code.clone(),
            _ => None,
        }
    }
}

/// A value is quoted inside a sentence: its beginning says enough.
pub fn shortened(value: &str) -> String {
    const SHOWN_CHARACTERS: usize = 80;
    match cut(value, SHOWN_CHARACTERS) {
        whole if whole.len() == value.len() => whole.to_owned(),
        beginning => format!("{beginning}…"),
    }
}

/// What an error means and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guide {
    /// What happened, and why.
    pub explanation: String,
    /// What to do, in order.
    pub steps: Vec<Step>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What, and where to click.
    pub text: String,
    /// In which system; absent: in neither.
    pub system: Option<System>,
    /// Where it is done.
    pub pages: Vec<Page>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptStep {
    text: Text,
    system: Option<System>,
    #[serde(default)]
    links: Vec<Page>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advice {
    explanation: Text,
    /// Those of the type where a code has none of its own.
    steps: Option<Vec<KeptStep>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Guides {
    types: HashMap<SyncErrorType, Advice>,
    codes: HashMap<String, HashMap<SyncErrorType, Advice>>,
}

const FILES: [&str; 8] = [
    include_str!("associations.json"),
    include_str!("custom_code.json"),
    include_str!("duplicates.json"),
    include_str!("permissions.json"),
    include_str!("picklists.json"),
    include_str!("property_mappings.json"),
    include_str!("property_values.json"),
    include_str!("other.json"),
];

/// Read once; a test parses the files, so that they cannot fail here.
static GUIDES: LazyLock<Guides> = LazyLock::new(|| {
    let mut all = Guides::default();
    for file in FILES {
        let guides: Guides = serde_json::from_str(file).unwrap_or_default();
        all.types.extend(guides.types);
        for (code, by_type) in guides.codes {
            all.codes.entry(code).or_default().extend(by_type);
        }
    }
    all
});

/// The advice for a type of error, and for its code where that changes the advice.
pub fn guide(
    error_type: SyncErrorType,
    code: Option<&str>,
    language: Language,
    facts: &Facts,
) -> Guide {
    let of_type = GUIDES.types.get(&error_type);
    let of_code = code.and_then(|code| GUIDES.codes.get(code)?.get(&error_type));
    let explanation = of_code.or(of_type).map(|advice| &advice.explanation);
    let own_steps = of_code.and_then(|advice| advice.steps.as_ref());
    let steps = own_steps.or(of_type.and_then(|advice| advice.steps.as_ref()));
    let step = |step: &KeptStep| Step {
        text: filled(step.text.of(language), facts),
        system: step.system,
        pages: step.links.clone(),
    };
    Guide {
        explanation: explanation.map_or_else(String::new, |text| filled(text.of(language), facts)),
        steps: steps.into_iter().flatten().map(step).collect(),
    }
}

/// Whether a code has advice of its own for a type.
pub fn has_own_guide(code: &str, error_type: SyncErrorType) -> bool {
    let of_code = GUIDES.codes.get(code);
    of_code.is_some_and(|by_type| by_type.contains_key(&error_type))
}

/// A text with what is known; brackets whose facts are not known are dropped.
fn filled(text: &str, facts: &Facts) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('[') {
        whole.push_str(before);
        let (inside, after) = behind.split_once(']').unwrap_or((behind, ""));
        whole.push_str(&known(inside, facts).unwrap_or_default());
        rest = after;
    }
    whole.push_str(rest);
    whole
}

/// The inside of a bracket; `None` when one of its facts is not known.
fn known(inside: &str, facts: &Facts) -> Option<String> {
    let mut whole = String::new();
    let mut rest = inside;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, after) = behind.split_once('}')?;
        whole.push_str(before);
        whole.push_str(&facts.get(name)?);
        rest = after;
    }
    whole.push_str(rest);
    Some(whole)
}
