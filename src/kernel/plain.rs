//! Objects that are written as JSON at once, where the general way resolves a future for each field.
//!
//! A page of 50 errors with 5 records each has some 4,000 fields, nearly all of them known already: resolving them one
//! by one is most of what the page costs. An object lists its fields that are known ([`Plain`]); a list is written so
//! when every field of the selection is among them ([`List`]), else in the general way. Both make the same bytes.
//!
//! Objects written as text cannot be merged with another selection of the same field: documents that need that are
//! executed in the general way ([`crate::kernel::call::Call::is_mergeless`]).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::parser::types::{
    Field, FragmentDefinition, Selection, SelectionSet, VariableDefinition,
};
use async_graphql::registry::Registry;
use async_graphql::resolver_utils::{EnumType, resolve_list};
use async_graphql::{
    ContextSelectionSet, Name, OutputType, Positioned, ServerResult, Value, Variables,
};
use bytes::Bytes;
use serde::{Serialize, Serializer};

use crate::kernel::call::Call;
use crate::kernel::limits;
use crate::kernel::scalars::enum_name;
use crate::kernel::turns::take_break;

/// An object that may know fields without waiting.
pub trait Plain: Send + Sync {
    /// The name of its type in the contract.
    fn name() -> Cow<'static, str>;

    /// Writes the value of a field; `None` when it is not known without waiting.
    fn write(&self, _field: &PlainField<'_>, _out: &mut Json) -> Option<()> {
        None
    }
}

/// What a selection refers to.
#[derive(Clone, Copy)]
struct Document<'a> {
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    definitions: &'a [Positioned<VariableDefinition>],
    variables: &'a Variables,
}

impl<'a> Document<'a> {
    fn of(ctx: &ContextSelectionSet<'a>) -> Self {
        Self {
            fragments: &ctx.query_env.fragments,
            definitions: &ctx.query_env.operation.node.variable_definitions,
            variables: &ctx.query_env.variables,
        }
    }
}

/// A field of the selection.
pub struct PlainField<'a> {
    field: &'a Field,
    document: Document<'a>,
}

impl<'a> PlainField<'a> {
    /// Its name in the contract.
    pub fn name(&self) -> &'a str {
        self.field.name.node.as_str()
    }

    /// An argument as it was given, variables put in.
    pub fn argument(&self, name: &str) -> Option<Value> {
        let given = self.field.get_argument(name)?.node.clone();
        let Document {
            definitions,
            variables,
            ..
        } = self.document;
        let variable = |name: Name| {
            let told = variables.get(&name).cloned();
            let defined = || {
                definitions
                    .iter()
                    .find(|known| known.node.name.node == name)
            };
            told.or_else(|| defined()?.node.default_value().cloned())
                .ok_or(())
        };
        given.into_const_with(variable).ok()
    }
}

/// The interface that all objects with an id implement; the others are never asked for by it.
const INTERFACE: &str = "Node";

/// JSON under way.
#[derive(Debug, Default)]
pub struct Json(Vec<u8>);

impl Json {
    /// A value of a scalar, an enum or a list of them.
    pub fn value(&mut self, value: impl Serialize) -> Option<()> {
        serde_json::to_writer(&mut self.0, &value).ok()?;
        // The general way refuses it.
        (self.0.len() <= limits::ANSWER_BYTES.value).then_some(())
    }

    /// An object, by the selection of a field.
    pub fn object(&mut self, object: &impl Plain, field: &PlainField<'_>) -> Option<()> {
        self.selection(object, &field.field.selection_set.node, field.document)
    }

    /// An object, or null.
    pub fn optional(&mut self, object: Option<&impl Plain>, field: &PlainField<'_>) -> Option<()> {
        match object {
            Some(object) => self.object(object, field),
            None => self.value(()),
        }
    }

    /// A list of objects, by the selection of a field.
    pub fn objects<'o, T: Plain + 'o>(
        &mut self,
        objects: impl IntoIterator<Item = &'o T>,
        field: &PlainField<'_>,
    ) -> Option<()> {
        self.0.push(b'[');
        for (at, object) in objects.into_iter().enumerate() {
            self.element(at, object, &field.field.selection_set.node, field.document)?;
        }
        self.0.push(b']');
        Some(())
    }

    fn element(
        &mut self,
        at: usize,
        object: &impl Plain,
        set: &SelectionSet,
        document: Document<'_>,
    ) -> Option<()> {
        if at > 0 {
            self.0.push(b',');
        }
        self.selection(object, set, document)
    }

    fn selection<T: Plain>(
        &mut self,
        object: &T,
        set: &SelectionSet,
        document: Document<'_>,
    ) -> Option<()> {
        self.0.push(b'{');
        let mut keys = Vec::with_capacity(set.items.len());
        self.fields(object, set, document, &mut keys)?;
        self.0.push(b'}');
        Some(())
    }

    /// Directives are gone by now: what they leave out is no more in the selection.
    fn fields<'s, T: Plain>(
        &mut self,
        object: &T,
        set: &'s SelectionSet,
        document: Document<'s>,
        keys: &mut Vec<&'s str>,
    ) -> Option<()> {
        for item in &set.items {
            let (condition, inside) = match &item.node {
                Selection::Field(field) => {
                    let field = &field.node;
                    let key = field.response_key().node.as_str();
                    if keys.contains(&key) {
                        continue;
                    }
                    if !keys.is_empty() {
                        self.0.push(b',');
                    }
                    keys.push(key);
                    self.value(key)?;
                    self.0.push(b':');
                    match field.name.node.as_str() {
                        "__typename" => self.value(T::name())?,
                        _ => object.write(&PlainField { field, document }, self)?,
                    }
                    continue;
                }
                Selection::InlineFragment(inline) => {
                    let condition = inline.node.type_condition.as_ref();
                    (condition, &inline.node.selection_set.node)
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = document.fragments.get(&spread.node.fragment_name.node)?;
                    let fragment = &fragment.node;
                    (Some(&fragment.type_condition), &fragment.selection_set.node)
                }
            };
            let on = condition.map(|condition| condition.node.on.node.as_str());
            // The one interface of the contract; what is neither it nor the type itself is another type.
            if on.is_none_or(|on| on == INTERFACE || on == T::name()) {
                self.fields(object, inside, document, keys)?;
            }
        }
        Some(())
    }
}

/// A list of objects that is written at once where it can be.
pub enum List<'a, T> {
    /// Of somebody else.
    Borrowed(&'a [T]),
    /// Made for this answer.
    Owned(Vec<T>),
}

impl<T: Plain> List<'_, T> {
    fn items(&self) -> &[T] {
        match self {
            Self::Borrowed(items) => items,
            Self::Owned(items) => items,
        }
    }

    async fn plain(&self, ctx: &ContextSelectionSet<'_>) -> Option<Value> {
        if !ctx.data_opt::<Arc<Call>>()?.is_mergeless {
            return None;
        }
        let mut json = Json(Vec::with_capacity(4 * 1024));
        json.0.push(b'[');
        for (at, item) in self.items().iter().enumerate() {
            json.element(at, item, &ctx.item.node, Document::of(ctx))?;
            take_break().await;
        }
        json.0.push(b']');
        Some(Value::Binary(Bytes::from(json.0)))
    }
}

impl<T: Plain + OutputType> OutputType for List<'_, T> {
    fn type_name() -> Cow<'static, str> {
        format!("[{}]", T::qualified_type_name()).into()
    }

    fn qualified_type_name() -> String {
        format!("[{}]!", T::qualified_type_name())
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry);
        Self::qualified_type_name()
    }

    async fn resolve(
        &self,
        ctx: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        let items = self.items();
        match self.plain(ctx).await {
            Some(written) => Ok(written),
            None => resolve_list(ctx, field, items, Some(items.len())).await,
        }
    }
}

/// An enum by its name in the contract.
pub struct Named<T>(pub T);

impl<T: EnumType> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(enum_name(self.0))
    }
}
