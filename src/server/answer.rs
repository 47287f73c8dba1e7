//! What GraphQL over HTTP answers: media type, status, body, error codes.

use std::time::Duration;

use async_graphql::{PathSegment, ServerError, Value};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::accepts::Accepts;
use super::operation::{Cost, Executed, is_refused};
use super::request_log::Notes;
use crate::kernel::error::{Answer, CONFLICT, Error, RETRY_AFTER};
use crate::kernel::limits::{self, Limit};
use crate::kernel::text::cut;

/// Why a request is answered without being executed.
pub(super) struct Refusal {
    /// The status whatever the client accepts; absent: 400, or 200 for `application/json`.
    status: Option<StatusCode>,
    answer: Answer,
    /// The name of the limit that was passed.
    limit: Option<&'static str>,
    /// What the operation would have cost, and when it may come again.
    later: Option<Box<(Cost, Duration)>>,
}

impl<E: Into<Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        let answer = error.into().answer();
        Self {
            status: Some(answer.status),
            ..Self::of(answer)
        }
    }
}

impl Refusal {
    fn of(answer: Answer) -> Self {
        Self {
            status: None,
            answer,
            limit: None,
            later: None,
        }
    }

    pub(super) fn status(status: StatusCode, message: &str) -> Self {
        let answer = Answer {
            code: "BAD_USER_INPUT",
            status,
            message: message.into(),
            is_conflict: false,
        };
        Self {
            status: Some(status),
            ..Self::of(answer)
        }
    }

    /// A body whose rest was waited for too long.
    pub(super) fn stalled(advice: &str) -> Self {
        let (stall, rate) = (limits::STALL_SECONDS, limits::SLOWEST_BYTES_PER_SECOND);
        let message = format!(
            "The rest of the body did not come in time: it may keep the server waiting for {} {} ({}), and for one more with each {} bytes ({}). {advice}",
            stall.value, stall.unit, stall.name, rate.value, rate.name
        );
        let answer = Answer {
            code: "TIMEOUT",
            status: StatusCode::REQUEST_TIMEOUT,
            message,
            is_conflict: false,
        };
        Self {
            status: Some(answer.status),
            ..Self::of(answer)
        }
        .by(stall)
    }

    /// A document that GraphQL refuses, or values that do not fit it.
    pub(super) fn document(code: &'static str, message: String) -> Self {
        Self::of(Answer {
            code,
            status: StatusCode::BAD_REQUEST,
            message: cut(&message, limits::ERROR_CHARACTERS.value).to_owned(),
            is_conflict: false,
        })
    }

    /// Mutations by GET: any page could make a browser send them.
    pub(super) fn only_queries() -> Self {
        Self::status(
            StatusCode::METHOD_NOT_ALLOWED,
            "Only queries go by GET. Use POST.",
        )
    }

    /// The bucket does not hold what the operation costs.
    pub(super) fn rate_limited(cost: Cost, wait: Duration) -> Self {
        let message = format!(
            "The operation costs {} points, {} are available. Come back in {} seconds.",
            cost.requested,
            cost.status.currently_available,
            seconds(wait)
        );
        Self {
            later: Some(Box::new((cost, wait))),
            ..Self::from(Error::RateLimited(message))
        }
    }

    /// Names the limit that was passed.
    pub(super) fn by(self, limit: Limit) -> Self {
        Self {
            limit: Some(limit.name),
            ..self
        }
    }

    /// The errors of the answer.
    pub(super) fn errors(&self) -> serde_json::Value {
        json!([{ "message": self.answer.message, "extensions": { "code": self.answer.code } }])
    }

    /// Tells the log and the metrics.
    pub(super) fn note(&self, notes: &Notes) {
        notes.outcome(self.answer.code);
        if let Some(limit) = self.limit {
            notes.limit(limit);
        }
    }

    /// Whether the request as such is refused, and not only its document.
    pub(super) fn is_of_request(&self) -> bool {
        self.status.is_some()
    }

    /// The code of the closed list.
    pub(super) fn code(&self) -> &'static str {
        self.answer.code
    }

    /// What is wrong.
    pub(super) fn message(&self) -> &str {
        &self.answer.message
    }

    pub(super) fn into_response(self, accepts: Accepts, notes: &Notes) -> Response {
        self.note(notes);
        let mut body = json!({ "errors": self.errors() });
        let later = self.later.map(|later| *later);
        if let Some((cost, _)) = later {
            body["extensions"] = json!({ "cost": cost_json(cost) });
        }
        let status = match (self.status, accepts) {
            (Some(status), _) => status,
            (None, Accepts::Json) => StatusCode::OK,
            (None, Accepts::GraphQlResponse) => StatusCode::BAD_REQUEST,
        };
        let mut response = respond(status, accepts, body.to_string().into_bytes());
        let headers = response.headers_mut();
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
            }
            // A full bucket says when, below; nobody knows when a place is free.
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER.as_secs().into());
            }
            _ => {}
        }
        if let Some((cost, wait)) = later {
            headers.insert(header::RETRY_AFTER, seconds(wait).into());
            rate_limit_headers(headers, cost);
        }
        response
    }
}

/// The answer of an executed operation; one that was refused before anything ran has no `data`.
pub(super) fn answer(executed: Executed, accepts: Accepts, notes: &Notes) -> Response {
    let Executed { response, cost } = executed;
    let refused = is_refused(&response);
    note(&response, notes);
    let status = if refused && accepts == Accepts::GraphQlResponse {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    let mut answered = match body(&response, Some(cost), refused) {
        Ok(body) => respond(status, accepts, body),
        Err(error) => {
            return Refusal::from(Error::Internal(error.to_string())).into_response(accepts, notes);
        }
    };
    let headers = answered.headers_mut();
    if response
        .errors
        .iter()
        .any(|error| code(error) == Some("UNAVAILABLE"))
    {
        headers.insert(header::RETRY_AFTER, RETRY_AFTER.as_secs().into());
    }
    rate_limit_headers(headers, cost);
    answered
}

/// Tells the log and the metrics how an operation went.
pub(super) fn note(response: &async_graphql::Response, notes: &Notes) {
    notes.outcome(if response.errors.is_empty() {
        "ok"
    } else if is_refused(response) {
        "GRAPHQL_VALIDATION_FAILED"
    } else {
        "errors"
    });
}

/// Written once, into one allocation that grows.
fn body(
    response: &async_graphql::Response,
    cost: Option<Cost>,
    refused: bool,
) -> serde_json::Result<Vec<u8>> {
    /// Most answers fit; a page of a hundred errors makes it grow a few times.
    const FIRST_BYTES: usize = 4 * 1024;
    let mut body = Vec::with_capacity(FIRST_BYTES);
    body.push(b'{');
    if !response.errors.is_empty() {
        body.extend_from_slice(b"\"errors\":");
        serde_json::to_writer(&mut body, &errors(response))?;
        body.push(b',');
    }
    if !refused {
        body.extend_from_slice(b"\"data\":");
        write_value(&mut body, &response.data)?;
        body.push(b',');
    }
    if let Some(cost) = cost {
        body.extend_from_slice(b"\"extensions\":");
        serde_json::to_writer(&mut body, &json!({ "cost": cost_json(cost) }))?;
        body.push(b',');
    }
    // The last comma.
    body.pop();
    body.push(b'}');
    Ok(body)
}

/// The answer of an operation as JSON, for transports that tell nothing beside it.
pub(super) fn written(response: &async_graphql::Response, cost: Option<Cost>) -> Vec<u8> {
    let refused = is_refused(response);
    body(response, cost, refused).unwrap_or_else(|error| {
        let refusal = Refusal::from(Error::Internal(error.to_string()));
        json!({ "errors": refusal.errors() })
            .to_string()
            .into_bytes()
    })
}

/// The errors of an answer as clients read them.
pub(super) fn errors(response: &async_graphql::Response) -> Vec<serde_json::Value> {
    described(&response.errors).map(error_json).collect()
}

/// A value as JSON; what was written before ([`crate::kernel::plain`]) as it is.
fn write_value(out: &mut Vec<u8>, value: &Value) -> serde_json::Result<()> {
    match value {
        Value::Binary(written) => out.extend_from_slice(written),
        Value::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_value(out, item)?;
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            out.push(b'{');
            for (at, (name, value)) in fields.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, name.as_str())?;
                out.push(b':');
                write_value(out, value)?;
            }
            out.push(b'}');
        }
        leaf => serde_json::to_writer(out, leaf)?,
    }
    Ok(())
}

fn respond(status: StatusCode, accepts: Accepts, body: Vec<u8>) -> Response {
    let headers = [(header::CONTENT_TYPE, accepts.content_type())];
    (status, headers, body).into_response()
}

fn cost_json(cost: Cost) -> serde_json::Value {
    let mut json = json!({
        "requestedQueryCost": cost.requested,
        "throttleStatus": {
            "maximumAvailable": cost.status.maximum_available,
            "currentlyAvailable": cost.status.currently_available,
            "restoreRate": cost.status.restore_rate,
        }
    });
    if let Some(actual) = cost.actual {
        json["actualQueryCost"] = actual.into();
    }
    json
}

/// `RateLimit-Policy` and `RateLimit`
/// (<https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>).
fn rate_limit_headers(headers: &mut HeaderMap, cost: Cost) {
    let status = cost.status;
    let (most, left) = (status.maximum_available, status.currently_available);
    let window = most.div_ceil(status.restore_rate);
    let full_in = most.saturating_sub(left).div_ceil(status.restore_rate);
    let lines = [
        (
            "ratelimit-policy",
            format!("\"points\";q={most};w={window}"),
        ),
        ("ratelimit", format!("\"points\";r={left};t={full_in}")),
    ];
    for (name, value) in lines {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// Whole seconds, at least one: who comes back earlier is refused again.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0 || wait.is_zero())
}

/// A document of 64 KiB can hold thousands of mistakes: the first ones are told, so that the answer stays small.
fn described(errors: &[ServerError]) -> impl Iterator<Item = &ServerError> {
    errors.iter().take(limits::ANSWERED_ERRORS.value)
}

/// The code of an error of ours.
fn code(error: &ServerError) -> Option<&str> {
    match error.extensions.as_ref()?.get("code") {
        Some(Value::String(code)) => Some(code),
        _ => None,
    }
}

/// Whether another transaction came between: the same may go through at once.
pub(super) fn is_conflict(error: &ServerError) -> bool {
    let extensions = error.extensions.as_ref();
    extensions.is_some_and(|extensions| extensions.get(CONFLICT).is_some())
}

/// Errors of ours carry their code; what async-graphql finds itself is about the document, or about a value in it.
fn error_json(error: &ServerError) -> serde_json::Value {
    let code = code(error);
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
    let mut json = json!({ "message": cut(&error.message, limits::ERROR_CHARACTERS.value), "extensions": { "code": code.unwrap_or(default) } });
    if !locations.is_empty() {
        json["locations"] = json!(locations);
    }
    if !path.is_empty() {
        json["path"] = json!(path);
    }
    json
}
