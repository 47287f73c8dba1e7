//! From a request to its answer, the same for every transport: document, operation, variables, cost, bucket, execution.
//!
//! Each step refuses what the next one should not see; what is cheap to refuse comes first.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, OperationType};
use async_graphql::{Request, Value};
use tracing::Instrument;

use super::answer::{Refusal, is_conflict};
use super::app::App;
use super::documents::{Document, Documents};
use super::guard::{self, Contract, Measured};
use super::request::{GraphQlRequest, Variables};
use super::request_log::Notes;
use super::throttle::{Buckets, Exhausted, Spender, Status, points_for};
use crate::kernel::auth::{Portals, Viewer};
use crate::kernel::call::Call;
use crate::kernel::db::failure::ATTEMPTS;
use crate::kernel::env::Env;
use crate::kernel::error::Error;
use crate::kernel::limits;
use crate::kernel::turns::take_break;

/// What operations are checked by.
pub(super) struct Guarded {
    pub(super) contract: Contract,
    pub(super) documents: Documents,
}

/// An operation that is what it should be.
pub(super) struct Checked {
    pub(super) document: Arc<Document>,
    pub(super) operation_name: Option<String>,
    pub(super) variables: Variables,
    /// The one portal that it is about; 0 for several, and for one that the token does not name.
    pub(super) hub_id: i64,
    ty: OperationType,
    measured: Measured,
}

/// An operation that may run.
pub(super) struct Prepared {
    pub(super) operation: Checked,
    pub(super) spender: Spender,
    cost: Cost,
}

/// An executed operation.
pub(super) struct Executed {
    pub(super) response: async_graphql::Response,
    pub(super) cost: Cost,
}

/// What an operation cost, and what is left in the bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Before it ran.
    pub(super) requested: u64,
    /// With what it made the database do; absent before it ran.
    pub(super) actual: Option<u64>,
    pub(super) status: Status,
}

impl Checked {
    /// Whether it leaves nothing behind when it fails: of several mutations the first ones may have been kept.
    fn may_repeat(&self) -> bool {
        self.is_query() || self.measured.portals.len() == 1
    }

    pub(super) fn is_query(&self) -> bool {
        self.ty == OperationType::Query
    }

    pub(super) fn is_subscription(&self) -> bool {
        self.ty == OperationType::Subscription
    }
}

impl Guarded {
    /// Finds the operation of a request and measures it.
    pub(super) fn check(
        &self,
        notes: &Notes,
        viewer: &Viewer,
        request: GraphQlRequest,
    ) -> Result<Checked, Refusal> {
        let document = self.documents.find(&request)?;
        let operation = operation(&document.parsed, request.operation_name.as_deref())?;
        let ty = operation.ty;
        notes.operation(match ty {
            OperationType::Query => "query",
            OperationType::Mutation => "mutation",
            OperationType::Subscription => "subscription",
        });
        let mut variables = request.variables.unwrap_or_default();
        complete(operation, &mut variables);
        let measured = guard::measure(&self.contract, &document.parsed, operation, &variables)?;
        notes.cost(measured.cost);
        self.contract.check_variables(operation, &variables)?;
        Ok(Checked {
            operation_name: request.operation_name.filter(|name| !name.is_empty()),
            variables,
            hub_id: portal_of(viewer, &measured.portals),
            ty,
            measured,
            document,
        })
    }
}

/// Checks the operation of a request and takes its cost from the bucket.
pub(super) fn prepare(
    app: &App,
    notes: &Notes,
    viewer: &Viewer,
    request: GraphQlRequest,
) -> Result<Prepared, Refusal> {
    let operation = app.guarded.check(notes, viewer, request)?;
    let spender = (Arc::from(viewer.subject()), operation.hub_id);
    let cost = spend(app, &operation, &spender)?;
    Ok(Prepared {
        operation,
        spender,
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
    prepared: &Prepared,
) -> Result<Executed, Refusal> {
    let operation = &prepared.operation;
    let document = &operation.document;
    // It was prepared in one turn, is executed in others, and written in another one.
    take_break().await;
    let work = Work {
        app,
        prepared,
        env: app.env.of_request(viewer.subject()),
    };
    let running = run_to_the_end(&work, viewer);
    let executed = tokio::time::timeout(app.operation_timeout, running).await;
    let cost = work.paid();
    let executed = executed.map_err(|_| too_slow(app.operation_timeout))?;
    let (response, statements) = executed?;
    notes.statements(statements);
    if !is_refused(&response) {
        app.guarded.documents.keep(document);
    }
    take_break().await;
    Ok(Executed { response, cost })
}

/// An operation that runs. What it made the database do is paid when it ends, also where nobody waits for it any more.
struct Work<'a> {
    app: &'a App,
    prepared: &'a Prepared,
    env: Env,
}

impl Work<'_> {
    /// Pays for what the database did beyond what every operation may ask of it.
    fn paid(&self) -> Cost {
        const INCLUDED: Duration =
            Duration::from_millis(limits::DATABASE_MILLISECONDS.value as u64);
        let cost = self.prepared.cost;
        let more = points_for(self.env.db.taken().saturating_sub(INCLUDED));
        let status = match more {
            0 => cost.status,
            more => {
                buckets(self.app, &self.prepared.operation).charge(&self.prepared.spender, more)
            }
        };
        Cost {
            actual: Some(cost.requested.saturating_add(more)),
            status,
            ..cost
        }
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.paid();
    }
}

/// Runs an operation, and again where another transaction came between; answers how many statements it took.
async fn run_to_the_end(
    work: &Work<'_>,
    viewer: Viewer,
) -> Result<(async_graphql::Response, u32), Error> {
    let operation = &work.prepared.operation;
    let mut attempt = 1;
    let mut statements = 0;
    loop {
        let (response, count) = run(work, viewer.clone()).await?;
        statements += count;
        let may_repeat = operation.may_repeat() && attempt < ATTEMPTS;
        if !may_repeat || !response.errors.iter().any(is_conflict) {
            return Ok((response, statements));
        }
        attempt += 1;
    }
}

async fn run(work: &Work<'_>, viewer: Viewer) -> Result<(async_graphql::Response, u32), Error> {
    let (app, operation) = (work.app, &work.prepared.operation);
    let document = &operation.document;
    let env = work.env.clone();
    let call = Arc::new(Call {
        viewer,
        snapshot: env.db.snapshot().of_portal(operation.hub_id),
        env,
        is_mergeless: document.is_mergeless(),
        progress: Arc::default(),
    });
    let mut execution = Request::new("")
        .variables(to_graphql(operation.variables.clone()))
        .data(call.clone());
    execution.operation_name = operation.operation_name.clone();
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
    let response = executing.await;
    // It may have written nothing because it found what another one is still waiting to see kept.
    if !operation.is_query() {
        call.env.db.settle().await?;
    }
    Ok((response, call.snapshot.statement_count()))
}

/// Errors without a path were found before anything ran.
pub(super) fn is_refused(response: &async_graphql::Response) -> bool {
    response.data == Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty())
}

pub(super) fn to_graphql(variables: Variables) -> async_graphql::Variables {
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
fn spend(app: &App, operation: &Checked, spender: &Spender) -> Result<Cost, Refusal> {
    let requested = operation.measured.cost;
    let cost = |status| Cost {
        requested,
        actual: None,
        status,
    };
    match buckets(app, operation).spend(spender, requested) {
        Ok(status) => Ok(cost(status)),
        Err(Exhausted { status, wait }) => Err(Refusal::rate_limited(cost(status), wait)),
    }
}

fn buckets<'a>(app: &'a App, operation: &Checked) -> &'a Buckets {
    match operation.measured.is_report {
        true => &app.throttle.reports,
        false => &app.throttle.operations,
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
