//! One GraphQL operation on its way through the house: who asks, what it reads, what it may write to.

use std::sync::Arc;

use async_graphql::Context;

use crate::kernel::auth::Viewer;
use crate::kernel::clock::Micros;
use crate::kernel::db::Snapshot;
use crate::kernel::env::Env;
use crate::kernel::error::{Error, Result};
use crate::kernel::progress::Progress;

/// What every resolver finds in its context.
#[derive(Debug)]
pub struct Call {
    /// Who asks.
    pub viewer: Viewer,
    /// What this operation reads.
    pub snapshot: Snapshot,
    /// What a mutation works with.
    pub env: Env,
    /// Whether no selection has to be merged with another of the same field.
    pub is_mergeless: bool,
    /// How far a subscription has come; of no use to others.
    pub progress: Arc<Progress>,
}

impl Call {
    /// The call of a resolver.
    pub fn of<'a>(ctx: &Context<'a>) -> Result<&'a Self> {
        ctx.data::<Arc<Self>>()
            .map(AsRef::as_ref)
            .map_err(|_| Error::Internal("an operation was executed without its call".into()))
    }

    /// The present instant.
    pub fn now(&self) -> Micros {
        self.env.clock.now()
    }
}
