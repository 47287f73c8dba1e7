//! What is needed to download: a ticket in an address, good for minutes, which any server of the database takes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Order;
use crate::kernel::auth::{Purpose, Read, Scope, Viewer};
use crate::kernel::clock::{Micros, SECOND};
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::kernel::limits;
use crate::kernel::server_keys::ServerKey;

const EXPORTS: Purpose = Purpose {
    audience: "sync-health export",
    mutation: "exportSyncErrors",
    limit: limits::EXPORT_TICKET_BYTES,
};

/// An export that was ordered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ordered {
    /// The portal.
    pub hub_id: i64,
    /// What it holds.
    pub order: Order,
    /// What the file is called.
    pub file_name: String,
    /// Until when it can be downloaded.
    pub until: Micros,
}

/// Makes the addresses of exports, and takes their tickets.
pub struct Exports {
    key: ServerKey,
    leeway: Duration,
    public_url: String,
}

impl Exports {
    /// Addresses begin with `public_url`.
    pub fn new(leeway: Duration, public_url: String) -> Self {
        Self {
            key: ServerKey::new("exports"),
            leeway,
            public_url,
        }
    }

    /// Until when an export that is ordered now can be downloaded: not longer than the token is good.
    pub fn until(viewer: &Viewer, now: Micros) -> Micros {
        let lifetime = limits::EXPORT_SECONDS.value as Micros * SECOND;
        let end = now.saturating_add(lifetime);
        end.min(viewer.expires_at().timestamp_micros())
    }

    /// The address of an export; `None` when it would be too long.
    pub async fn url(
        &self,
        env: &Env,
        viewer: &Viewer,
        ordered: Ordered,
    ) -> Result<Option<String>> {
        let key = self.key.secret(env).await?;
        let ticket = EXPORTS.sign(key, (viewer, ordered.hub_id), ordered)?;
        let fits = ticket.len() <= EXPORTS.limit.value;
        Ok(fits.then(|| format!("{}/v1/exports?ticket={ticket}", self.public_url)))
    }

    /// What a ticket is for, and by which authority.
    pub async fn redeem(&self, env: &Env, ticket: &str) -> Result<(Viewer, Scope<Read>, Ordered)> {
        let key = self.key.secret(env).await?;
        let (viewer, ordered) = EXPORTS.verify::<Ordered>(key, self.leeway, ticket)?;
        if env.clock.now() >= ordered.until {
            return Err(EXPORTS.refused("it has expired"));
        }
        let scope = viewer.scope::<Read>(ordered.hub_id)?;
        let scope = scope.ok_or_else(|| EXPORTS.refused("it names no portal"))?;
        Ok((viewer, scope, ordered))
    }
}
