//! GraphiQL, served whole from here: no page of another host is asked for anything.
//!
//! The page itself is open; what it asks needs a token as always.

use axum::Router;
use axum::http::header::{CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;

/// Only what stands here runs, and it talks to this server alone. GraphiQL's editor and menus style themselves inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src data:; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// `/graphiql` and what it loads.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let page = include_str!("page.html");
    Router::new()
        .route("/graphiql", get(async move || plain(HTML, page)))
        .route(
            "/graphiql/start.js",
            get(async || plain(SCRIPT, include_str!("start.js"))),
        )
        .route(
            "/graphiql/start.css",
            get(async || plain(STYLE, include_str!("start.css"))),
        )
        .route(
            "/graphiql/react.js",
            get(async || packed(SCRIPT, include_bytes!("react.js.gz"))),
        )
        .route(
            "/graphiql/react-dom.js",
            get(async || packed(SCRIPT, include_bytes!("react-dom.js.gz"))),
        )
        .route(
            "/graphiql/graphiql.js",
            get(async || packed(SCRIPT, include_bytes!("graphiql.js.gz"))),
        )
        .route(
            "/graphiql/graphiql.css",
            get(async || packed(STYLE, include_bytes!("graphiql.css.gz"))),
        )
}

fn plain(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, text)
}

/// Every browser reads gzip.
fn packed(content_type: &'static str, bytes: &'static [u8]) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, content_type), (CONTENT_ENCODING, "gzip")],
        bytes,
    )
}
