//! What GraphQL over HTTP answers: media type, status, body, error codes.

use async_graphql::{PathSegment, ServerError, Value};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::request_log::Notes;
use crate::kernel::error::{Answer, Error};
use crate::kernel::limits;
use crate::kernel::text::cut;

/// Which of the two media types the client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepts {
    /// `application/graphql-response+json`: the status tells whether the request was understood.
    GraphQlResponse,
    /// `application/json`: a well-formed request is answered 200.
    Json,
}

const GRAPHQL_RESPONSE: &str = "application/graphql-response+json";

impl Accepts {
    pub(super) fn of(headers: &HeaderMap) -> Self {
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
pub(super) struct Refusal {
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
    pub(super) fn status(status: StatusCode, message: &str) -> Self {
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
    pub(super) fn document(code: &'static str, message: String) -> Self {
        Self {
            status: None,
            answer: Answer {
                code,
                status: StatusCode::BAD_REQUEST,
                message: cut(&message, limits::ERROR_CHARACTERS.value).to_owned(),
            },
        }
    }

    pub(super) fn into_response(self, accepts: Accepts, notes: &Notes) -> Response {
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

/// The answer of an executed operation. Errors without a path were found before anything ran: then there is no `data`.
pub(super) fn answer(
    response: async_graphql::Response,
    accepts: Accepts,
    notes: &Notes,
) -> Response {
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
            described(&response.errors).map(error_json).collect(),
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

/// A document of 64 KiB can hold thousands of mistakes: the first ones are told, so that the answer stays small.
fn described(errors: &[ServerError]) -> impl Iterator<Item = &ServerError> {
    errors.iter().take(limits::ANSWERED_ERRORS.value)
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
    let mut json = json!({ "message": cut(&error.message, limits::ERROR_CHARACTERS.value), "extensions": { "code": code.as_deref().unwrap_or(default) } });
    if !locations.is_empty() {
        json["locations"] = json!(locations);
    }
    if !path.is_empty() {
        json["path"] = json!(path);
    }
    json
}
