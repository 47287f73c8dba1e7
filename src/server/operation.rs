//! From a request to its answer, the same for every transport: document, operation, variables, cost, bucket, execution.
//!
//! Each step refuses what the next one should not see; what is cheap to refuse comes first.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, OperationType};
use async_graphql::{Request, Value};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use sha2::{Digest, Sha256};
use tracing::Instrument;

use super::answer::Refusal;
use super::app::App;
use super::documents::Document;
use super::guard::{self, Measured};
use super::request::{GraphQlRequest, Variables};
use super::request_log::Notes;
use super::throttle::{Exhausted, Status};
use crate::kernel::auth::{Portals, Viewer};
use crate::kernel::call::Call;
use crate::kernel::error::Error;
use crate::kernel::limits;
use crate::kernel::plain::SelectionKey;
use crate::kernel::progress::Progress;

/// An operation that may run.
pub(super) struct Prepared {
    text: Arc<str>,
    document: Arc<Document>,
    operation_name: Option<String>,
    variables: Variables,
    ty: OperationType,
    cost: Cost,
}

/// An executed operation.
pub(super) struct Executed {
    pub(super) response: async_graphql::Response,
    pub(super) cost: Cost,
}

/// A running subscription.
pub(super) struct Subscription {
    pub(super) stream: BoxStream<'static, async_graphql::Response>,
    pub(super) progress: Arc<Progress>,
}

/// What an operation cost, and what is left in the bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) requested: u64,
    pub(super) status: Status,
}

impl Prepared {
    pub(super) fn is_query(&self) -> bool {
        self.ty == OperationType::Query
    }

    pub(super) fn is_subscription(&self) -> bool {
        self.ty == OperationType::Subscription
    }
}

/// Finds the operation of a request, measures it and takes its cost from the bucket.
pub(super) fn prepare(
    app: &App,
    notes: &Notes,
    viewer: &Viewer,
    request: GraphQlRequest,
) -> Result<Prepared, Refusal> {
    let (text, document) = app.documents.find(&request)?;
    let operation = operation(&document.parsed, request.operation_name.as_deref())?;
    let ty = operation.ty;
    notes.operation(match ty {
        OperationType::Query => "query",
        OperationType::Mutation => "mutation",
        OperationType::Subscription => "subscription",
    });
    let mut variables = request.variables.unwrap_or_default();
    complete(operation, &mut variables);
    let measured = guard::measure(&app.contract, &document.parsed, operation, &variables)?;
    notes.cost(measured.cost);
    app.contract.check_variables(operation, &variables)?;
    let cost = spend(app, viewer, &measured)?;
    Ok(Prepared {
        text,
        document,
        operation_name: request.operation_name.filter(|name| !name.is_empty()),
        variables,
        ty,
        cost,
    })
}

/// Puts in the defaults of variables that were left out: they cost as much as values that were sent.
fn complete(operation: &OperationDefinition, variables: &mut Variables) {
    for definition in &operation.variable_definitions {
        let name = definition.node.name.node.as_str();
        let default = definition.node.default_value.as_ref();
        if let Some(default) = default.filter(|_| !variables.contains_key(name))
            && let Ok(value) = default.node.clone().into_json()
        {
            variables.insert(name.to_owned(), value);
        }
    }
}

/// Executes a query or a mutation.
pub(super) async fn execute(
    app: &App,
    notes: &Notes,
    viewer: Viewer,
    prepared: Prepared,
) -> Result<Executed, Refusal> {
    let Prepared { text, document, .. } = prepared;
    let call = Arc::new(Call {
        viewer,
        snapshot: app.env.db.snapshot(),
        env: app.env.clone(),
        is_mergeless: document.is_mergeless(),
        selection: None,
        progress: Arc::default(),
    });
    let mut execution = Request::new("")
        .variables(to_graphql(prepared.variables))
        .data(call.clone());
    execution.operation_name = prepared.operation_name;
    execution.set_parsed_query(document.parsed.clone());
    // The rules of validation look at the document alone, once the variables have been checked.
    let schema = if document.is_valid() {
        &app.valid_schema
    } else {
        &app.schema
    };
    let executing = schema
        .execute(execution)
        .instrument(tracing::info_span!("execute"));
    let executed = tokio::time::timeout(app.operation_timeout, executing).await;
    notes.statements(call.snapshot.statement_count());
    let response = executed.map_err(|_| too_slow(app.operation_timeout))?;
    if !document.is_valid() && !is_refused(&response) {
        app.documents.keep(text, document);
    }
    Ok(Executed {
        response,
        cost: prepared.cost,
    })
}

/// Starts a subscription; with a cursor that the transport brought, behind it.
pub(super) fn subscribe(
    app: &App,
    viewer: Viewer,
    prepared: Prepared,
    resume: Option<String>,
) -> Result<Subscription, Refusal> {
    let name = prepared.operation_name;
    let document = guard::with_single_root(&prepared.document.parsed, name.as_deref())?;
    let progress = Arc::new(Progress::resuming(resume));
    let (text, variables) = (&*prepared.text, &prepared.variables);
    let begins = guard::beginning(&document, name.as_deref(), text);
    let selection = selection((text, name.as_deref(), variables), begins.as_deref());
    let call = Arc::new(Call {
        viewer,
        snapshot: app.env.db.snapshot(),
        env: app.env.clone(),
        is_mergeless: prepared.document.is_mergeless(),
        selection: Some(selection),
        progress: progress.clone(),
    });
    let mut execution = Request::new("")
        .variables(to_graphql(prepared.variables))
        .data(call.clone());
    execution.operation_name = name;
    execution.set_parsed_query(document);
    let stream = app.schema.execute_stream(execution).then(move |response| {
        let call = call.clone();
        async move {
            // What was read for this answer is not held until the next one, which may be hours away.
            call.snapshot.renew().await;
            response
        }
    });
    Ok(Subscription {
        stream: stream.boxed(),
        progress,
    })
}

/// Stands for what a subscription selects. `begins` is the variable that says nothing but where it begins: subscribers
/// that began at different places select the same.
fn selection(prepared: (&str, Option<&str>, &Variables), begins: Option<&str>) -> SelectionKey {
    let (text, name, variables) = prepared;
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    part(text);
    part(name.unwrap_or_default());
    for (name, value) in variables.iter().filter(|(name, _)| begins != Some(name)) {
        part(name);
        part(&value.to_string());
    }
    hash.finalize().into()
}

/// Errors without a path were found before anything ran.
pub(super) fn is_refused(response: &async_graphql::Response) -> bool {
    response.data == Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty())
}

/// Whether a subscription is over with this answer: it could not start, or cannot go on.
pub(super) fn ends(response: &async_graphql::Response) -> bool {
    response.data == Value::Null && !response.errors.is_empty()
}

fn to_graphql(variables: Variables) -> async_graphql::Variables {
    async_graphql::Variables::from_json(serde_json::Value::Object(variables))
}

fn too_slow(limit: Duration) -> Error {
    Error::Timeout(format!(
        "The operation took longer than {} seconds ({}). Ask for less at a time.",
        limit.as_secs_f64(),
        limits::OPERATION_SECONDS.name
    ))
}

/// Takes the cost from the bucket of the viewer and the portal that the operation is about.
fn spend(app: &App, viewer: &Viewer, measured: &Measured) -> Result<Cost, Refusal> {
    let portal = portal_of(viewer, &measured.portals);
    let buckets = if measured.is_report {
        &app.throttle.reports
    } else {
        &app.throttle.operations
    };
    let spender = (Arc::from(viewer.subject()), portal);
    match buckets.spend(&spender, measured.cost) {
        Ok(status) => Ok(Cost {
            requested: measured.cost,
            status,
        }),
        Err(Exhausted { status, wait }) => {
            let cost = Cost {
                requested: measured.cost,
                status,
            };
            Err(Refusal::rate_limited(cost, wait))
        }
    }
}

/// The one portal that an operation is about: a field that names none is about the token's only one. 0 for several, and
/// for one that the token does not name: nobody gets a bucket for a number that is made up.
fn portal_of(viewer: &Viewer, named: &[Option<i64>]) -> i64 {
    let held = match viewer.portals() {
        Portals::All => None,
        Portals::Named(ids) => Some(ids),
    };
    let own = held.filter(|ids| ids.len() == 1).map_or(0, |ids| ids[0]);
    let mut portals = named.iter().map(|portal| portal.unwrap_or(own));
    let first = portals.next().unwrap_or(own);
    let is_held = held.is_none_or(|ids| ids.binary_search(&first).is_ok());
    if is_held && portals.all(|portal| portal == first) {
        first
    } else {
        0
    }
}

/// The operation that would run; several need a name.
fn operation<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Result<&'a OperationDefinition, Refusal> {
    let mut operations = document.operations.iter();
    let found = match name.filter(|name| !name.is_empty()) {
        Some(wanted) => operations.find(|(name, _)| name.is_some_and(|name| name == wanted)),
        None => operations.next().filter(|_| operations.next().is_none()),
    };
    let unknown = || {
        Refusal::document(
            "GRAPHQL_VALIDATION_FAILED",
            "operationName has to name one of the document's operations.".into(),
        )
    };
    found
        .map(|(_, operation)| &operation.node)
        .ok_or_else(unknown)
}
