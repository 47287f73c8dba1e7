//! Who changed which setting.

use std::borrow::Cow;

use async_graphql::{Context, ID, Object, OutputType};

use crate::kernel::auth::{Read, Scope};
use crate::kernel::call::Call;
use crate::kernel::connection::{Connection, wants_total};
use crate::kernel::error::Result;
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::page::{Cursor, Page, TotalCount};
use crate::kernel::plain::Plain;
use crate::kernel::scalars::Instant;
use crate::portals::store;
use crate::portals::tables::portal_changes;

/// The order of their cursors: part of every cursor that was given out.
const CHANGES: u8 = 1;

/// A page of the changes of settings, newest first.
pub(super) async fn list(
    ctx: &Context<'_>,
    scope: &Scope<Read>,
    first: Option<i32>,
    after: Option<String>,
) -> Result<Connection<PortalChange>> {
    let call = Call::of(ctx)?;
    let page = Page::forwards(first, after.as_deref(), CHANGES)?;
    let rows = store::changes(call, scope, &page)
        .await?
        .into_iter()
        .map(PortalChange)
        .collect();
    let look = ctx.look_ahead();
    let total = if wants_total(&look) {
        store::count_changes(call, scope).await?
    } else {
        TotalCount::exact(0)
    };
    let cursor = |change: &PortalChange| {
        Cursor {
            order: CHANGES,
            value: 0,
            id: change.0.id,
        }
        .encode()
    };
    Ok(Connection::new(&page, rows, cursor, total))
}

/// A change of one setting.
pub struct PortalChange(portal_changes::Model);

impl PortalChange {
    /// The change of a global id; `None` when it does not exist.
    pub async fn load(call: &Call, scope: &Scope<Read>, id: &GlobalId) -> Result<Option<Self>> {
        let Some(id) = id.uuid() else { return Ok(None) };
        Ok(store::change(call, scope, id).await?.map(Self))
    }
}

/// A change of one setting.
#[Object]
impl PortalChange {
    /// Global id.
    pub async fn id(&self) -> ID {
        GlobalId::encode(Kind::PortalChange, self.0.hub_id, self.0.id.as_bytes())
    }

    /// When.
    async fn at(&self) -> Instant {
        Instant(self.0.changed_at)
    }

    /// By whom: the subject of the token.
    async fn by(&self) -> &str {
        &self.0.changed_by
    }

    /// The setting, named as the field of Portal; one of an object below it with a dot.
    async fn setting(&self) -> &str {
        &self.0.setting
    }

    /// The value before; null when there was none.
    async fn from(&self) -> Option<&str> {
        self.0.old_value.as_deref()
    }

    /// The value since; null when it was removed.
    async fn to(&self) -> Option<&str> {
        self.0.new_value.as_deref()
    }
}

/// Lists of it are short, or rare.
impl Plain for PortalChange {
    fn name() -> Cow<'static, str> {
        <Self as OutputType>::type_name()
    }
}
