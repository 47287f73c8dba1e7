//! What stands between a document and async-graphql, which expands fragments before its own limits apply: a document
//! of 1 KB can cost seconds, one of 264 KB the process.
//!
//! In this order, each step linear in the document: [`tokens`] before anything is parsed, one parse, then [`walk`],
//! which looks at each fragment once. What passes is executed; what does not is refused with a code and the limit.

mod shapes;
mod tokens;
mod walk;

use async_graphql::parser::types::{ExecutableDocument, OperationDefinition};

pub(super) use shapes::Shapes;

use super::answer::Refusal;
use crate::kernel::limits::Limit;

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
            ),
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

/// Parses a document that is small enough to be parsed.
pub(super) fn parse(query: &str) -> Result<ExecutableDocument, Refusal> {
    tokens::check(query)?;
    async_graphql::parser::parse_query(query).map_err(|error| {
        Refusal::document(
            "GRAPHQL_PARSE_FAILED",
            format!("Not a GraphQL document: {error}"),
        )
    })
}

/// Measures an operation against all limits; answers what it costs, in points.
pub(super) fn measure(
    shapes: &Shapes,
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    variables: &serde_json::Map<String, serde_json::Value>,
) -> Result<u64, Refusal> {
    Ok(walk::measure(shapes, document, operation, variables)?)
}
