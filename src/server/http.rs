//! GraphQL over HTTP (<https://graphql.github.io/graphql-over-http/draft/>), written here and not taken from
//! async-graphql-axum because that answers always 200, runs mutations by GET and takes bodies of any type.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, OperationType};
use async_graphql::{Request, Variables};
use axum::body::{Body, to_bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::answer::{Accepts, Refusal, answer};
use super::app::App;
use super::guard;
use super::request_log::Notes;
use crate::kernel::auth::Viewer;
use crate::kernel::call::Call;
use crate::kernel::error::{Error, Result};
use crate::kernel::limits;

/// A request as clients send it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GraphQlRequest {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<serde_json::Map<String, serde_json::Value>>,
    extensions: Option<serde_json::Map<String, serde_json::Value>>,
}

/// `GET` and `POST /graphql`.
pub(super) async fn graphql(
    State(app): State<Arc<App>>,
    Extension(notes): Extension<Notes>,
    method: Method,
    headers: HeaderMap,
    uri: axum::http::Uri,
    body: Body,
) -> Response {
    let accepts = Accepts::of(&headers);
    let answered = async {
        let viewer = viewer(&app, &headers, &notes).map_err(Refusal::from)?;
        let request = match method {
            Method::GET => from_uri(uri.query().unwrap_or_default())?,
            Method::POST => from_body(&headers, body).await?,
            _ => {
                return Err(Refusal::status(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "Use POST, or GET for queries.",
                ));
            }
        };
        execute(
            &app,
            &notes,
            viewer,
            request,
            method == Method::GET,
            accepts,
        )
        .await
    };
    match answered.await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(accepts, &notes),
    }
}

/// Who asks.
pub(super) fn viewer(app: &App, headers: &HeaderMap, notes: &Notes) -> Result<Viewer> {
    let viewer = app.verifier.verify_header(
        headers
            .get(header::AUTHORIZATION)
            .map(|value| value.as_bytes()),
    )?;
    notes.subject(viewer.subject());
    Ok(viewer)
}

fn from_uri(query: &str) -> Result<GraphQlRequest, Refusal> {
    let malformed = |what: &str| {
        Refusal::status(
            StatusCode::BAD_REQUEST,
            &format!("The parameter {what} is not a JSON object."),
        )
    };
    let mut request = GraphQlRequest {
        query: None,
        operation_name: None,
        variables: None,
        extensions: None,
    };
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "query" => request.query = Some(value.into_owned()),
            "operationName" => request.operation_name = Some(value.into_owned()),
            "variables" => {
                request.variables =
                    Some(serde_json::from_str(&value).map_err(|_| malformed("variables"))?)
            }
            "extensions" => {
                request.extensions =
                    Some(serde_json::from_str(&value).map_err(|_| malformed("extensions"))?)
            }
            _ => {}
        }
    }
    Ok(request)
}

async fn from_body(headers: &HeaderMap, body: Body) -> Result<GraphQlRequest, Refusal> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if content_type.split(';').next().map(str::trim) != Some("application/json") {
        return Err(Refusal::status(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Send Content-Type: application/json.",
        ));
    }
    let limit = limits::GRAPHQL_BODY_BYTES;
    let too_large = || {
        Error::PayloadTooLarge(format!(
            "A request has at most {} {} ({}).",
            limit.value, limit.unit, limit.name
        ))
    };
    let bytes = to_bytes(body, limit.value).await.map_err(|_| too_large())?;
    serde_json::from_slice(&bytes).map_err(|_| {
        Refusal::status(
            StatusCode::BAD_REQUEST,
            "Send a JSON object with the keys query, variables and operationName.",
        )
    })
}

async fn execute(
    app: &App,
    notes: &Notes,
    viewer: Viewer,
    request: GraphQlRequest,
    by_get: bool,
    accepts: Accepts,
) -> Result<Response, Refusal> {
    let query = request.query.filter(|query| !query.is_empty());
    let query = query.ok_or_else(|| {
        Refusal::status(
            StatusCode::BAD_REQUEST,
            "The key query is needed: a GraphQL document.",
        )
    })?;
    let limit = limits::DOCUMENT_BYTES;
    if query.len() > limit.value {
        let message = format!(
            "A document has at most {} {} ({}).",
            limit.value, limit.unit, limit.name
        );
        return Err(Refusal::from(Error::PayloadTooLarge(message)));
    }
    let document = guard::parse(&query)?;
    let operation = operation(&document, request.operation_name.as_deref())?;
    notes.operation(match operation.ty {
        OperationType::Query => "query",
        OperationType::Mutation => "mutation",
        OperationType::Subscription => "subscription",
    });
    if by_get && operation.ty != OperationType::Query {
        return Err(Refusal::status(
            StatusCode::METHOD_NOT_ALLOWED,
            "Only queries go by GET. Use POST.",
        ));
    }
    let variables = request.variables.unwrap_or_default();
    let cost = guard::measure(&app.shapes, &document, operation, &variables)?;
    notes.cost(cost);
    let call = Arc::new(Call {
        viewer,
        snapshot: app.db.snapshot(),
        db: app.db.clone(),
        clock: app.config.clock.clone(),
    });
    let variables = Variables::from_json(serde_json::Value::Object(variables));
    let mut execution = Request::new(query).variables(variables).data(call.clone());
    execution.operation_name = request.operation_name;
    execution.set_parsed_query(document);
    let time = Duration::from_secs(limits::OPERATION_SECONDS.value as u64);
    let executed = tokio::time::timeout(time, app.schema.execute(execution)).await;
    notes.statements(call.snapshot.statement_count());
    let response = executed.map_err(|_| {
        let limit = limits::OPERATION_SECONDS;
        Error::Timeout(format!(
            "The operation took longer than {} {} ({}). Ask for less at a time.",
            limit.value, limit.unit, limit.name
        ))
    })?;
    Ok(answer(response, accepts, notes))
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

/// `/healthz`: the process answers.
pub(super) async fn healthy() -> &'static str {
    "ok\n"
}

/// `/readyz`: the database answers and its tables are up to date.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.db.is_ready().await {
        Ok(true) => "ready\n".into_response(),
        Ok(false) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database has to be migrated: run the command migrate\n",
        )
            .into_response(),
        Err(error) => {
            let answer = error.answer();
            (StatusCode::SERVICE_UNAVAILABLE, answer.message + "\n").into_response()
        }
    }
}
