//! Streams that stay ended. Whoever sends a body, or runs a subscription, may look once more behind the end:
//! `futures_util`'s own `unfold` panics then, so nothing else here uses it.

use futures_util::{Stream, StreamExt, stream};

/// A stream of what `next` makes of the state, until it answers `None`.
pub fn unfold<S, F, Fut, T>(state: S, next: F) -> impl Stream<Item = T>
where
    F: FnMut(S) -> Fut,
    Fut: Future<Output = Option<(T, S)>>,
{
    stream::unfold(state, next).fuse()
}

/// The same, until it fails.
pub fn try_unfold<S, F, Fut, T, E>(state: S, next: F) -> impl Stream<Item = Result<T, E>>
where
    F: FnMut(S) -> Fut,
    Fut: Future<Output = Result<Option<(T, S)>, E>>,
{
    stream::try_unfold(state, next).fuse()
}
