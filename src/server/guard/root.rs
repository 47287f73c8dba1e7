//! The root of a subscription: exactly one field
//! (<https://spec.graphql.org/October2021/#sec-Single-root-field>), which may stand in fragments. The execution knows
//! neither rule, so it gets the field alone.

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet,
};
use async_graphql::{Name, Positioned};
use async_graphql_value::Value;

use crate::server::answer::Refusal;

/// The document with the one root field of its subscription in place, and without the fragments that held it.
pub(in crate::server) fn with_single_root(
    document: &ExecutableDocument,
    name: Option<&str>,
) -> Result<ExecutableDocument, Refusal> {
    let mut single = document.clone();
    let mut found = Found::default();
    let Some(operation) = operation_mut(&mut single.operations, name) else {
        return Ok(single);
    };
    found.collect(document, &operation.selection_set.node);
    let [root] = found.fields.as_slice() else {
        return Err(refused("has exactly one root field"));
    };
    if found.has_conditions {
        return Err(refused("has no @skip or @include at its root"));
    }
    if root.node.name.node.starts_with("__") {
        return Err(refused("asks for more than introspection"));
    }
    operation.selection_set.node.items =
        vec![Positioned::new(Selection::Field(root.clone()), root.pos)];
    for fragment in found.fragments {
        single.fragments.remove(&fragment);
    }
    Ok(single)
}

/// The variable that the root field takes its `after` from and that nothing else uses, in a document with a single root.
pub(in crate::server) fn beginning(
    document: &ExecutableDocument,
    name: Option<&str>,
    text: &str,
) -> Option<String> {
    let mut operations = document.operations.iter();
    let (_, operation) = operations
        .find(|(known, _)| name.is_none_or(|name| known.is_some_and(|known| known == name)))?;
    let Selection::Field(root) = &operation.node.selection_set.node.items.first()?.node else {
        return None;
    };
    let Value::Variable(variable) = &root.node.get_argument("after")?.node else {
        return None;
    };
    // Its definition and its one use.
    let uses = text.matches(&format!("${variable}")).count();
    (uses == 2).then(|| variable.to_string())
}

fn refused(rule: &str) -> Refusal {
    let message = format!("A subscription {rule}.");
    Refusal::document("GRAPHQL_VALIDATION_FAILED", message)
}

fn operation_mut<'a>(
    operations: &'a mut DocumentOperations,
    name: Option<&str>,
) -> Option<&'a mut OperationDefinition> {
    match operations {
        DocumentOperations::Single(operation) => Some(&mut operation.node),
        DocumentOperations::Multiple(named) => match name {
            Some(name) => named.get_mut(name).map(|operation| &mut operation.node),
            None => named
                .values_mut()
                .next()
                .map(|operation| &mut operation.node),
        },
    }
}

#[derive(Default)]
struct Found {
    fields: Vec<Positioned<Field>>,
    fragments: Vec<Name>,
    has_conditions: bool,
}

impl Found {
    fn collect(&mut self, document: &ExecutableDocument, set: &SelectionSet) {
        for item in &set.items {
            self.has_conditions |= !item.node.directives().is_empty();
            match &item.node {
                Selection::Field(field) => {
                    self.fields.push(field.clone());
                }
                Selection::InlineFragment(inline) => {
                    self.collect(document, &inline.node.selection_set.node);
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    let fragment = document.fragments.get(name);
                    let Some(fragment) = fragment.filter(|_| !self.fragments.contains(name)) else {
                        continue;
                    };
                    self.fragments.push(name.clone());
                    self.collect(document, &fragment.node.selection_set.node);
                }
            }
        }
    }
}
