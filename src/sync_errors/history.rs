//! Which history a position of the feed is of: the entry that stands there has its digest. After an older copy of the
//! database was put back, or a stand-by took over that had not everything, other entries stand at the same places.
//!
//! A position whose entry was swept, and one of an older version's cursor, is taken by its place alone.

use crate::kernel::auth::{Right, Scope};
use crate::kernel::db::Snapshot;
use crate::kernel::error::Result;
use crate::kernel::progress::Position;
use crate::portals::{Head, cursor_expired, decoded, event_digest};
use crate::sync_errors::feed;

/// The position of a client's cursor; CURSOR_EXPIRED for one of another feed or history, ahead of this one, or before
/// what is kept of it. To be asked in the snapshot that the head was read in.
pub async fn position<R: Right>(
    snapshot: &Snapshot,
    scope: &Scope<R>,
    (head, cursor): (&Head, &str),
) -> Result<Position> {
    known(snapshot, scope, head, &decoded(cursor)?)
        .await?
        .ok_or_else(cursor_expired)
}

/// The end of the feed.
pub async fn end<R: Right>(snapshot: &Snapshot, scope: &Scope<R>, head: &Head) -> Result<Position> {
    let end = head.position();
    match end.digest {
        Some(_) => Ok(end),
        None => Ok(known(snapshot, scope, head, &end).await?.unwrap_or(end)),
    }
}

/// A position with its digest, where the entry there is the position's; `None` for one that the feed does not hold.
pub async fn known<R: Right>(
    snapshot: &Snapshot,
    scope: &Scope<R>,
    head: &Head,
    position: &Position,
) -> Result<Option<Position>> {
    if !head.spans(position) {
        return Ok(None);
    }
    // No entry is kept there.
    if position.sequence == head.swept_sequence {
        return Ok(Some(*position));
    }
    let stored = match head.digest.filter(|_| position.sequence == head.sequence) {
        Some(digest) => Some(digest),
        None => stored(snapshot, scope, position.sequence).await?,
    };
    let is_there = stored.is_some() && !position.differs_from(stored);
    Ok(is_there.then_some(Position {
        digest: stored,
        ..*position
    }))
}

async fn stored<R: Right>(
    snapshot: &Snapshot,
    scope: &Scope<R>,
    sequence: i64,
) -> Result<Option<i64>> {
    match feed::find(snapshot, scope, sequence).await? {
        Some(event) => Ok(Some(event.digest())),
        None => event_digest(snapshot, scope, sequence).await,
    }
}
