//! What stands around the handlers: origins, compression, headers of every answer, refusals of what reaches no handler.

use axum::Router;
use axum::extract::{Extension, Request};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Version, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::accepts::Accepts;
use super::answer::Refusal;
use super::request_log::Notes;
use crate::kernel::error::{Error, Result};

/// Answers shorter than this are sent as they are: compressing them costs more than it saves.
const COMPRESSED_FROM_BYTES: u64 = 1_024;

/// gzip and brotli, as the client accepts.
pub(super) fn compression() -> CompressionLayer<impl Predicate> {
    CompressionLayer::new()
        .quality(tower_http::CompressionLevel::Fastest)
        .compress_when(
            SizeAbove::new(COMPRESSED_FROM_BYTES)
                // Events that are gathered to be compressed come late.
                .and(NotForContentType::SSE)
                // Compressed already.
                .and(NotForContentType::const_new(
                    "application/vnd.openxmlformats",
                )),
        )
}

/// Lets pages of these origins call; `*` is all, none where the list is empty.
pub(super) fn cors(origins: &[String]) -> Result<Option<CorsLayer>> {
    if origins.is_empty() {
        return Ok(None);
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        let origins: Result<Vec<_>> = origins.iter().map(|origin| check_origin(origin)).collect();
        AllowOrigin::list(origins?)
    };
    let allowed_headers = [
        AUTHORIZATION,
        CONTENT_TYPE,
        HeaderName::from_static("last-event-id"),
        HeaderName::from_static("traceparent"),
    ];
    let exposed = [
        "x-request-id",
        "ratelimit",
        "ratelimit-policy",
        "retry-after",
    ];
    Ok(Some(
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::POST])
            .allow_headers(allowed_headers)
            .expose_headers(exposed.map(HeaderName::from_static))
            .max_age(std::time::Duration::from_secs(600)),
    ))
}

/// Scheme, host and port, as browsers send them: anything else would never match.
fn check_origin(origin: &str) -> Result<HeaderValue> {
    let refused = || {
        Error::BadUserInput(format!(
            "{origin} is no origin. Write scheme, host and port, for example https://app.example.com."
        ))
    };
    let url = url::Url::parse(origin).map_err(|_| refused())?;
    if url.origin().ascii_serialization() != origin {
        return Err(refused());
    }
    HeaderValue::from_str(origin).map_err(|_| refused())
}

/// Bodies are read as they are sent: one that was packed would be taken for something else.
pub(super) fn refuse_packed(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    match headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .all(is_plain)
    {
        true => Ok(()),
        false => Err(Refusal::status(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Send the body as it is, without Content-Encoding.",
        )),
    }
}

/// Answers are one viewer's and of one moment: nobody keeps them; and nobody guesses their type.
pub(super) fn mark_private(headers: &mut HeaderMap) {
    let private = HeaderValue::from_static("private, no-store");
    headers.entry(CACHE_CONTROL).or_insert(private);
    let no_sniffing = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, no_sniffing);
}

/// Refuses what reaches no handler as the handlers refuse: an address that there is not, a method that it does not take, a
/// request that does not say whom it is for.
pub(super) fn refusing<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router
        .fallback(unknown_address)
        .method_not_allowed_fallback(other_method)
        .layer(from_fn(need_host))
}

async fn unknown_address(Extension(notes): Extension<Notes>, headers: HeaderMap) -> Response {
    let message = "Nothing is here. GraphQL is at /graphql; the manual lists the other addresses.";
    let refusal = Refusal::from(Error::NotFound(message.into()));
    refusal.into_response(Accepts::of(&headers), &notes)
}

async fn other_method(Extension(notes): Extension<Notes>, headers: HeaderMap) -> Response {
    let message = "This address does not take the method: the header Allow says which it takes.";
    let refusal = Refusal::status(StatusCode::METHOD_NOT_ALLOWED, message);
    let mut response = refusal.into_response(Accepts::of(&headers), &notes);
    // The route knows.
    response.headers_mut().remove(header::ALLOW);
    response
}

/// RFC 9112, section 3.2: a request has one Host. With several a proxy may have looked at another one.
async fn need_host(request: Request, next: Next) -> Response {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let is_one = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.is_empty() || Authority::try_from(host.as_bytes()).is_ok(),
        (None, _) => request.version() != Version::HTTP_11,
        _ => false,
    };
    let notes = request.extensions().get::<Notes>();
    match notes.filter(|_| !is_one) {
        Some(notes) => {
            let message = "Send one header Host, with the name of this server.";
            let refusal = Refusal::status(StatusCode::BAD_REQUEST, message);
            refusal.into_response(Accepts::of(request.headers()), notes)
        }
        None => next.run(request).await,
    }
}
