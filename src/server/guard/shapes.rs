//! What the contract says of each field that matters for its cost: what it answers, and how many of it.

use std::collections::HashMap;

use async_graphql::parser::types::{
    BaseType, FieldDefinition, ServiceDocument, Type, TypeKind, TypeSystemDefinition,
};
use async_graphql_value::ConstValue;

/// The objects, interfaces and unions of the contract.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    types: HashMap<String, HashMap<String, Shape>>,
}

/// One field.
#[derive(Debug)]
pub(super) struct Shape {
    /// The name of the type that it answers, without `!` and `[]`.
    pub(super) type_name: String,
    /// Whether that is an object, interface or union.
    pub(super) is_composite: bool,
    /// How many it answers.
    pub(super) count: Count,
}

/// How many objects a field answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    One,
    /// A connection: as many as `first` or `last` says, or this default.
    Page(u64),
    /// A list whose length the contract knows, or is told by the longest list of the request.
    List(u64),
    /// The edges of a connection, whose nodes are what costs.
    Edges,
}

/// The default of `first` where both `first` and `last` may be left out.
const DEFAULT_PAGE: u64 = 50;
/// Lists of objects without a page that can be longer than [`SHORT_LIST`].
const LONG_LISTS: &[(&str, &str, u64)] = &[("Portal", "trend", 100), ("Quota", "history", 100)];
/// How long other lists of objects are at most, or on average.
const SHORT_LIST: u64 = 10;

impl Shapes {
    /// Reads them from the contract.
    pub(super) fn of(contract: &ServiceDocument) -> Self {
        let definitions = || {
            contract
                .definitions
                .iter()
                .filter_map(|definition| match definition {
                    TypeSystemDefinition::Type(definition) => Some(&definition.node),
                    _ => None,
                })
        };
        let composites: Vec<&str> = definitions()
            .filter(|definition| {
                !matches!(
                    definition.kind,
                    TypeKind::Scalar | TypeKind::Enum(_) | TypeKind::InputObject(_)
                )
            })
            .map(|definition| definition.name.node.as_str())
            .collect();
        let mut types = HashMap::new();
        for definition in definitions() {
            let name = definition.name.node.as_str();
            let fields = match &definition.kind {
                TypeKind::Object(object) => &object.fields,
                TypeKind::Interface(interface) => &interface.fields,
                _ => continue,
            };
            let shapes = fields.iter().map(|field| {
                (
                    field.node.name.node.to_string(),
                    shape(name, &field.node, &composites),
                )
            });
            types.insert(name.to_owned(), shapes.collect());
        }
        Self { types }
    }

    /// A field of a type; none where the contract has none.
    pub(super) fn field(&self, type_name: &str, field: &str) -> Option<&Shape> {
        self.types.get(type_name)?.get(field)
    }
}

fn shape(parent: &str, field: &FieldDefinition, composites: &[&str]) -> Shape {
    let (type_name, is_list) = named(&field.ty.node);
    let name = field.name.node.as_str();
    let is_composite = composites.contains(&type_name);
    let long = LONG_LISTS
        .iter()
        .find(|(of, list, _)| *of == parent && *list == name);
    let count = if type_name.ends_with("Connection") {
        Count::Page(default_of(field, "first").unwrap_or(DEFAULT_PAGE))
    } else if parent.ends_with("Connection") && name == "edges" {
        Count::Edges
    } else if parent.ends_with("Connection") || !is_list {
        // `nodes`: the connection has counted them.
        Count::One
    } else {
        Count::List(long.map_or(SHORT_LIST, |(_, _, length)| *length))
    };
    Shape {
        type_name: type_name.to_owned(),
        is_composite,
        count,
    }
}

fn default_of(field: &FieldDefinition, argument: &str) -> Option<u64> {
    let argument = field
        .arguments
        .iter()
        .find(|known| known.node.name.node == argument)?;
    match &argument.node.default_value.as_ref()?.node {
        ConstValue::Number(number) => number.as_u64(),
        _ => None,
    }
}

fn named(ty: &Type) -> (&str, bool) {
    match &ty.base {
        BaseType::Named(name) => (name.as_str(), false),
        BaseType::List(inner) => (named(inner).0, true),
    }
}
