//! What a client sends, read from a body or from an address.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::answer::Refusal;
use super::connections::is_too_slow;
use super::layers;
use super::parameters::Parameters;
use crate::kernel::error::Error;
use crate::kernel::limits;

/// A JSON object with the variables of a request.
pub(super) type Variables = serde_json::Map<String, serde_json::Value>;

/// A GraphQL request, the same by every transport.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GraphQlRequest {
    /// The document.
    pub(super) query: Option<String>,
    /// Which of its operations runs.
    pub(super) operation_name: Option<String>,
    /// The values of its variables.
    pub(super) variables: Option<Variables>,
    /// What else is asked for.
    pub(super) extensions: Option<RequestExtensions>,
    /// The id of a document that is known here, in place of the document.
    pub(super) document_id: Option<String>,
}

/// The extensions that are read; others are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestExtensions {
    /// Automatic persisted queries.
    pub(super) persisted_query: Option<PersistedQuery>,
}

/// The hash of a document, with the document or in place of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PersistedQuery {
    /// SHA-256 in hexadecimal digits.
    pub(super) sha256_hash: String,
}

/// Reads what a client sends by the method that it uses.
pub(super) async fn of(
    method: &Method,
    uri: &Uri,
    (headers, body): (&HeaderMap, Body),
) -> Result<GraphQlRequest, Refusal> {
    match *method {
        Method::GET => from_uri(uri),
        Method::POST => from_body(headers, body).await,
        _ => {
            let message = "Use POST, or GET for queries.";
            Err(Refusal::status(StatusCode::METHOD_NOT_ALLOWED, message))
        }
    }
}

/// The ticket of `GET /graphql?ticket=…`.
pub(super) fn ticket(method: &Method, uri: &Uri) -> Result<Option<String>, Refusal> {
    match *method {
        Method::GET => Ok(Parameters::of(uri, &["ticket"])?.take("ticket")),
        _ => Ok(None),
    }
}

/// Reads the parameters of `GET /graphql?…`.
fn from_uri(uri: &Uri) -> Result<GraphQlRequest, Refusal> {
    const KNOWN: [&str; 5] = [
        "query",
        "operationName",
        "documentId",
        "variables",
        "extensions",
    ];
    let mut parameters = Parameters::of(uri, &KNOWN)?;
    Ok(GraphQlRequest {
        query: parameters.take("query"),
        operation_name: parameters.take("operationName"),
        document_id: parameters.take("documentId"),
        variables: json(&mut parameters, "variables")?,
        extensions: json(&mut parameters, "extensions")?,
    })
}

fn json<T: DeserializeOwned>(
    parameters: &mut Parameters,
    name: &str,
) -> Result<Option<T>, Refusal> {
    let malformed = |_| {
        let message = format!("The parameter {name} is not a JSON object.");
        Refusal::status(StatusCode::BAD_REQUEST, &message)
    };
    let value = parameters.take(name);
    value
        .map(|value| serde_json::from_str(&value).map_err(malformed))
        .transpose()
}

/// Reads the body of `POST /graphql`.
async fn from_body(headers: &HeaderMap, body: Body) -> Result<GraphQlRequest, Refusal> {
    layers::refuse_packed(headers)?;
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    // A form or a text can be sent by any page without being asked first (CSRF); JSON cannot.
    if !is_json(content_type) {
        return Err(Refusal::status(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Send Content-Type: application/json, in UTF-8.",
        ));
    }
    let limit = limits::GRAPHQL_BODY_BYTES;
    let too_large = || {
        let message = format!(
            "A request has at most {} {} ({}).",
            limit.value, limit.unit, limit.name
        );
        Refusal::from(Error::PayloadTooLarge(message)).by(limit)
    };
    let bytes = to_bytes(body, limit.value).await;
    let bytes = bytes.map_err(|error| match is_too_slow(&error) {
        true => Refusal::stalled("Send all of it again."),
        false => too_large(),
    })?;
    let malformed = |message| Refusal::status(StatusCode::BAD_REQUEST, message);
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(malformed(
            "Send one request at a time: lists of requests are not accepted.",
        ));
    }
    serde_json::from_slice(&bytes).map_err(|_| {
        malformed("Send a JSON object with the keys query, variables and operationName.")
    })
}

/// `application/json`, with no other character set than UTF-8 (RFC 8259, section 8.1).
fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json"));
    is_json
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
                value.trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        })
}
