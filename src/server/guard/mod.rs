//! What stands between a document and async-graphql, which expands fragments before its own limits apply: a document
//! of 1 KB can cost seconds, one of 264 KB the process.
//!
//! In this order, each step linear in the document: [`tokens`] before anything is parsed, one parse, then [`walk`],
//! which looks at each fragment once. What passes is executed; what does not is refused with a code and the limit.

mod addressed;
mod inputs;
mod merges;
mod root;
mod shapes;
mod tokens;
mod walk;

use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, ServiceDocument};

pub(super) use merges::is_mergeless;
pub(super) use root::{beginning, with_single_root};
pub(super) use walk::Measured;

use super::answer::Refusal;
use super::request::Variables;
use crate::kernel::limits::Limit;
use inputs::Inputs;
use shapes::Shapes;

/// What the contract says that matters here.
#[derive(Debug)]
pub(super) struct Contract {
    shapes: Shapes,
    inputs: Inputs,
}

impl Contract {
    /// Reads it from the contract.
    pub(super) fn of(contract: &ServiceDocument) -> Self {
        Self {
            shapes: Shapes::of(contract),
            inputs: Inputs::of(contract),
        }
    }

    /// Refuses variables that do not fit the types that the operation declares.
    pub(super) fn check_variables(
        &self,
        operation: &OperationDefinition,
        variables: &Variables,
    ) -> Result<(), Refusal> {
        let checked = self.inputs.check(operation, variables);
        checked.map_err(|why| Refusal::document("BAD_USER_INPUT", why))
    }
}

/// Why a document is refused.
#[derive(Debug)]
pub(super) enum Refused {
    /// It passes a limit.
    TooComplex { limit: Limit, size: u64 },
    /// GraphQL does not allow it.
    Invalid(String),
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TooComplex { limit, size } => Self::document(
                "QUERY_TOO_COMPLEX",
                format!(
                    "The document has {size} {}; the limit {} is {}. Ask for less at a time.",
                    limit.unit, limit.name, limit.value
                ),
            )
            .by(limit),
            Refused::Invalid(message) => Self::document("GRAPHQL_VALIDATION_FAILED", message),
        }
    }
}

/// Refuses a size above its limit.
fn within(limit: Limit, size: u64) -> Result<(), Refused> {
    if size <= limit.value as u64 {
        Ok(())
    } else {
        Err(Refused::TooComplex { limit, size })
    }
}

/// A document that was small enough to be parsed.
pub(super) struct Parsed {
    pub(super) document: ExecutableDocument,
    /// How many it has.
    pub(super) tokens: usize,
}

/// Parses a document that is small enough to be parsed.
pub(super) fn parse(query: &str) -> Result<Parsed, Refusal> {
    let tokens = tokens::check(query)?;
    let parsed = async_graphql::parser::parse_query(query);
    let document = parsed.map_err(|error| {
        Refusal::document(
            "GRAPHQL_PARSE_FAILED",
            format!("Not a GraphQL document: {error}"),
        )
    })?;
    Ok(Parsed { document, tokens })
}

/// Measures an operation against all limits.
pub(super) fn measure(
    contract: &Contract,
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    variables: &Variables,
) -> Result<Measured, Refusal> {
    Ok(walk::measure(
        &contract.shapes,
        document,
        operation,
        variables,
    )?)
}
