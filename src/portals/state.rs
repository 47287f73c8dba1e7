//! Whether a portal syncs: as engines report it, as failures say, and again when something syncs. Each turn is an entry
//! of the feed.

use async_graphql::Enum;
use sea_orm::{DeriveActiveEnum, EnumIter};

use crate::kernel::bulk;
use crate::kernel::clock::Micros;
use crate::kernel::error::Result;
use crate::portals::tables::{portal_events, portals};
use crate::portals::{Change, SuspensionReason, SyncState, store};

/// What happened to a portal as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum PortalEventKind {
    /// 75 % of the allocation are used, not all of it: retries wait.
    #[sea_orm(num_value = 0)]
    RetriesPaused,
    /// No API calls are left: of the allocation, or of the org.
    #[sea_orm(num_value = 1)]
    Exhausted,
    /// Less than 75 % of the allocation are used again.
    #[sea_orm(num_value = 2)]
    Recovered,
    /// It does not sync any more.
    #[sea_orm(num_value = 3)]
    Suspended,
    /// It syncs again.
    #[sea_orm(num_value = 4)]
    Resumed,
}

impl SuspensionReason {
    /// Why nothing syncs, where a code of Salesforce says that
    /// (<https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_calls_concepts_core_data_objects.htm>).
    pub fn of_code(code: &str) -> Option<Self> {
        match code {
            "REQUEST_LIMIT_EXCEEDED" => Some(Self::OrgLimitReached),
            "API_CURRENTLY_DISABLED" | "API_DISABLED_FOR_ORG" => Some(Self::ApiDisabled),
            _ => None,
        }
    }
}

impl Change {
    /// Adds an entry about the portal as a whole to the feed.
    pub async fn tell(&mut self, kind: PortalEventKind) -> Result<()> {
        let event = portal_events::Model {
            hub_id: self.hub_id(),
            sequence: self.sequence() + 1,
            kind,
            occurred_at: self.now,
        };
        self.feed_grows(event.sequence, event.digest());
        bulk::insert::<portal_events::Entity>(self.transaction(), &[event], "").await
    }

    /// A failure at an instant says that nothing syncs. What was known later stays; one without an instant is the latest.
    pub async fn suspend(&mut self, reason: SuspensionReason, at: Option<Micros>) -> Result<()> {
        self.turn(at, |portal, at| {
            let since = portal.suspended_since.unwrap_or(at);
            portal.sync_state = SyncState::Suspended;
            portal.suspended_since = Some(since);
            portal.suspension_reason = Some(reason);
            true
        })
        .await
    }

    /// A success at an instant says that a suspended portal syncs. What was known later stays; one without an instant is
    /// the latest.
    pub async fn resume(&mut self, at: Option<Micros>) -> Result<()> {
        self.turn(at, |portal, _| {
            let was_suspended = portal.sync_state == SyncState::Suspended;
            portal.sync_state = SyncState::Active;
            portal.suspended_since = None;
            portal.suspension_reason = None;
            was_suspended
        })
        .await
    }

    /// Applies what is known as of an instant; it answers whether that says anything.
    async fn turn(
        &mut self,
        at: Option<Micros>,
        apply: impl Fn(&mut portals::Model, Micros) -> bool,
    ) -> Result<()> {
        let Some(old) = store::settings(self.transaction(), self.hub_id()).await? else {
            return Ok(());
        };
        let known = old
            .state_reported_at
            .filter(|known| *known <= self.latest());
        if at.is_some_and(|at| known.is_some_and(|known| at <= known)) {
            return Ok(());
        }
        let at = at.unwrap_or(self.now.max(known.unwrap_or(self.now)));
        let mut new = old.clone();
        if !apply(&mut new, at) {
            return Ok(());
        }
        new.state_reported_at = Some(at);
        self.tell_turn(&old, &new).await?;
        store::write_settings(self.transaction(), new).await
    }

    /// Tells whether the sync state turned.
    pub(super) async fn tell_turn(
        &mut self,
        old: &portals::Model,
        new: &portals::Model,
    ) -> Result<()> {
        match (old.sync_state, new.sync_state) {
            (SyncState::Active, SyncState::Suspended) => {
                self.tell(PortalEventKind::Suspended).await
            }
            (SyncState::Suspended, SyncState::Active) => self.tell(PortalEventKind::Resumed).await,
            _ => Ok(()),
        }
    }
}
