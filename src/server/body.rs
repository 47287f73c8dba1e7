//! Bodies that are made while they are sent: every one of them is made here.

use std::error::Error;

use axum::body::{Body, Bytes};
use futures_util::{Stream, StreamExt};

/// A body of these parts. Compression looks once more behind the end: the stream stays ended, whatever it is.
pub(super) fn streamed<E>(parts: impl Stream<Item = Result<Bytes, E>> + Send + 'static) -> Body
where
    E: Into<Box<dyn Error + Send + Sync>> + 'static,
{
    Body::from_stream(parts.fuse())
}
