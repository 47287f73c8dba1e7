//! Runs a subscription: its one root field, as a stream of answers.

use std::sync::Arc;

use async_graphql::parser::types::ExecutableDocument;
use async_graphql::{Request, Response, Value};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use sha2::{Digest, Sha256};

use super::answer::Refusal;
use super::app::App;
use super::guard;
use super::operation::{self, Checked};
use crate::kernel::auth::Viewer;
use crate::kernel::call::Call;
use crate::kernel::env::Env;
use crate::kernel::progress::Progress;

/// Stands for authority, portal and selection: subscriptions of the same key hear the same.
pub(super) type Key = [u8; 32];

/// A subscription that may run.
pub(super) struct Rooted {
    document: ExecutableDocument,
    pub(super) key: Key,
}

/// A running subscription.
pub(super) struct Subscription {
    /// What it reads with.
    pub(super) env: Env,
    pub(super) stream: BoxStream<'static, Response>,
    pub(super) progress: Arc<Progress>,
}

/// Puts the root field in its place; refuses none, several, and those of introspection.
pub(super) fn rooted(viewer: &Viewer, operation: &Checked) -> Result<Rooted, Refusal> {
    let name = operation.operation_name.as_deref();
    let (text, parsed) = (&operation.document.text, &operation.document.parsed);
    let document = guard::with_single_root(parsed, name)?;
    let begins = guard::beginning(&document, name, text);
    let key = key(viewer, operation, begins.as_deref());
    Ok(Rooted { document, key })
}

/// `begins` is the variable that says nothing but where a subscription begins: those that began at different places
/// select the same.
fn key(viewer: &Viewer, operation: &Checked, begins: Option<&str>) -> Key {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    part(&operation.hub_id.to_string());
    part(&viewer.scopes().join(" "));
    part(&operation.document.text);
    part(operation.operation_name.as_deref().unwrap_or_default());
    let variables = operation.variables.iter();
    for (name, value) in variables.filter(|(name, _)| begins != Some(name)) {
        part(name);
        part(&value.to_string());
    }
    hash.finalize().into()
}

/// Starts it; with a cursor that the transport brought, behind that, whatever its arguments say.
pub(super) fn start(
    app: &Arc<App>,
    viewer: Viewer,
    operation: &Checked,
    rooted: Rooted,
    resume: Option<String>,
) -> Subscription {
    let progress = Arc::new(Progress::resuming(resume));
    let env = app.env.of_request(viewer.subject());
    let call = Arc::new(Call {
        viewer,
        snapshot: env.db.snapshot().of_portal(operation.hub_id),
        env: env.clone(),
        is_mergeless: operation.document.is_mergeless(),
        progress: progress.clone(),
    });
    let variables = operation::to_graphql(operation.variables.clone());
    let mut execution = Request::new("").variables(variables).data(call.clone());
    execution.operation_name = operation.operation_name.clone();
    execution.set_parsed_query(rooted.document);
    let schema = match operation.document.is_valid() {
        true => &app.valid_schema,
        false => &app.schema,
    };
    let stream = schema.execute_stream(execution).then(move |response| {
        let call = call.clone();
        async move {
            // What was read for this answer is not held until the next one, which may be hours away.
            call.snapshot.renew().await;
            response
        }
    });
    Subscription {
        env,
        stream: stream.boxed(),
        progress,
    }
}

/// Whether a subscription is over with this answer: it could not start, or cannot go on.
pub(super) fn ends(response: &Response) -> bool {
    response.data == Value::Null && !response.errors.is_empty()
}
