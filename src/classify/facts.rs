//! What a failure tells beside its category: fields, values, limits, the other records; from what the engine told,
//! else from the providers' own wordings.

mod patterns;

use patterns::{Found, first_word, patterns};

use crate::classify::provider_error::{ProviderError, between, split_at_text};
use crate::classify::{
    AccessKind, Details, ExternalId, Failure, FieldName, RelatedRecord, SyncErrorCategory,
    SyncErrorType, System, canonical_object_type, canonical_record_id,
};
use crate::kernel::limits::{self, Limit};
use crate::kernel::text::cut_in_place;

/// All that a failure tells.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The object on the refusing side, else on the other; comparable.
    pub(super) object: Option<String>,
    hubspot_properties: Vec<String>,
    salesforce_fields: Vec<String>,
    label: Option<String>,
    pub(super) value: Option<String>,
    pub(super) existing_record: Option<RelatedRecord>,
    blocking_record: Option<RelatedRecord>,
    pub(super) component: Option<String>,
    duplicate_rule: Option<String>,
    number: Option<i32>,
    expected_type: Option<String>,
    missing_access: Option<AccessKind>,
}

/// Reads the facts from what the engine told and from the provider's text.
pub(super) fn facts(failure: &Failure, error: &ProviderError, error_type: SyncErrorType) -> Facts {
    let found = patterns(error, failure.system);
    let mut own = error.fields.clone();
    let (told, partner) = match failure.system {
        System::Salesforce => (&failure.salesforce_field, &failure.hubspot_property),
        System::Hubspot => (&failure.hubspot_property, &failure.salesforce_field),
    };
    if own.is_empty() {
        own.extend(told.clone().or_else(|| found.label.map(str::to_owned)));
    }
    own.sort_by_key(|name| name.to_lowercase());
    own.dedup_by_key(|name| name.to_lowercase());
    let partner: Vec<String> = partner.iter().cloned().collect();
    let (hubspot_properties, salesforce_fields) = match failure.system {
        System::Hubspot => (own, partner),
        System::Salesforce => (partner, own),
    };
    let object = failure
        .object_type(failure.system)
        .or_else(|| failure.object_type(failure.system.other()));
    let mut facts = Facts {
        object: object.or(found.object).map(str::to_lowercase),
        hubspot_properties,
        salesforce_fields,
        label: found.label.map(str::to_owned),
        value: failure
            .value
            .clone()
            .or_else(|| found.value.map(str::to_owned)),
        existing_record: failure
            .existing_record
            .clone()
            .or_else(|| existing_record(failure, error, &found)),
        blocking_record: failure
            .blocking_record
            .clone()
            .or_else(|| blocking_record(failure, &found)),
        component: component(error, error_type).map(str::to_owned),
        duplicate_rule: error
            .duplicate
            .as_ref()
            .and_then(|duplicate| duplicate.rule.clone()),
        number: found
            .number
            .filter(|_| error_type.category() != SyncErrorCategory::Other),
        expected_type: found.expected_type.map(str::to_owned),
        missing_access: missing_access(error, error_type),
    };
    facts.fit();
    facts
}

fn existing_record(
    failure: &Failure,
    error: &ProviderError,
    found: &Found<'_>,
) -> Option<RelatedRecord> {
    let duplicate = error.duplicate.as_ref();
    let id = found
        .existing_id
        .or_else(|| duplicate?.record_id.as_deref())?;
    Some(RelatedRecord {
        system: failure.system,
        object_type: duplicate
            .and_then(|duplicate| duplicate.object_type.clone())
            .or_else(|| failure.object_type(failure.system).map(str::to_owned)),
        record_id: Some(canonical_record_id(failure.system, id)),
        external_id: None,
        name: None,
    })
}

fn blocking_record(failure: &Failure, found: &Found<'_>) -> Option<RelatedRecord> {
    let (field, value) = found.external_id?;
    Some(RelatedRecord {
        system: failure.system,
        object_type: found.object.map(str::to_owned),
        record_id: None,
        external_id: Some(ExternalId {
            field: field.to_owned(),
            value: value.to_owned(),
        }),
        name: None,
    })
}

/// The trigger before ": execution of", or the quoted process or flow; a flow that is quoted in another language, or
/// named by its version only, by that.
fn component(error: &ProviderError, error_type: SyncErrorType) -> Option<&str> {
    let text = error.cleaned.as_str();
    if let Some((before, _)) = split_at_text(text, ": execution of ") {
        return before
            .rsplit([' ', ','])
            .next()
            .filter(|name| !name.is_empty());
    }
    let flow = between(text, "\"", "\" process failed")
        .or_else(|| between(text, "flow \"", "\""))
        .or_else(|| between(text, "Flow \"", "\""));
    if error_type != SyncErrorType::Flow {
        return flow;
    }
    flow.or_else(|| quoted_flow(text))
        .or_else(|| between(text, "Error element ", " ("))
        .or_else(|| split_at_text(text, "version ID ").map(|(_, id)| first_word(id)))
}

/// What processes and flows are called in the languages of Salesforce's users.
const FLOW_WORDS: &[&str] = &[
    "proce",
    "proze",
    "flow",
    "flujo",
    "flux",
    "fluss",
    "プロセス",
    "フロー",
    "프로세스",
    "플로",
];

/// The quoted text beside such a word: other quoted texts are values.
fn quoted_flow(text: &str) -> Option<&str> {
    /// How far the word may stand from the quotes.
    const NEAR_BYTES: usize = 24;
    let quotes: Vec<usize> = text.match_indices('"').map(|(at, _)| at).collect();
    let quoted = quotes.chunks_exact(2).map(|pair| (pair[0], pair[1]));
    let is_flow = |(start, end): &(usize, usize)| {
        let before = &text[text.ceil_char_boundary(start.saturating_sub(NEAR_BYTES))..*start];
        let after = &text[*end + 1..text.floor_char_boundary(end + 1 + NEAR_BYTES)];
        let near = [before.to_lowercase(), after.to_lowercase()];
        let mut words = FLOW_WORDS.iter();
        words.any(|word| near.iter().any(|text| text.contains(word)))
    };
    let found = quoted.into_iter().find(is_flow);
    found.map(|(start, end)| &text[start + 1..end])
}

impl Facts {
    /// Cuts what was read out of a text to what may be told beside one.
    fn fit(&mut self) {
        let records = [&mut self.existing_record, &mut self.blocking_record];
        let mut values: Vec<&mut String> = self.value.iter_mut().collect();
        let mut names: Vec<&mut String> = [
            &mut self.object,
            &mut self.label,
            &mut self.component,
            &mut self.duplicate_rule,
            &mut self.expected_type,
        ]
        .into_iter()
        .flatten()
        .chain(&mut self.hubspot_properties)
        .chain(&mut self.salesforce_fields)
        .collect();
        for record in records.into_iter().flatten() {
            names.extend(record.object_type.as_mut());
            names.extend(record.record_id.as_mut());
            if let Some(external) = &mut record.external_id {
                names.push(&mut external.field);
                values.push(&mut external.value);
            }
        }
        let cut = |texts: Vec<&mut String>, limit: Limit| {
            texts
                .into_iter()
                .for_each(|text| cut_in_place(text, limit.value));
        };
        cut(names, limits::NAME_CHARACTERS);
        cut(values, limits::VALUE_CHARACTERS);
    }

    /// The fields of both sides, comparable and sorted; a told mapping partner belongs to the cause.
    pub(super) fn comparable_fields(&self) -> Vec<String> {
        let mut fields: Vec<String> = self
            .salesforce_fields
            .iter()
            .chain(&self.hubspot_properties)
            .map(|name| name.to_lowercase())
            .collect();
        fields.sort();
        fields.dedup();
        fields
    }

    /// What PERMISSIONS adds beside fields and object: which access is missing.
    pub(super) fn access_key(&self) -> Vec<String> {
        self.missing_access
            .iter()
            .map(|access| format!("{access:?}"))
            .collect()
    }

    /// What ASSOCIATIONS adds: the blocking record, else field and external id.
    pub(super) fn blocking_key(&self) -> Option<Vec<String>> {
        let record = self.blocking_record.as_ref()?;
        let object = record
            .object_type
            .as_deref()
            .map(|name| canonical_object_type(record.system, name).to_lowercase())
            .unwrap_or_default();
        let side = if record.system == System::Hubspot {
            "hubspot"
        } else {
            "salesforce"
        };
        let key = match (&record.record_id, &record.external_id) {
            (Some(id), _) => vec![side.into(), object, canonical_record_id(record.system, id)],
            (None, Some(external)) => vec![
                side.into(),
                object,
                external.field.to_lowercase(),
                external.value.clone(),
            ],
            (None, None) => return None,
        };
        Some(key)
    }

    /// The typed details; what a fallback signature does not hold constant is left out.
    pub(super) fn details(
        &self,
        failure: &Failure,
        error_type: SyncErrorType,
        complete: bool,
    ) -> Details {
        let field = |system: System, names: &[String]| self.field(failure, system, names);
        let hubspot_property = field(System::Hubspot, &self.hubspot_properties);
        let salesforce_field = field(System::Salesforce, &self.salesforce_fields);
        let names = match self.own_names(failure) {
            [_] => Vec::new(),
            several => several.to_vec(),
        };
        match error_type.category() {
            SyncErrorCategory::Associations => Details::Associations {
                blocking_record: self.blocking_record.clone().filter(|_| complete),
                limit: self.number,
                names: self.own_names(failure).to_vec(),
            },
            SyncErrorCategory::CustomCode => Details::CustomCode {
                component_name: self.component.clone(),
            },
            SyncErrorCategory::Duplicates => Details::Duplicates {
                hubspot_property,
                salesforce_field,
                duplicate_value: self.value.clone().filter(|_| complete),
                existing_record: self.existing_record.clone().filter(|_| complete),
                duplicate_rule: self.duplicate_rule.clone(),
                names,
            },
            SyncErrorCategory::Permissions => Details::Permissions {
                object_type: failure
                    .object_type(failure.system)
                    .or_else(|| failure.object_type(failure.system.other()))
                    .map(str::to_owned),
                fields: self.own_fields(failure),
                missing_access: self.missing_access,
            },
            SyncErrorCategory::Picklists => Details::Picklists {
                hubspot_property,
                salesforce_field,
                option_limit: self.number,
                names,
            },
            SyncErrorCategory::PropertyMappings => Details::PropertyMappings {
                hubspot_property,
                salesforce_field,
                expected_type: self.expected_type.clone(),
                names,
            },
            SyncErrorCategory::PropertyValues => Details::PropertyValues {
                hubspot_property,
                salesforce_field,
                max_length: self.number,
                names,
            },
            SyncErrorCategory::Other => Details::Other,
        }
    }

    /// One field; none where the failure is about several.
    fn field(&self, failure: &Failure, system: System, names: &[String]) -> Option<FieldName> {
        let [name] = names else { return None };
        let label = self
            .label
            .clone()
            .filter(|label| system == failure.system && label != name);
        Some(FieldName {
            system,
            object_type: failure.object_type(system).map(str::to_owned),
            name: name.clone(),
            label,
        })
    }

    /// The fields on the side that refused.
    fn own_names(&self, failure: &Failure) -> &[String] {
        match failure.system {
            System::Hubspot => &self.hubspot_properties,
            System::Salesforce => &self.salesforce_fields,
        }
    }

    fn own_fields(&self, failure: &Failure) -> Vec<FieldName> {
        self.own_names(failure)
            .iter()
            .filter_map(|name| self.field(failure, failure.system, std::slice::from_ref(name)))
            .collect()
    }
}

/// What the connected user lacks, as far as the code tells, or the scopes that HubSpot lists ("crm.objects.deals.write").
fn missing_access(error: &ProviderError, error_type: SyncErrorType) -> Option<AccessKind> {
    match (error_type, error.code.as_deref()) {
        (_, Some("TRANSFER_REQUIRES_READ")) => Some(AccessKind::Read),
        (SyncErrorType::FieldPermission | SyncErrorType::ObjectPermission, _) => {
            Some(AccessKind::Write)
        }
        (SyncErrorType::RecordAccess, _) => Some(AccessKind::ReadWrite),
        (SyncErrorType::ApiAccess, _) => match (
            error.folded.contains(".read"),
            error.folded.contains(".write"),
        ) {
            (true, true) => Some(AccessKind::ReadWrite),
            (true, false) => Some(AccessKind::Read),
            (false, true) => Some(AccessKind::Write),
            (false, false) => None,
        },
        _ => None,
    }
}
