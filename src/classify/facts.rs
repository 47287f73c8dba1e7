//! What a failure tells beside its category: fields, values, limits, the other records; from what the engine told,
//! else from the providers' own wordings.

use crate::classify::provider_error::{ProviderError, between, split_at_text};
use crate::classify::{
    AccessKind, Details, ExternalId, Failure, FieldName, RelatedRecord, SyncErrorCategory,
    SyncErrorType, System, canonical_object_type, canonical_record_id,
};

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
    Facts {
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
        component: component(error).map(str::to_owned),
        duplicate_rule: error
            .duplicate
            .as_ref()
            .and_then(|duplicate| duplicate.rule.clone()),
        number: found
            .number
            .filter(|_| error_type.category() != SyncErrorCategory::Other),
        expected_type: found.expected_type.map(str::to_owned),
        missing_access: missing_access(error, error_type),
    }
}

/// What a text tells by one of the wordings that both systems always use.
#[derive(Debug, Default)]
struct Found<'a> {
    label: Option<&'a str>,
    value: Option<&'a str>,
    object: Option<&'a str>,
    number: Option<i32>,
    expected_type: Option<&'a str>,
    existing_id: Option<&'a str>,
    external_id: Option<(&'a str, &'a str)>,
}

/// "LABEL: wording: VALUE", the value up to the text on the right.
const LABEL_AND_VALUE: &[(&str, &str)] = &[
    (": bad value for restricted picklist field: ", ""),
    (": data value too large: ", " (max length="),
    (": invalid email address: ", ""),
    (": id value of incorrect type: ", ""),
    (": value not of required type: ", ""),
];

fn patterns(error: &ProviderError, system: System) -> Found<'_> {
    let text = error.cleaned.as_str();
    let mut found = Found::default();
    match system {
        System::Salesforce => salesforce_patterns(text, &mut found),
        System::Hubspot => hubspot_patterns(text, &mut found),
    }
    found.value = found.value.map(str::trim).filter(|value| !value.is_empty());
    found
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

fn first_word(text: &str) -> &str {
    text.split([' ', ',', ')', ']', '}'])
        .next()
        .unwrap_or(text)
        .trim_end_matches(['.', ':'])
}

/// Apex puts `: [Field]` behind the value.
fn strip_field_list(value: &str) -> &str {
    match value
        .strip_suffix(']')
        .and_then(|value| value.rsplit_once(": ["))
    {
        Some((value, _)) => value,
        None => value,
    }
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

/// The trigger before ": execution of", or the quoted process or flow.
fn component(error: &ProviderError) -> Option<&str> {
    let text = error.cleaned.as_str();
    if let Some((before, _)) = split_at_text(text, ": execution of ") {
        return before
            .rsplit([' ', ','])
            .next()
            .filter(|name| !name.is_empty());
    }
    between(text, "\"", "\" process failed")
        .or_else(|| between(text, "flow \"", "\""))
        .or_else(|| between(text, "Flow \"", "\""))
}

impl Facts {
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
        match error_type.category() {
            SyncErrorCategory::Associations => Details::Associations {
                blocking_record: self.blocking_record.clone().filter(|_| complete),
                limit: self.number,
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
            },
            SyncErrorCategory::PropertyMappings => Details::PropertyMappings {
                hubspot_property,
                salesforce_field,
                expected_type: self.expected_type.clone(),
            },
            SyncErrorCategory::PropertyValues => Details::PropertyValues {
                hubspot_property,
                salesforce_field,
                max_length: self.number,
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

    fn own_fields(&self, failure: &Failure) -> Vec<FieldName> {
        let names = match failure.system {
            System::Hubspot => &self.hubspot_properties,
            System::Salesforce => &self.salesforce_fields,
        };
        names
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
