//! Where a portal's feed stands, and what a position of it is worth.

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{DbErr, FromQueryResult, QueryResult};

use crate::kernel::auth::{Right, Scope};
use crate::kernel::columns::columns;
use crate::kernel::db::Snapshot;
use crate::kernel::error::{Error, Result};
use crate::kernel::progress::Position;
use crate::portals::tables::{feed_heads, portal_events};

/// Where a feed stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The feed's name.
    pub epoch: i64,
    /// The feed's last sequence number.
    pub sequence: i64,
    /// The last one that is not kept any more.
    pub swept_sequence: i64,
    /// Of the last entry; absent in an empty feed, and where an older version wrote that entry.
    pub digest: Option<i64>,
}

/// The columns of a [`Head`].
pub(super) const HEAD: [feed_heads::Column; 5] = [
    feed_heads::Column::Epoch,
    feed_heads::Column::Sequence,
    feed_heads::Column::SweptSequence,
    feed_heads::Column::Digest,
    feed_heads::Column::DigestSequence,
];

impl FromQueryResult for Head {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        let number = |column: &str| row.try_get::<i64>(prefix, column);
        let sequence = number("sequence")?;
        let digest = Some(number("digest")?);
        let is_of_last = sequence > 0 && number("digest_sequence")? == sequence;
        Ok(Self {
            epoch: number("epoch")?,
            sequence,
            swept_sequence: number("swept_sequence")?,
            digest: digest.filter(|_| is_of_last),
        })
    }
}

impl Head {
    /// The end of the feed.
    pub fn position(&self) -> Position {
        Position {
            epoch: self.epoch,
            sequence: self.sequence,
            digest: self.digest,
        }
    }

    /// Whether a position lies in what is kept of this feed. Which history it is of, the entry there says.
    pub fn spans(&self, position: &Position) -> bool {
        position.epoch == self.epoch
            && (self.swept_sequence..=self.sequence).contains(&position.sequence)
            && !(position.sequence == self.sequence && position.differs_from(self.digest))
    }
}

/// The position of a client's cursor.
pub fn decoded(cursor: &str) -> Result<Position> {
    let message =
        "after is not a cursor of a feed. Use Portal.eventCursor or the cursor of an event.";
    Position::decode(cursor).ok_or_else(|| Error::BadUserInput(message.into()))
}

/// The feed does not go on behind a position.
pub fn cursor_expired() -> Error {
    let message = "The feed does not hold this position (any more). Query the present state and go on from its eventCursor.";
    Error::CursorExpired(message.into())
}

/// What stands for the entry about the portal as a whole at a place of the feed, if it is one.
pub async fn event_digest<R: Right>(
    snapshot: &Snapshot,
    scope: &Scope<R>,
    sequence: i64,
) -> Result<Option<i64>> {
    use portal_events::Column;
    let mut select = Query::select();
    select
        .columns(columns::<portal_events::Entity>())
        .from(portal_events::Entity)
        .and_where(Expr::col(Column::HubId).eq(scope.hub_id()))
        .and_where(Expr::col(Column::Sequence).eq(sequence));
    let event: Option<portal_events::Model> = snapshot.one(&select).await?;
    Ok(event.map(|event| event.digest()))
}
