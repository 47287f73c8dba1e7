//! Measures an operation as it would be executed, looking at each fragment once however often it is spread.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::{
    ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql_value::Value;

use super::shapes::{Count, Shapes};
use super::{Refused, addressed, within};
use crate::kernel::limits;
use crate::server::request::Variables;

/// A selection, expanded.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    /// Fields and fragments.
    selections: u64,
    depth: u64,
    /// Selections inside selections, fragments and introspection included.
    nesting: u64,
    aliases: u64,
    directives: u64,
    cost: u64,
    /// Whether it leads to what calls of engines do not answer by themselves.
    reads: bool,
}

impl Weight {
    fn and(self, other: Self) -> Self {
        Self {
            selections: self.selections.saturating_add(other.selections),
            depth: self.depth.max(other.depth),
            nesting: self.nesting.max(other.nesting),
            aliases: self.aliases.saturating_add(other.aliases),
            directives: self.directives.saturating_add(other.directives),
            cost: self.cost.saturating_add(other.cost),
            reads: self.reads || other.reads,
        }
    }
}

/// What the reports and reservations of engines answer by themselves. Whatever else their answers lead to is read as by a
/// query, and costs as much.
const OF_REPORTS: [&str; 13] = [
    "ReportPortalStatePayload",
    "ReportApiUsagePayload",
    "ReserveApiCallsPayload",
    "ReportSyncFailuresPayload",
    "ReportSyncSuccessesPayload",
    "ReportResyncOutcomesPayload",
    "ReportResult",
    "ResyncOutcomeResult",
    "SyncError",
    "Classification",
    "UserError",
    "Quota",
    "ApiCallReservation",
];

/// What introspection costs for each time that it is asked for, and that a part of it is asked for again.
const INTROSPECTION_COST: u64 = 100;

/// What a search costs beside what it finds.
const SEARCH_COST: u64 = 20;

/// What every mutation costs beside what it answers.
const MUTATION_COST: u64 = 10;

/// What an operation asks for.
#[derive(Debug)]
pub(in crate::server) struct Measured {
    /// In points.
    pub(in crate::server) cost: u64,
    /// The portals that its root fields name; absent for a field that names none.
    pub(in crate::server) portals: Vec<Option<i64>>,
    /// Whether all of its root fields are an engine's, reports and reservations, and lead nowhere else.
    pub(in crate::server) is_report: bool,
}

/// Measures an operation; refuses what passes a limit.
pub(super) fn measure(
    shapes: &Shapes,
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    variables: &Variables,
) -> Result<Measured, Refused> {
    let mut walk = Walk {
        shapes,
        document,
        variables,
        longest_list: 0,
        weighed: HashMap::new(),
        entered: Vec::new(),
    };
    // All of them, used or not: afterwards no fragment spreads itself, and each is a look-up.
    for name in document.fragments.keys() {
        walk.fragment(name.as_str())?;
    }
    // Those that do not run, too: whoever looks at the whole document afterwards may look at all of it.
    for (_, other) in document.operations.iter() {
        let weight = walk.selection_set(&other.node.selection_set.node, root_of(&other.node))?;
        check(&weight)?;
    }
    let base = match operation.ty {
        OperationType::Query | OperationType::Subscription => 1,
        OperationType::Mutation => MUTATION_COST,
    };
    let mut roots = Roots::default();
    roots.add(document, &operation.selection_set.node);
    let lists = roots.fields.iter().flat_map(|field| &field.arguments);
    let lists = lists.map(|(_, value)| longest_list(&value.node, variables));
    walk.longest_list = lists.max().unwrap_or(0);
    // Costs depend on it.
    walk.weighed.clear();
    let mut whole = walk.selection_set(&operation.selection_set.node, root_of(operation))?;
    let directives = operation.directives.len() as u64;
    whole.directives = whole.directives.saturating_add(directives);
    whole.cost = whole.cost.saturating_add(base);
    within(limits::ROOT_FIELDS, roots.fields.len() as u64)?;
    check(&whole)?;
    within(limits::QUERY_COST, whole.cost)?;
    let mut names = roots.fields.iter().map(|field| field.name.node.as_str());
    Ok(Measured {
        cost: whole.cost,
        portals: addressed::portals(&roots.fields, variables),
        is_report: operation.ty == OperationType::Mutation
            && !whole.reads
            && names.all(|name| {
                ["report", "reserve"]
                    .iter()
                    .any(|verb| name.starts_with(verb))
            }),
    })
}

fn root_of(operation: &OperationDefinition) -> &'static str {
    match operation.ty {
        OperationType::Query => "Query",
        OperationType::Mutation => "Mutation",
        OperationType::Subscription => "Subscription",
    }
}

const INTROSPECTION: [&str; 2] = ["__schema", "__type"];

/// All limits but that of the cost, which is of the operation that runs.
fn check(weight: &Weight) -> Result<(), Refused> {
    within(limits::SELECTION_NESTING, weight.nesting)?;
    within(limits::EXPANDED_SELECTIONS, weight.selections)?;
    within(limits::SELECTION_DEPTH, weight.depth)?;
    within(limits::ALIASES, weight.aliases)?;
    within(limits::DIRECTIVES, weight.directives)
}

/// The root fields, those inside fragments too; a fragment that is spread twice adds nothing the second time.
#[derive(Default)]
struct Roots<'a> {
    fields: Vec<&'a Field>,
    seen: HashSet<&'a str>,
}

impl<'a> Roots<'a> {
    fn add(&mut self, document: &'a ExecutableDocument, set: &'a SelectionSet) {
        for item in &set.items {
            let inside = match &item.node {
                Selection::Field(field) => {
                    self.fields.push(&field.node);
                    continue;
                }
                Selection::InlineFragment(inline) => Some(&inline.node.selection_set),
                Selection::FragmentSpread(spread) => {
                    let name = spread.node.fragment_name.node.as_str();
                    let fragment = document.fragments.get(name);
                    fragment
                        .filter(|_| self.seen.insert(name))
                        .map(|fragment| &fragment.node.selection_set)
                }
            };
            if let Some(inside) = inside {
                self.add(document, &inside.node);
            }
        }
    }
}

struct Walk<'a> {
    shapes: &'a Shapes,
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    /// The longest list in the arguments: a list that answers them can be as long.
    longest_list: u64,
    weighed: HashMap<&'a str, Weight>,
    /// The fragments on the way from the root to here.
    entered: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    fn selection_set(&mut self, set: &'a SelectionSet, type_name: &str) -> Result<Weight, Refused> {
        let mut sum = Weight::default();
        for item in &set.items {
            let weight = match &item.node {
                Selection::Field(field) => self.field(&field.node, type_name)?,
                Selection::InlineFragment(inline) => {
                    let condition = inline.node.type_condition.as_ref();
                    let type_name = condition.map_or(type_name, |on| on.node.on.node.as_str());
                    self.selection_set(&inline.node.selection_set.node, type_name)?
                }
                Selection::FragmentSpread(spread) => {
                    self.fragment(spread.node.fragment_name.node.as_str())?
                }
            };
            sum = sum.and(weight);
            sum.selections = sum.selections.saturating_add(1);
            if !matches!(item.node, Selection::Field(_)) {
                // A field counts its own directives.
                let directives = item.node.directives().len() as u64;
                sum.directives = sum.directives.saturating_add(directives);
            }
        }
        if !set.items.is_empty() {
            sum.nesting = sum.nesting.saturating_add(1);
        }
        Ok(sum)
    }

    /// A fragment that does not exist weighs nothing here: the validation names it.
    fn fragment(&mut self, name: &'a str) -> Result<Weight, Refused> {
        if let Some(weight) = self.weighed.get(name) {
            return Ok(*weight);
        }
        let Some(fragment) = self.document.fragments.get(name) else {
            return Ok(Weight::default());
        };
        if self.entered.contains(&name) {
            return Err(Refused::Invalid(format!(
                "The fragment {name} spreads itself."
            )));
        }
        self.entered.push(name);
        within(limits::SELECTION_NESTING, self.entered.len() as u64)?;
        let on = fragment.node.type_condition.node.on.node.as_str();
        let weight = self.selection_set(&fragment.node.selection_set.node, on)?;
        self.entered.pop();
        within(limits::SELECTION_NESTING, weight.nesting)?;
        self.weighed.insert(name, weight);
        Ok(weight)
    }

    fn field(&mut self, field: &'a Field, type_name: &str) -> Result<Weight, Refused> {
        let name = field.name.node.as_str();
        let shape = self.shapes.field(type_name, name);
        let answered = shape.map_or("", |shape| shape.type_name.as_str());
        let inside = self.selection_set(&field.selection_set.node, answered)?;
        let is_object = shape.is_some_and(|shape| shape.is_composite && answered != "PageInfo");
        let own_cost = match shape {
            None if name == "__typename" => u64::from(field.alias.is_some()),
            // Of introspection; a field that does not exist is refused later on.
            None if field.alias.is_some() || INTROSPECTION.contains(&name) => INTROSPECTION_COST,
            // A value once more, which may be long.
            Some(_) => u64::from(is_object || field.alias.is_some()),
            None => 0,
        };
        let cost = match shape.map_or(Count::One, |shape| shape.count) {
            Count::One => own_cost.saturating_add(inside.cost),
            Count::Edges => inside.cost,
            Count::Page(default) => {
                let page = self.page(field).unwrap_or(default);
                let search = if self.searches(field) { SEARCH_COST } else { 0 };
                let page = page.saturating_mul(inside.cost);
                own_cost.saturating_add(search).saturating_add(page)
            }
            Count::List(length) => {
                let length = length.max(self.longest_list);
                length.saturating_mul(own_cost.saturating_add(inside.cost))
            }
        };
        // Introspection nests deeply by itself; tools send it as it is.
        let depth = if name.starts_with("__") {
            0
        } else {
            inside.depth.saturating_add(1)
        };
        let is_own = OF_REPORTS.contains(&answered);
        Ok(Weight {
            reads: inside.reads || (is_object && !is_own),
            selections: inside.selections,
            depth,
            nesting: inside.nesting,
            aliases: inside.aliases.saturating_add(field.alias.is_some().into()),
            directives: inside
                .directives
                .saturating_add(field.directives.len() as u64),
            cost,
        })
    }

    /// Whether the filter of a connection holds a text to search for.
    fn searches(&self, field: &Field) -> bool {
        let in_json =
            |value: &serde_json::Value| value.get("search").is_some_and(|s| s.is_string());
        match field.get_argument("filter").map(|filter| &filter.node) {
            Some(Value::Object(filter)) => match filter.get("search") {
                Some(Value::Variable(name)) => {
                    let value = self.variables.get(name.as_str());
                    value.is_some_and(serde_json::Value::is_string)
                }
                search => matches!(search, Some(Value::String(_))),
            },
            Some(Value::Variable(name)) => self.variables.get(name.as_str()).is_some_and(in_json),
            _ => false,
        }
    }

    /// The size of the page that `first` or `last` asks for, at most the largest that is answered.
    fn page(&self, field: &Field) -> Option<u64> {
        ["first", "last"].into_iter().find_map(|name| {
            let size = match &field.get_argument(name)?.node {
                Value::Number(number) => number.as_u64(),
                Value::Variable(variable) => self.variables.get(variable.as_str())?.as_u64(),
                _ => None,
            };
            size.map(|size| size.min(limits::PAGE_SIZE.value as u64))
        })
    }
}

/// The length of the longest list in an argument, two levels deep: `ids`, `input.failures`.
fn longest_list(value: &Value, variables: &Variables) -> u64 {
    let in_json = |value: &serde_json::Value| match value {
        serde_json::Value::Array(items) => items.len(),
        serde_json::Value::Object(object) => {
            let lists = object.values().filter_map(serde_json::Value::as_array);
            lists.map(Vec::len).max().unwrap_or(0)
        }
        _ => 0,
    };
    let length = |value: &Value| match value {
        Value::List(items) => items.len(),
        Value::Variable(name) => variables.get(name.as_str()).map_or(0, in_json),
        _ => 0,
    };
    let longest = match value {
        Value::Object(object) => object.values().map(length).max().unwrap_or(0),
        value => length(value),
    };
    longest as u64
}
