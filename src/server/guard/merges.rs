//! Whether a document selects below the same field twice, so that two selections have to become one answer.

use std::collections::HashSet;

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};

/// Whether no operation of the document does. Walks fragments as often as they are spread: only for a document that was
/// measured before.
pub(in crate::server) fn is_mergeless(document: &ExecutableDocument) -> bool {
    let mut operations = document.operations.iter();
    operations.all(|(_, operation)| {
        let set = &operation.node.selection_set.node;
        keys_differ(document, set, &mut HashSet::new())
    })
}

/// `keys`: the response keys with a selection of their own, so far in this set and the fragments that it spreads.
fn keys_differ<'a>(
    document: &'a ExecutableDocument,
    set: &'a SelectionSet,
    keys: &mut HashSet<&'a str>,
) -> bool {
    set.items.iter().all(|item| match &item.node {
        Selection::Field(field) => {
            let (field, inside) = (&field.node, &field.node.selection_set.node);
            inside.items.is_empty()
                || keys.insert(field.response_key().node.as_str())
                    && keys_differ(document, inside, &mut HashSet::new())
        }
        Selection::InlineFragment(inline) => {
            keys_differ(document, &inline.node.selection_set.node, keys)
        }
        Selection::FragmentSpread(spread) => {
            let fragment = document.fragments.get(&spread.node.fragment_name.node);
            fragment.is_none_or(|fragment| {
                keys_differ(document, &fragment.node.selection_set.node, keys)
            })
        }
    })
}
