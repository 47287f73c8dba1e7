//! `schema.graphql` is the contract: the code serves exactly it, and every element is described.

use std::collections::{BTreeMap, BTreeSet};

use apollo_compiler::ast::{FieldDefinition, InputValueDefinition};
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::{Node, Schema};
use serde_json::{Value, json};

use crate::harness::{both, reader};

pub const CONTRACT: &str = include_str!("../../schema.graphql");

/// Each element of a schema by its path: what it is, and its description.
type Elements = BTreeMap<String, (String, String)>;

fn parse(sdl: &str) -> Schema {
    Schema::parse(sdl, "schema.graphql").unwrap_or_else(|errors| panic!("{errors}"))
}

fn elements(schema: &Schema) -> Elements {
    let mut all = Elements::new();
    let mut add = |path: String, what: String, description: Option<&Node<str>>| {
        let words = description.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
        all.insert(path, (what, words.unwrap_or_default()));
    };
    for (name, definition) in schema
        .types
        .iter()
        .filter(|(_, definition)| !definition.is_built_in())
    {
        let directives = definition.directives().to_string();
        match definition {
            ExtendedType::Scalar(scalar) => add(
                name.to_string(),
                format!("scalar{directives}"),
                scalar.description.as_ref(),
            ),
            ExtendedType::Object(object) => {
                let interfaces: BTreeSet<_> = object
                    .implements_interfaces
                    .iter()
                    .map(|name| name.to_string())
                    .collect();
                add(
                    name.to_string(),
                    format!("type {interfaces:?}"),
                    object.description.as_ref(),
                );
                object
                    .fields
                    .values()
                    .for_each(|field| add_field(name, field, &mut add));
            }
            ExtendedType::Interface(interface) => {
                add(
                    name.to_string(),
                    "interface".into(),
                    interface.description.as_ref(),
                );
                interface
                    .fields
                    .values()
                    .for_each(|field| add_field(name, field, &mut add));
            }
            ExtendedType::Union(union) => {
                let members: BTreeSet<_> =
                    union.members.iter().map(|name| name.to_string()).collect();
                add(
                    name.to_string(),
                    format!("union {members:?}"),
                    union.description.as_ref(),
                );
            }
            ExtendedType::Enum(values) => {
                add(name.to_string(), "enum".into(), values.description.as_ref());
                for value in values.values.values() {
                    add(
                        format!("{name}.{}", value.value),
                        format!("value{}", value.directives),
                        value.description.as_ref(),
                    );
                }
            }
            ExtendedType::InputObject(input) => {
                add(
                    name.to_string(),
                    format!("input{directives}"),
                    input.description.as_ref(),
                );
                for key in input.fields.values() {
                    add(
                        format!("{name}.{}", key.name),
                        input_value(key),
                        key.description.as_ref(),
                    );
                }
            }
        }
    }
    all
}

fn add_field(
    parent: &str,
    field: &FieldDefinition,
    add: &mut impl FnMut(String, String, Option<&Node<str>>),
) {
    add(
        format!("{parent}.{}", field.name),
        format!("{}{}", field.ty, field.directives),
        field.description.as_ref(),
    );
    for argument in &field.arguments {
        add(
            format!("{parent}.{}({})", field.name, argument.name),
            input_value(argument),
            argument.description.as_ref(),
        );
    }
}

fn input_value(value: &InputValueDefinition) -> String {
    let default = value
        .default_value
        .as_ref()
        .map(|default| format!(" = {default}"))
        .unwrap_or_default();
    format!("{}{default}{}", value.ty, value.directives)
}

/// Compares meaning, in any order; prints every difference and repairs nothing.
fn assert_same(expected: &Elements, served: &Elements, what: &str) {
    let mut differences = Vec::new();
    for path in expected
        .keys()
        .chain(served.keys())
        .collect::<BTreeSet<_>>()
    {
        if expected.get(path) != served.get(path) {
            differences.push(format!(
                "{path}\n  schema.graphql: {:?}\n  {what}: {:?}",
                expected.get(path),
                served.get(path)
            ));
        }
    }
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

#[test]
fn the_code_serves_the_contract() {
    let served = sync_health::server::sdl();
    assert_same(
        &elements(&parse(CONTRACT)),
        &elements(&parse(&served)),
        "the code",
    );
}

#[test]
fn everything_is_described() {
    let bare: Vec<_> = elements(&parse(CONTRACT))
        .into_iter()
        .filter(|(_, (_, text))| text.is_empty())
        .map(|(path, _)| path)
        .collect();
    assert!(bare.is_empty(), "without a description: {bare:#?}");
}

pub const INTROSPECTION: &str = "{ __schema { types { name description
    fields { name description type { ...T } args { name description defaultValue type { ...T } } }
    inputFields { name description defaultValue type { ...T } } enumValues { name description } } } }
    fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

both! {
    /// Asked by introspection, the running server tells the same.
    async fn introspection(server) {
        let data = server.data(&reader(), INTROSPECTION, json!({})).await;
        let specified = server.data(&reader(), "{ __type(name: \"DateTime\") { specifiedByURL } }", json!({})).await;
        assert_eq!(specified["__type"]["specifiedByURL"], "https://scalars.graphql.org/andimarek/date-time.html");
        let mut told = BTreeMap::new();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        for kind in list(&data["__schema"]["types"]) {
            let name = text(&kind["name"]);
            for field in list(&kind["fields"]) {
                for argument in list(&field["args"]) {
                    told.insert(format!("{name}.{}({})", text(&field["name"]), text(&argument["name"])), (type_text(&argument["type"]), text(&argument["description"])));
                }
                told.insert(format!("{name}.{}", text(&field["name"])), (type_text(&field["type"]), text(&field["description"])));
            }
            for key in list(&kind["inputFields"]) {
                told.insert(format!("{name}.{}", text(&key["name"])), (type_text(&key["type"]), text(&key["description"])));
            }
            for value in list(&kind["enumValues"]) {
                told.insert(format!("{name}.{}", text(&value["name"])), ("value".into(), text(&value["description"])));
            }
        }
        for (path, (what, description)) in elements(&parse(CONTRACT)).into_iter().filter(|(path, _)| path.contains('.')) {
            let what = what.split(" = ").next().unwrap_or_default().to_owned();
            assert_eq!(told.get(&path), Some(&(what, description)), "{path}");
        }
    }
}

fn type_text(kind: &Value) -> String {
    match kind["kind"].as_str() {
        Some("NON_NULL") => format!("{}!", type_text(&kind["ofType"])),
        Some("LIST") => format!("[{}]", type_text(&kind["ofType"])),
        _ => kind["name"].as_str().unwrap_or_default().to_owned(),
    }
}
