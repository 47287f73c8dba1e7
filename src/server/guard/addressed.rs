//! Which portals an operation is about, as far as its root fields say: by `hubId`, or by the portal inside a global id.

use async_graphql::parser::types::Field;
use async_graphql_value::Value;

use crate::kernel::auth::parse_hub_id;
use crate::kernel::global_id::GlobalId;
use crate::server::request::Variables;

/// The portals that the arguments of the root fields name, each once; absent for a field that names none.
pub(super) fn portals(fields: &[&Field], variables: &Variables) -> Vec<Option<i64>> {
    let mut portals = Vec::new();
    for field in fields {
        let mut named = Vec::new();
        for (name, value) in &field.arguments {
            literal(name.node.as_str(), &value.node, variables, &mut named);
        }
        match named.is_empty() {
            true => portals.push(None),
            false => portals.extend(named.into_iter().map(Some)),
        }
    }
    portals.sort_unstable();
    portals.dedup();
    portals
}

/// Looks two levels deep: `hubId`, `ids`, `input.hubId`, `input.errorIds`.
fn literal(key: &str, value: &Value, variables: &Variables, found: &mut Vec<i64>) {
    match value {
        Value::Variable(name) => {
            if let Some(value) = variables.get(name.as_str()) {
                json(key, value, found);
            }
        }
        Value::String(text) => named(key, text, found),
        Value::Number(number) => named(key, &number.to_string(), found),
        Value::List(items) => {
            for item in items {
                literal(key, item, variables, found);
            }
        }
        Value::Object(keys) if key == "input" => {
            for (key, value) in keys {
                literal(key.as_str(), value, variables, found);
            }
        }
        _ => {}
    }
}

fn json(key: &str, value: &serde_json::Value, found: &mut Vec<i64>) {
    use serde_json::Value;
    match value {
        Value::String(text) => named(key, text, found),
        Value::Number(number) => named(key, &number.to_string(), found),
        Value::Array(items) if is_id(key) => {
            for item in items {
                json(key, item, found);
            }
        }
        Value::Object(keys) if key == "input" => {
            for (key, value) in keys {
                json(key, value, found);
            }
        }
        _ => {}
    }
}

fn is_id(key: &str) -> bool {
    matches!(key, "id" | "ids") || key.ends_with("Id") || key.ends_with("Ids")
}

fn named(key: &str, text: &str, found: &mut Vec<i64>) {
    if key == "hubId" {
        // What is no Hub ID names no portal; 0 is none either.
        found.push(parse_hub_id(text).unwrap_or(0));
    } else if is_id(key) {
        found.extend(GlobalId::decode(text).map(|id| id.hub_id));
    }
}
