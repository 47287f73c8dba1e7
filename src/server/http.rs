//! GraphQL over HTTP (<https://graphql.github.io/graphql-over-http/draft/>), written here and not taken from
//! async-graphql-axum because that answers always 200, runs mutations by GET and takes bodies of any type.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::{ExecutableDocument, OperationType};
use async_graphql::{PathSegment, Request, ServerError, Value, Variables};
use axum::body::{Body, to_bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::app::App;
use super::request_log::Notes;
use crate::kernel::auth::Viewer;
use crate::kernel::call::Call;
use crate::kernel::error::{Answer, Error, Result};
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

/// Which of the two media types the client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepts {
    /// `application/graphql-response+json`: the status tells whether the request was understood.
    GraphQlResponse,
    /// `application/json`: a well-formed request is answered 200.
    Json,
}

const GRAPHQL_RESPONSE: &str = "application/graphql-response+json";

impl Accepts {
    fn of(headers: &HeaderMap) -> Self {
        let accept = headers
            .get(header::ACCEPT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if accept.contains(GRAPHQL_RESPONSE) {
            Self::GraphQlResponse
        } else {
            Self::Json
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::GraphQlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }
}

/// Why a request is answered without being executed.
struct Refusal {
    /// The status whatever the client accepts; absent: 400, or 200 for `application/json`.
    status: Option<StatusCode>,
    answer: Answer,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let answer = error.answer();
        Self {
            status: Some(answer.status),
            answer,
        }
    }
}

impl Refusal {
    fn status(status: StatusCode, message: &str) -> Self {
        Self {
            status: Some(status),
            answer: Answer {
                code: "BAD_USER_INPUT",
                status,
                message: message.into(),
            },
        }
    }

    /// A document that GraphQL refuses.
    fn document(code: &'static str, message: String) -> Self {
        Self {
            status: None,
            answer: Answer {
                code,
                status: StatusCode::BAD_REQUEST,
                message,
            },
        }
    }

    fn into_response(self, accepts: Accepts, notes: &Notes) -> Response {
        notes.outcome(self.answer.code);
        let body = json!({ "errors": [{ "message": self.answer.message, "extensions": { "code": self.answer.code } }] });
        let status = match (self.status, accepts) {
            (Some(status), _) => status,
            (None, Accepts::Json) => StatusCode::OK,
            (None, Accepts::GraphQlResponse) => StatusCode::BAD_REQUEST,
        };
        let mut response = (
            status,
            [(header::CONTENT_TYPE, accepts.content_type())],
            body.to_string(),
        )
            .into_response();
        let extra = match status {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
            StatusCode::METHOD_NOT_ALLOWED => Some((header::ALLOW, "GET, POST")),
            _ => None,
        };
        if let Some((name, value)) = extra {
            response
                .headers_mut()
                .insert(name, header::HeaderValue::from_static(value));
        }
        response
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
    let document = async_graphql::parser::parse_query(&query).map_err(|error| {
        Refusal::document(
            "GRAPHQL_PARSE_FAILED",
            format!("Not a GraphQL document: {error}"),
        )
    })?;
    let operation = operation_type(&document, request.operation_name.as_deref())?;
    notes.operation(match operation {
        OperationType::Query => "query",
        OperationType::Mutation => "mutation",
        OperationType::Subscription => "subscription",
    });
    if by_get && operation != OperationType::Query {
        return Err(Refusal::status(
            StatusCode::METHOD_NOT_ALLOWED,
            "Only queries go by GET. Use POST.",
        ));
    }
    let call = Arc::new(Call {
        viewer,
        snapshot: app.db.snapshot(),
        db: app.db.clone(),
        clock: app.config.clock.clone(),
    });
    let variables = Variables::from_json(serde_json::Value::Object(
        request.variables.unwrap_or_default(),
    ));
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

/// The type of the operation that would run; several need a name.
fn operation_type(
    document: &ExecutableDocument,
    name: Option<&str>,
) -> Result<OperationType, Refusal> {
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
        .map(|(_, operation)| operation.node.ty)
        .ok_or_else(unknown)
}

/// The answer of an executed operation. Errors without a path were found before anything ran: then there is no `data`.
fn answer(response: async_graphql::Response, accepts: Accepts, notes: &Notes) -> Response {
    let refused = response.data == Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty());
    notes.outcome(if response.errors.is_empty() {
        "ok"
    } else if refused {
        "GRAPHQL_VALIDATION_FAILED"
    } else {
        "errors"
    });
    let mut body = serde_json::Map::new();
    if !response.errors.is_empty() {
        body.insert(
            "errors".into(),
            response.errors.iter().map(error_json).collect(),
        );
    }
    let status = if refused && accepts == Accepts::GraphQlResponse {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    let mut text = serde_json::Value::Object(body).to_string();
    if !refused {
        let data = serde_json::to_string(&response.data).unwrap_or_else(|_| "null".into());
        text.pop();
        text.push_str(if text.len() > 1 {
            ",\"data\":"
        } else {
            "\"data\":"
        });
        text.push_str(&data);
        text.push('}');
    }
    (
        status,
        [(header::CONTENT_TYPE, accepts.content_type())],
        text,
    )
        .into_response()
}

/// Errors of ours carry their code; what async-graphql finds itself is about the document, or about a value in it.
fn error_json(error: &ServerError) -> serde_json::Value {
    let code = error
        .extensions
        .as_ref()
        .and_then(|extensions| match extensions.get("code") {
            Some(Value::String(code)) => Some(code.clone()),
            _ => None,
        });
    let default = if error.path.is_empty() {
        "GRAPHQL_VALIDATION_FAILED"
    } else {
        "BAD_USER_INPUT"
    };
    let path: Vec<serde_json::Value> = error
        .path
        .iter()
        .map(|segment| match segment {
            PathSegment::Field(name) => json!(name),
            PathSegment::Index(index) => json!(index),
        })
        .collect();
    let locations: Vec<_> = error
        .locations
        .iter()
        .map(|at| json!({ "line": at.line, "column": at.column }))
        .collect();
    let mut json = json!({ "message": error.message, "extensions": { "code": code.as_deref().unwrap_or(default) } });
    if !locations.is_empty() {
        json["locations"] = json!(locations);
    }
    if !path.is_empty() {
        json["path"] = json!(path);
    }
    json
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
