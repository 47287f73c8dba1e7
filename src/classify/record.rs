//! Records of both systems and what makes two of them the same.

use serde::{Deserialize, Serialize};

use crate::classify::System;

/// One side of what was synced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The object's type; absent when not told.
    pub object_type: Option<String>,
    /// Its id in canonical form; absent when it does not exist there yet.
    pub record_id: Option<String>,
    /// Its name, for people.
    pub name: Option<String>,
}

/// A record that is not the synced one: it blocks, or holds the value already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelatedRecord {
    /// Where it is.
    pub system: System,
    /// The object's type; absent when not told.
    pub object_type: Option<String>,
    /// Its id in canonical form.
    pub record_id: Option<String>,
    /// What it is known by where it has no id yet.
    pub external_id: Option<ExternalId>,
    /// Its name, for people.
    pub name: Option<String>,
}

/// A value of a unique field that stands for a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalId {
    /// The field.
    pub field: String,
    /// Its value.
    pub value: String,
}

/// HubSpot's object type ids and plural names, each with the name that we show
/// (<https://developers.hubspot.com/docs/guides/api/crm/understanding-the-crm>).
const HUBSPOT_OBJECT_TYPES: &[(&str, &str, &str)] = &[
    ("0-1", "contact", "contacts"),
    ("0-2", "company", "companies"),
    ("0-3", "deal", "deals"),
    ("0-5", "ticket", "tickets"),
    ("0-7", "product", "products"),
    ("0-8", "line_item", "line_items"),
    ("0-14", "quote", "quotes"),
    ("0-27", "task", "tasks"),
    ("0-46", "note", "notes"),
    ("0-47", "meeting", "meetings"),
    ("0-48", "call", "calls"),
    ("0-49", "email", "emails"),
    ("0-136", "lead", "leads"),
    ("0-123", "order", "orders"),
];

/// The object's type as we show it: HubSpot's names in lower case and singular; Salesforce's as given.
pub fn canonical_object_type(system: System, name: &str) -> String {
    let name = name.trim();
    if system == System::Salesforce {
        return name.to_owned();
    }
    let lower = name.to_ascii_lowercase().replace([' ', '-'], "_");
    let lower = if lower.as_bytes().first().is_some_and(u8::is_ascii_digit) {
        name.to_owned()
    } else {
        lower
    };
    HUBSPOT_OBJECT_TYPES
        .iter()
        .find(|(id, one, many)| [*id, *one, *many].contains(&lower.as_str()))
        .map_or(lower, |(_, one, _)| (*one).to_owned())
}

/// The id in the one form that we compare and show: Salesforce ids with 18 characters.
pub fn canonical_record_id(system: System, id: &str) -> String {
    let id = id.trim();
    match system {
        System::Hubspot => id.to_owned(),
        System::Salesforce => salesforce_id_18(id).unwrap_or_else(|| id.to_owned()),
    }
}

/// The 18-character form of a Salesforce id; `None` when it is not one.
///
/// The last three characters each tell which of five letters are upper case, as a number in base 32 (A–Z, 0–5);
/// an 18-character id whose case was lost gets it back.
pub fn salesforce_id_18(id: &str) -> Option<String> {
    const BASE_32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
    if !id.bytes().all(|b| b.is_ascii_alphanumeric()) || !matches!(id.len(), 15 | 18) {
        return None;
    }
    let (base, checksum) = id.split_at(15);
    let mut base = base.as_bytes().to_vec();
    for (chunk, check) in base.chunks_mut(5).zip(checksum.bytes()) {
        let bits = BASE_32
            .iter()
            .position(|c| *c == check.to_ascii_uppercase())?;
        for (bit, byte) in chunk.iter_mut().enumerate() {
            *byte = if bits >> bit & 1 == 1 {
                byte.to_ascii_uppercase()
            } else {
                byte.to_ascii_lowercase()
            };
        }
    }
    let mut whole = String::from_utf8(base).ok()?;
    for start in [0, 5, 10] {
        let upper = whole.as_bytes()[start..start + 5].iter().enumerate();
        let bits = upper
            .filter(|(_, b)| b.is_ascii_uppercase())
            .fold(0, |bits, (bit, _)| bits | 1 << bit);
        whole.push(char::from(BASE_32[bits]));
    }
    Some(whole)
}
