//! Which fields of errors, records and events are known without waiting: see [`crate::kernel::plain`].

use std::borrow::Cow;

use async_graphql::{OutputType, Value};

use super::error::{Classification, error_id};
use super::record::Side;
use super::{AffectedRecord, SyncError, SyncErrorEvent};
use crate::classify::System;
use crate::kernel::plain::{Json, Named, Plain, PlainField};
use crate::kernel::scalars::Instant;
use crate::portals::Locale;

impl Plain for SyncError {
    fn name() -> Cow<'static, str> {
        Self::type_name()
    }

    fn write(&self, field: &PlainField<'_>, out: &mut Json) -> Option<()> {
        let row = self.row();
        match field.name() {
            "id" => out.value(self.global_id().as_str()),
            "category" => out.value(Named(row.category)),
            "type" => out.value(Named(row.error_type)),
            "title" => out.value(self.known_title(locale(field)?)?),
            "status" => out.value(Named(row.status)),
            "system" => out.value(Named(row.system)),
            "direction" => out.value(Named(row.direction)),
            "hubspotObjectType" => out.value(&row.hubspot_object_type),
            "salesforceObjectType" => out.value(&row.salesforce_object_type),
            "code" => out.value(&row.code),
            "causeCode" => out.value(&row.cause_code),
            "causeMessage" => out.value(&row.cause_message),
            "message" => out.value(&row.message),
            "transient" => out.value(row.transient),
            "firstSeenAt" => out.value(Instant(row.first_seen_at)),
            "lastSeenAt" => out.value(Instant(row.last_seen_at)),
            "resolvedAt" => out.value(row.resolved_at.map(Instant)),
            "occurrenceCount" => out.value(row.occurrence_count),
            "affectedRecordCount" => out.value(row.affected_record_count),
            "affectedRecords" => out.object(&self.known_records(only_first(field)?)?, field),
            "sampleValues" => out.value(self.samples()),
            "classification" => {
                let classification = Classification {
                    rule: row.rule.clone(),
                    overridden: row.overridden,
                };
                out.object(&classification, field)
            }
            _ => None,
        }
    }
}

/// The argument `locale`: absent where it was left out, `None` where it is not what it should be.
fn locale(field: &PlainField<'_>) -> Option<Option<Locale>> {
    match field.argument("locale") {
        None | Some(Value::Null) => Some(None),
        Some(Value::Enum(name)) => by_name(name.as_str()).map(Some),
        Some(Value::String(name)) => by_name(&name).map(Some),
        Some(_) => None,
    }
}

fn by_name(name: &str) -> Option<Locale> {
    use async_graphql::resolver_utils::EnumType;
    let found = Locale::items().iter().find(|item| item.name == name);
    found.map(|item| item.value)
}

/// The argument `first` of a list whose beginning is asked for; `None` for any other page.
fn only_first(field: &PlainField<'_>) -> Option<Option<i32>> {
    let is_left_out = |name| matches!(field.argument(name), None | Some(Value::Null));
    if !is_left_out("after") || !is_left_out("search") {
        return None;
    }
    match field.argument("first") {
        None | Some(Value::Null) => Some(None),
        Some(Value::Number(number)) => number
            .as_i64()
            .and_then(|number| i32::try_from(number).ok())
            .map(Some),
        Some(_) => None,
    }
}

impl Plain for Classification {
    fn name() -> Cow<'static, str> {
        Self::type_name()
    }

    fn write(&self, field: &PlainField<'_>, out: &mut Json) -> Option<()> {
        match field.name() {
            "rule" => out.value(&self.rule),
            "overridden" => out.value(self.overridden),
            _ => None,
        }
    }
}

impl Plain for AffectedRecord {
    fn name() -> Cow<'static, str> {
        Self::type_name()
    }

    fn write(&self, field: &PlainField<'_>, out: &mut Json) -> Option<()> {
        match field.name() {
            "id" => out.value(self.global_id().as_str()),
            "hubspotRecord" => out.optional(self.side(System::Hubspot).as_ref(), field),
            "salesforceRecord" => out.optional(self.side(System::Salesforce).as_ref(), field),
            "value" => out.value(&self.row.rejected_value),
            "message" => out.value(&self.row.message),
            "firstSeenAt" => out.value(Instant(self.row.first_seen_at)),
            "lastSeenAt" => out.value(Instant(self.row.last_seen_at)),
            "attemptCount" => out.value(self.row.attempt_count),
            _ => None,
        }
    }
}

impl Plain for Side<'_> {
    fn name() -> Cow<'static, str> {
        super::record::RecordRef::type_name()
    }

    fn write(&self, field: &PlainField<'_>, out: &mut Json) -> Option<()> {
        match field.name() {
            "system" => out.value(Named(self.system)),
            "objectType" => out.value(self.object_type),
            "recordId" => out.value(self.record_id),
            "externalId" => out.value(()),
            "name" => out.value(self.name),
            "url" => out.value(self.url().map(|url| url.0)),
            _ => None,
        }
    }
}

impl Plain for SyncErrorEvent {
    fn name() -> Cow<'static, str> {
        Self::type_name()
    }

    fn write(&self, field: &PlainField<'_>, out: &mut Json) -> Option<()> {
        match field.name() {
            "id" => out.value(self.global_id().as_str()),
            "cursor" => out.value(self.position().encode()),
            "kind" => out.value(Named(self.row.kind)),
            "at" => out.value(Instant(self.row.occurred_at)),
            "status" => out.value(Named(self.row.status)),
            "affectedRecordCount" => out.value(self.row.affected_record_count),
            "syncErrorId" => out.value(error_id(self.row.hub_id, self.row.error_id).as_str()),
            "syncError" => out.optional(self.error.as_ref(), field),
            _ => None,
        }
    }
}
