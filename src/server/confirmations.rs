//! `/v1/confirmations?ticket=…`: the page behind the link of a message that asks an address. Programs that look through
//! mail follow links, so only the button of the page confirms.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::accepts::Accepts;
use super::answer::Refusal;
use super::app::App;
use super::parameters::Parameters;
use super::request_log::Notes;
use crate::kernel::error::Result;
use crate::notifications::{Page, Standing};

/// Nothing runs and nothing is loaded; the button sends to this server.
const POLICY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Whom the database works for: all who have such a link together.
const SUBJECT: &str = "recipients of e-mail";

/// `/v1/confirmations`.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/confirmations", get(look).post(confirm))
}

async fn look(
    State(app): State<Arc<App>>,
    Extension(notes): Extension<Notes>,
    uri: Uri,
) -> Response {
    let env = app.env.of_request(SUBJECT);
    let page = app.confirmations.look(&env, &ticket(&uri)).await;
    answer(page, &notes)
}

async fn confirm(
    State(app): State<Arc<App>>,
    Extension(notes): Extension<Notes>,
    uri: Uri,
) -> Response {
    let env = app.env.of_request(SUBJECT);
    let page = app.confirmations.confirm(&env, &ticket(&uri)).await;
    answer(page, &notes)
}

/// Nothing where there is none, or several.
fn ticket(uri: &Uri) -> String {
    let parameters = Parameters::of(uri, &["ticket"]).ok();
    let ticket = parameters.and_then(|mut parameters| parameters.take("ticket"));
    ticket.unwrap_or_default()
}

fn answer(page: Result<Page>, notes: &Notes) -> Response {
    let page = match page {
        Ok(page) => page,
        Err(error) => return Refusal::from(error).into_response(Accepts::Json, notes),
    };
    let (status, outcome) = match page.standing {
        Standing::Unconfirmed | Standing::Confirmed => (StatusCode::OK, "ok"),
        Standing::Expired | Standing::Withdrawn => (StatusCode::GONE, "NOT_FOUND"),
        Standing::Unknown => (StatusCode::BAD_REQUEST, "UNAUTHENTICATED"),
    };
    notes.outcome(outcome);
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, page.html).into_response()
}
