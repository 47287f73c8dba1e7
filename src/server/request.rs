//! What a client sends, read from a body or from an address.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use serde::Deserialize;

use super::answer::Refusal;
use super::connections::is_too_slow;
use super::layers;
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
        Method::GET => from_uri(uri.query().unwrap_or_default()),
        Method::POST => from_body(headers, body).await,
        _ => {
            let message = "Use POST, or GET for queries.";
            Err(Refusal::status(StatusCode::METHOD_NOT_ALLOWED, message))
        }
    }
}

/// The ticket of `GET /graphql?ticket=…`.
pub(super) fn ticket(method: &Method, uri: &Uri) -> Option<String> {
    let query = uri.query().filter(|_| *method == Method::GET)?;
    let mut parameters = url::form_urlencoded::parse(query.as_bytes());
    let (_, ticket) = parameters.find(|(name, _)| name == "ticket")?;
    Some(ticket.into_owned())
}

/// Reads the parameters of `GET /graphql?…`.
fn from_uri(query: &str) -> Result<GraphQlRequest, Refusal> {
    let malformed = |what: &str| {
        Refusal::status(
            StatusCode::BAD_REQUEST,
            &format!("The parameter {what} is not a JSON object."),
        )
    };
    let mut request = GraphQlRequest::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "query" => request.query = Some(value.into_owned()),
            "operationName" => request.operation_name = Some(value.into_owned()),
            "documentId" => request.document_id = Some(value.into_owned()),
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
        true => too_slow(),
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

fn too_slow() -> Refusal {
    let limit = limits::STALL_SECONDS;
    let message = format!(
        "The rest of the body did not come within {} {} ({}). Send all of it again.",
        limit.value, limit.unit, limit.name
    );
    Refusal::status(StatusCode::REQUEST_TIMEOUT, &message).by(limit)
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
