//! How large an answer may become: counted while it is resolved, before any of it is written.
//!
//! What a document looks like says little of it: a field is as long as what was stored, once for each alias and each
//! element of a list. So each value counts as many bytes as it takes in JSON when its field has been resolved; where the
//! sum passes the limit nothing else is resolved, and what was is let go of.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextExecute, NextResolve, NextSubscribe,
    ResolveInfo,
};
use async_graphql::{
    ErrorExtensions, PathSegment, QueryPathNode, QueryPathSegment, Response, ServerError,
    ServerResult, Value,
};
use futures_util::stream::BoxStream;
use sea_orm::prelude::async_trait::async_trait;
use tokio::sync::Notify;

use crate::kernel::limits::{self, Limit};
use crate::kernel::turns::take_break;

/// Counts each answer of a schema.
pub(super) struct AnswerSize;

impl ExtensionFactory for AnswerSize {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Counter::default())
    }
}

/// Counts one answer; of a subscription one event after the other.
#[derive(Default)]
struct Counter {
    is_of_events: AtomicBool,
    bytes: AtomicUsize,
    passed: Notify,
    /// The field that passed the limit.
    path: Mutex<Vec<PathSegment>>,
}

impl Counter {
    fn limit(&self) -> Limit {
        match self.is_of_events.load(Ordering::Relaxed) {
            true => limits::EVENT_BYTES,
            false => limits::ANSWER_BYTES,
        }
    }

    fn has_passed(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.limit().value
    }

    fn add(&self, bytes: usize) -> bool {
        self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > self.limit().value
    }

    fn error(&self) -> ServerError {
        let limit = self.limit();
        let message = format!(
            "The answer has more than {} {} ({}). Ask for less at a time. What a mutation changed is kept.",
            limit.value, limit.unit, limit.name
        );
        let path = self.path.lock().map(|path| path.clone());
        async_graphql::Error::new(message)
            .extend_with(|_, extensions| extensions.set("code", "QUERY_TOO_COMPLEX"))
            .into_server_error(Default::default())
            .with_path(path.unwrap_or_default())
    }
}

#[async_trait]
impl Extension for Counter {
    fn subscribe<'s>(
        &self,
        ctx: &ExtensionContext<'_>,
        stream: BoxStream<'s, Response>,
        next: NextSubscribe<'_>,
    ) -> BoxStream<'s, Response> {
        self.is_of_events.store(true, Ordering::Relaxed);
        next.run(ctx, stream)
    }

    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        self.bytes.store(0, Ordering::Relaxed);
        tokio::select! {
            biased;
            response = next.run(ctx, operation_name) => response,
            () = self.passed.notified() => Response::from_errors(vec![self.error()]),
        }
    }

    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        // Beside the one that passed it others are under way: they end with the execution.
        if self.has_passed() {
            return std::future::pending().await;
        }
        // Leaves take too little to have turns of their own.
        if !info.field.selection_set.node.items.is_empty() {
            take_break().await;
        }
        let (path, key) = (info.path_node, info.alias.unwrap_or(info.name));
        let value = next.run(ctx, info).await?;
        let bytes = key.len() + value.as_ref().map_or(0, size);
        if self.add(bytes) {
            if let Ok(mut known) = self.path.lock() {
                *known = segments(path);
            }
            self.passed.notify_one();
            return std::future::pending().await;
        }
        Ok(value)
    }
}

fn segments(field: &QueryPathNode<'_>) -> Vec<PathSegment> {
    let ways = std::iter::once(field).chain(field.parents());
    let mut segments: Vec<_> = ways
        .map(|node| match node.segment {
            QueryPathSegment::Index(index) => PathSegment::Index(index),
            QueryPathSegment::Name(name) => PathSegment::Field(name.to_owned()),
        })
        .collect();
    segments.reverse();
    segments
}

/// What stands around a value: quotes, colon, comma.
const PUNCTUATION: usize = 4;

/// What a value takes in JSON, without what was counted when its elements or fields were resolved.
fn size(value: &Value) -> usize {
    PUNCTUATION
        + match value {
            Value::String(text) => text.len() + text.bytes().map(escape).sum::<usize>(),
            Value::Enum(name) => name.len(),
            Value::Number(_) => 8,
            Value::Binary(written) => written.len(),
            Value::Null | Value::Boolean(_) | Value::List(_) | Value::Object(_) => 1,
        }
}

/// What a byte takes beside itself (RFC 8259, section 7, as serde_json writes it).
fn escape(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 1,
        0..0x20 => 5,
        _ => 0,
    }
}
