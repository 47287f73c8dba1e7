//! Whether the variables of a request fit the types that the operation declares for them
//! (<https://spec.graphql.org/October2021/#sec-Coercing-Variable-Values>).
//!
//! Here and not left to the execution: a value of a wrong type refuses the whole request before anything runs, and
//! the rules of validation then depend on the document alone.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::{
    BaseType, InputValueDefinition, OperationDefinition, ServiceDocument, Type, TypeKind,
    TypeSystemDefinition,
};
use serde_json::Value;

use crate::kernel::limits;
use crate::server::request::Variables;

/// The types that values can have.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    enums: HashMap<String, HashSet<String>>,
    objects: HashMap<String, InputObject>,
}

#[derive(Debug)]
struct InputObject {
    keys: HashMap<String, Key>,
    is_one_of: bool,
}

#[derive(Debug)]
struct Key {
    ty: Type,
    has_default: bool,
}

/// What engines report: their texts are cleaned one by one, and what is wrong with one of many refuses that one alone.
const REPORTED: [&str; 3] = ["SyncFailureInput", "SyncSuccessInput", "ResyncOutcomeInput"];

/// What does not fit: where, and why.
type Misfit = (String, String);

/// Where a value stands.
struct Place {
    path: String,
    is_reported: bool,
}

impl Place {
    fn inside(&self, key: impl std::fmt::Display) -> Self {
        Self {
            path: format!("{}.{key}", self.path),
            ..*self
        }
    }

    fn misfit(&self, why: String) -> Result<(), Misfit> {
        Err((self.path.clone(), why))
    }
}

impl Inputs {
    /// Reads them from the contract.
    pub(super) fn of(contract: &ServiceDocument) -> Self {
        let mut inputs = Self::default();
        for definition in &contract.definitions {
            let TypeSystemDefinition::Type(definition) = definition else {
                continue;
            };
            let name = definition.node.name.node.to_string();
            match &definition.node.kind {
                TypeKind::Enum(values) => {
                    let values = values.values.iter();
                    let names = values.map(|value| value.node.value.node.to_string());
                    inputs.enums.insert(name, names.collect());
                }
                TypeKind::InputObject(object) => {
                    let directives = definition.node.directives.iter();
                    let object = InputObject {
                        keys: object.fields.iter().map(|key| key_of(&key.node)).collect(),
                        is_one_of: directives
                            .map(|directive| directive.node.name.node.as_str())
                            .any(|name| name == "oneOf"),
                    };
                    inputs.objects.insert(name, object);
                }
                _ => {}
            }
        }
        inputs
    }

    /// Checks all variables that the operation declares; others are ignored.
    pub(super) fn check(
        &self,
        operation: &OperationDefinition,
        variables: &Variables,
    ) -> Result<(), String> {
        for definition in &operation.variable_definitions {
            let definition = &definition.node;
            let (name, ty) = (definition.name.node.as_str(), &definition.var_type.node);
            let has_default = definition.default_value.is_some();
            match variables.get(name) {
                None if ty.nullable || has_default => {}
                None => return Err(format!("The variable ${name} is needed: {ty}.")),
                Some(value) => {
                    let place = Place {
                        path: name.to_owned(),
                        is_reported: false,
                    };
                    self.value(ty, value, &place).map_err(|(path, why)| {
                        format!("The variable ${name} does not fit: {path} {why}.")
                    })?
                }
            }
        }
        Ok(())
    }

    fn value(&self, ty: &Type, value: &Value, place: &Place) -> Result<(), Misfit> {
        match (&ty.base, value) {
            (_, Value::Null) if ty.nullable => Ok(()),
            (_, Value::Null) => place.misfit(format!("is null, {ty} is needed")),
            (BaseType::List(inner), Value::Array(items)) => {
                let (limit, count) = (limits::FILTER_VALUES, items.len());
                if self.is_enum(inner) && count > limit.value {
                    return place.misfit(format!(
                        "has {count} {}; the limit {} is {}",
                        limit.unit, limit.name, limit.value
                    ));
                }
                let mut items = items.iter().enumerate();
                items.try_for_each(|(at, item)| self.value(inner, item, &place.inside(at)))
            }
            // One value stands for a list of one.
            (BaseType::List(inner), value) => self.value(inner, value, place),
            (BaseType::Named(name), value) => self.named(name.as_str(), value, place),
        }
    }

    fn is_enum(&self, ty: &Type) -> bool {
        matches!(&ty.base, BaseType::Named(name) if self.enums.contains_key(name.as_str()))
    }

    fn named(&self, name: &str, value: &Value, place: &Place) -> Result<(), Misfit> {
        if let Some(object) = self.objects.get(name) {
            return self.object(name, object, value, place);
        }
        let is_text = value.as_str();
        if !place.is_reported && is_text.is_some_and(|text| text.contains('\0')) {
            return place.misfit("holds the character U+0000".into());
        }
        let fits = match (name, value) {
            ("Int", Value::Number(number)) => {
                number.as_i64().is_some_and(|n| i32::try_from(n).is_ok())
            }
            ("Float", Value::Number(_)) | ("Boolean", Value::Bool(_)) => true,
            ("ID", Value::Number(number)) => number.is_i64() || number.is_u64(),
            // Scalars of our own are texts too.
            ("Int" | "Float" | "Boolean", _) => false,
            (name, Value::String(text)) => self
                .enums
                .get(name)
                .is_none_or(|values| values.contains(text)),
            _ => false,
        };
        if fits {
            return Ok(());
        }
        place.misfit(match self.enums.contains_key(name) {
            true => format!("is no value of {name}"),
            false => format!("is no {name}"),
        })
    }

    fn object(
        &self,
        name: &str,
        object: &InputObject,
        value: &Value,
        place: &Place,
    ) -> Result<(), Misfit> {
        let Value::Object(values) = value else {
            return place.misfit(format!("is no {name}"));
        };
        for (key, value) in values {
            let Some(known) = object.keys.get(key) else {
                // The sender's text, cut: an answer stays small.
                let key = crate::kernel::text::cut(key, 100);
                return place.misfit(format!("has the key {key}, which {name} does not know"));
            };
            let inside = Place {
                is_reported: place.is_reported || REPORTED.contains(&name),
                ..place.inside(key)
            };
            self.value(&known.ty, value, &inside)?;
        }
        if object.is_one_of && (values.len() != 1 || values.values().any(Value::is_null)) {
            return place.misfit(format!("needs exactly one key of {name}, not null"));
        }
        let mut keys = object.keys.iter();
        let missing = keys.find(|(key, known)| {
            !known.ty.nullable && !known.has_default && !values.contains_key(*key)
        });
        match missing {
            Some((key, known)) => place.misfit(format!("lacks the key {key}: {}", known.ty)),
            None => Ok(()),
        }
    }
}

fn key_of(key: &InputValueDefinition) -> (String, Key) {
    let known = Key {
        ty: key.ty.node.clone(),
        has_default: key.default_value.is_some(),
    };
    (key.name.node.to_string(), known)
}
