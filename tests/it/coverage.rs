//! Every element of the contract was seen by a test with a value other than its default: fields in answers, arguments
//! and keys in requests, enum values in either. `tests/run` runs this when all others are done.

use std::collections::BTreeSet;

use apollo_compiler::ast::{Type, Value as Literal};
use apollo_compiler::executable::{Field, Selection, SelectionSet};
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema};
use serde_json::{Map, Value};

use crate::contract::CONTRACT;
use crate::harness::exchanges;

struct Coverage<'a> {
    schema: &'a Schema,
    seen: BTreeSet<String>,
}

/// One exchange while it is walked through.
struct Exchange<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Value,
}

impl Coverage<'_> {
    fn exchange(&mut self, line: &Value) {
        let (Some(query), Some(data)) = (line["query"].as_str(), line["data"].as_object()) else {
            return;
        };
        let schema = Valid::assume_valid_ref(self.schema);
        let Ok(document) = ExecutableDocument::parse(schema, query, "a test") else {
            return;
        };
        let exchange = Exchange {
            document: &document,
            variables: &line["variables"],
        };
        for operation in document.operations.iter() {
            self.selections(&exchange, &operation.selection_set, data);
        }
    }

    fn selections(
        &mut self,
        exchange: &Exchange<'_>,
        set: &SelectionSet,
        data: &Map<String, Value>,
    ) {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    if let Some(value) = data.get(field.response_key().as_str()) {
                        self.field(exchange, set, field, value);
                    }
                }
                Selection::InlineFragment(fragment) => {
                    self.selections(exchange, &fragment.selection_set, data);
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = exchange.document.fragments.get(&spread.fragment_name) {
                        self.selections(exchange, &fragment.selection_set, data);
                    }
                }
            }
        }
    }

    fn field(&mut self, exchange: &Exchange<'_>, set: &SelectionSet, field: &Field, value: &Value) {
        let path = format!("{}.{}", set.ty, field.name);
        for argument in &field.arguments {
            let Some(definition) = field.definition.argument_by_name(&argument.name) else {
                continue;
            };
            let given = resolve(&argument.value, exchange.variables);
            let default = definition.default_value.as_ref();
            let default = default.map(|default| resolve(default, &Value::Null));
            if given != default.unwrap_or_default() {
                self.seen.insert(format!("{path}({})", argument.name));
            }
            self.input(&definition.ty, &given);
        }
        self.output(exchange, field, value, &path);
    }

    fn output(&mut self, exchange: &Exchange<'_>, field: &Field, value: &Value, path: &str) {
        if !is_empty(value) {
            self.seen.insert(path.to_owned());
        }
        match value {
            Value::Array(items) => {
                for item in items {
                    self.output(exchange, field, item, path);
                }
            }
            Value::Object(data) => self.selections(exchange, &field.selection_set, data),
            Value::String(text) => {
                let name = field.definition.ty.inner_named_type();
                if let Some(ExtendedType::Enum(_)) = self.schema.types.get(name) {
                    self.seen.insert(format!("{name}.{text}"));
                }
            }
            _ => {}
        }
    }

    fn input(&mut self, ty: &Type, value: &Value) {
        let name = ty.inner_named_type();
        match (self.schema.types.get(name), value) {
            (_, Value::Array(items)) => items.iter().for_each(|item| self.input(ty, item)),
            (Some(ExtendedType::Enum(_)), Value::String(text)) => {
                self.seen.insert(format!("{name}.{text}"));
            }
            (Some(ExtendedType::InputObject(input)), Value::Object(keys)) => {
                for (key, value) in keys {
                    let Some(definition) = input.fields.get(key.as_str()) else {
                        continue;
                    };
                    let default = definition.default_value.as_ref();
                    let default = default.map(|default| resolve(default, &Value::Null));
                    if *value != default.unwrap_or_default() {
                        self.seen.insert(format!("{name}.{key}"));
                    }
                    self.input(&definition.ty, value);
                }
            }
            _ => {}
        }
    }
}

/// What a resolver that does nothing would answer.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(_) => false,
    }
}

/// A value of a document as JSON, its variables put in.
fn resolve(value: &Literal, variables: &Value) -> Value {
    match value {
        Literal::Null => Value::Null,
        Literal::Variable(name) => variables[name.as_str()].clone(),
        Literal::Enum(name) => name.as_str().into(),
        Literal::String(text) => text.as_str().into(),
        Literal::Boolean(value) => (*value).into(),
        Literal::Int(number) => serde_json::from_str(number.as_str()).unwrap_or_default(),
        Literal::Float(number) => serde_json::from_str(number.as_str()).unwrap_or_default(),
        Literal::List(items) => items.iter().map(|item| resolve(item, variables)).collect(),
        Literal::Object(keys) => {
            let keys = keys.iter();
            keys.map(|(name, value)| (name.to_string(), resolve(value, variables)))
                .collect::<Map<_, _>>()
                .into()
        }
    }
}

/// Everything that has to be seen.
fn elements(schema: &Schema) -> Vec<String> {
    let mut all = Vec::new();
    let types = schema.types.iter();
    for (name, definition) in types.filter(|(_, definition)| !definition.is_built_in()) {
        match definition {
            ExtendedType::Object(object) => {
                for field in object.fields.values() {
                    let path = format!("{name}.{}", field.name);
                    let arguments = field.arguments.iter();
                    all.extend(arguments.map(|argument| format!("{path}({})", argument.name)));
                    all.push(path);
                }
            }
            ExtendedType::Enum(values) => {
                all.extend(values.values.keys().map(|value| format!("{name}.{value}")));
            }
            ExtendedType::InputObject(input) => {
                all.extend(input.fields.keys().map(|key| format!("{name}.{key}")));
            }
            _ => {}
        }
    }
    all
}

#[test]
fn every_element_is_seen_by_a_test() {
    let folder = exchanges::folder().expect(
        "SYNC_HEALTH_TEST_EXCHANGES: use tests/run, which runs this when all other tests are done",
    );
    let schema = Schema::parse(CONTRACT, "schema.graphql").expect("the contract");
    let mut coverage = Coverage {
        schema: &schema,
        seen: BTreeSet::new(),
    };
    for file in std::fs::read_dir(folder).expect("the folder of exchanges") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("exchanges");
        for line in text.lines() {
            coverage.exchange(&serde_json::from_str(line).expect("an exchange"));
        }
    }
    let unseen: Vec<_> = elements(&schema)
        .into_iter()
        .filter(|path| !coverage.seen.contains(path))
        .collect();
    assert!(unseen.is_empty(), "seen by no test: {unseen:#?}");
}
