//! Global object identification (Relay): opaque, versioned ids that carry their portal.
//!
//! The bytes are: version, kind, hub id (8), key (0 to 32); shown in base64url. The portal inside lets a request
//! be checked against the token before any table is read.

use async_graphql::ID;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

const VERSION: u8 = 1;
const HEAD: usize = 10;

/// What an id names. The numbers are part of every id that was ever given out: never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A portal.
    Portal = 1,
    /// A card.
    CategorySummary = 2,
    /// A sync error.
    SyncError = 3,
    /// A record that an error affects.
    AffectedRecord = 4,
    /// An entry of the feed.
    SyncErrorEvent = 5,
    /// A change of a setting.
    PortalChange = 6,
    /// The API calls of a portal.
    Quota = 7,
    /// Calls that were set aside.
    ApiCallReservation = 8,
    /// An entry of the feed about the portal as a whole.
    PortalEvent = 9,
    /// A resync batch.
    ResyncBatch = 10,
    /// An error in a resync batch.
    ResyncResult = 11,
    /// A claim of a record to be tried again.
    ResyncItem = 12,
    /// Who is told of a portal's news.
    NotificationSettings = 13,
    /// A message to one recipient.
    NotificationDelivery = 14,
    /// A saved view of affected records.
    RecordView = 15,
}

/// A decoded id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalId {
    /// What it names.
    pub kind: Kind,
    /// The portal it belongs to.
    pub hub_id: i64,
    /// The rest of the primary key.
    pub key: Vec<u8>,
}

impl GlobalId {
    /// Encodes an id from its parts.
    pub fn encode(kind: Kind, hub_id: i64, key: &[u8]) -> ID {
        let mut bytes = Vec::with_capacity(HEAD + key.len());
        bytes.extend([VERSION, kind as u8]);
        bytes.extend(hub_id.to_be_bytes());
        bytes.extend(key);
        ID(BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Decodes an id; `None` for anything that this server did not give out.
    pub fn decode(id: &str) -> Option<Self> {
        if id.len() > 64 {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(id).ok()?;
        let (head, key) = bytes.split_at_checked(HEAD)?;
        let kind = match (head[0], head[1]) {
            (VERSION, 1) => Kind::Portal,
            (VERSION, 2) => Kind::CategorySummary,
            (VERSION, 3) => Kind::SyncError,
            (VERSION, 4) => Kind::AffectedRecord,
            (VERSION, 5) => Kind::SyncErrorEvent,
            (VERSION, 6) => Kind::PortalChange,
            (VERSION, 7) => Kind::Quota,
            (VERSION, 8) => Kind::ApiCallReservation,
            (VERSION, 9) => Kind::PortalEvent,
            (VERSION, 10) => Kind::ResyncBatch,
            (VERSION, 11) => Kind::ResyncResult,
            (VERSION, 12) => Kind::ResyncItem,
            (VERSION, 13) => Kind::NotificationSettings,
            (VERSION, 14) => Kind::NotificationDelivery,
            (VERSION, 15) => Kind::RecordView,
            _ => return None,
        };
        let hub_id = i64::from_be_bytes(head[2..].try_into().ok()?);
        Some(Self {
            kind,
            hub_id,
            key: key.to_vec(),
        })
    }

    /// The key as one 16-byte key.
    pub fn uuid(&self) -> Option<Uuid> {
        Uuid::from_slice(&self.key).ok()
    }

    /// The key as two 16-byte keys.
    pub fn two_uuids(&self) -> Option<(Uuid, Uuid)> {
        let (a, b) = self.key.split_at_checked(16)?;
        Some((Uuid::from_slice(a).ok()?, Uuid::from_slice(b).ok()?))
    }

    /// The key as one 16-byte key and a number of 4 bytes.
    pub fn uuid_and_number(&self) -> Option<(Uuid, i32)> {
        let (id, number) = self.key.split_at_checked(16)?;
        let number = i32::from_be_bytes(number.try_into().ok()?);
        Some((Uuid::from_slice(id).ok()?, number))
    }
}
