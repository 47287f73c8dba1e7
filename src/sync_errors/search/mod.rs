//! Errors by their texts, in large portals.
//!
//! A list stands in the order of an index. Who walks along it soon has a page of what many errors say, and never one of
//! what few say: those are found by an index of all texts, which is asked where the walk has been long enough. That one
//! lags behind ([`index`]), so errors that changed since are looked at as well; and it only says where to look: the
//! condition on the text itself holds on either way.

pub mod index;
mod part;

use sea_orm::sea_query::{
    BinOper, Expr, ExprTrait, JoinType, LikeExpr, Order, Query, SelectStatement, SimpleExpr,
    UnionType,
};
use sea_orm::{DbBackend, FromQueryResult};

use crate::kernel::auth::{Right, Scope};
use crate::kernel::call::Call;
use crate::kernel::columns::columns;
use crate::kernel::error::Result;
use crate::kernel::text::{fold, like_pattern};
use crate::sync_errors::api::SyncErrorFilter;
use crate::sync_errors::tables::sync_errors;
use index::numbers;

/// Entries that are walked along before the index of texts is asked: where one of 160 says it, a page of 50 is full.
pub(super) const WALKED: u64 = 8_000;
/// Texts by which is judged what is rare.
const SAMPLE: u64 = 300;
/// The shortest text that an index of three characters in a row finds.
const SHORTEST: usize = 3;

/// A text that is long enough to be looked up.
pub(super) struct Search {
    backend: DbBackend,
    hub_id: i64,
    /// What is looked up of it: an index is the faster the fewer and rarer its entries are.
    part: String,
}

#[derive(FromQueryResult)]
struct Text {
    search_text: String,
}

impl Search {
    /// What a filter looks for; `None` where nothing is to be looked up.
    pub(super) async fn of<R: Right>(
        call: &Call,
        scope: &Scope<R>,
        filter: &SyncErrorFilter,
    ) -> Result<Option<Self>> {
        let text = fold(filter.search.as_deref().unwrap_or_default());
        // A record has few errors; and no text has a NUL.
        if filter.affecting.is_some() || text.chars().count() < SHORTEST || text.contains('\0') {
            return Ok(None);
        }
        let texts = match part::is_short(&text) {
            true => Vec::new(),
            false => sample(call, scope.hub_id()).await?,
        };
        let texts: Vec<&str> = texts.iter().map(|row| row.search_text.as_str()).collect();
        Ok(Some(Self {
            backend: call.snapshot.backend(),
            hub_id: scope.hub_id(),
            part: part::rarest(&text, &texts).to_owned(),
        }))
    }

    /// The rows of errors that may say it, each once; no column is selected yet.
    pub(super) fn errors(&self) -> SelectStatement {
        use sync_errors::{Column, Entity};
        let is_found = || Expr::col(Column::Id).eq(Expr::col(("found", "error_id")));
        let mut select = Query::select();
        select.from_subquery(self.found(), "found");
        if self.backend != DbBackend::Postgres {
            return select.cross_join(Entity).and_where(is_found()).to_owned();
        }
        // Each by its key: a join would be one with all errors of the portal, where the planner expects many to say it.
        let row = Query::select()
            .columns(columns::<Entity>())
            .from(Entity)
            .and_where(Expr::col(Column::HubId).eq(self.hub_id))
            .and_where(is_found())
            .offset(0)
            .to_owned();
        let on = Expr::val(true);
        select.join_lateral(JoinType::InnerJoin, row, "sync_errors", on);
        select
    }

    /// Their ids.
    fn found(&self) -> SelectStatement {
        let mut known = match self.backend {
            DbBackend::Postgres => self.known_to_postgres(),
            _ => self.known_to_sqlite(),
        };
        let hub_id = || Expr::col(("search_changes", "hub_id")).eq(self.hub_id);
        let changed = Query::select()
            .expr(Expr::val(1))
            .from("search_changes")
            .and_where(hub_id())
            .and_where(of_same_error())
            .to_owned();
        let all_changed = Query::select()
            .column(("search_changes", "error_id"))
            .from("search_changes")
            .and_where(hub_id())
            .to_owned();
        known
            .column(("search_texts", "error_id"))
            .and_where(Expr::col(("search_texts", "hub_id")).eq(self.hub_id))
            .and_where(Expr::exists(changed).not())
            .union(UnionType::All, all_changed);
        known
    }

    fn known_to_postgres(&self) -> SelectStatement {
        let holds = LikeExpr::new(like_pattern(&self.part)).escape('\\');
        Query::select()
            .from("search_texts")
            .and_where(Expr::col(("search_texts", "search_text")).like(holds))
            .to_owned()
    }

    /// The index comes first, whatever SQLite thinks of it.
    fn known_to_sqlite(&self) -> SelectStatement {
        let number = || Expr::col(("search_index", "rowid"));
        let numbers = numbers(self.hub_id);
        Query::select()
            .from("search_index")
            .cross_join("search_texts")
            .and_where(Expr::col("search_index").binary(
                BinOper::Custom("MATCH"),
                Expr::val(part::all_of(&self.part)),
            ))
            .and_where(number().between(*numbers.start(), *numbers.end()))
            .and_where(Expr::col(("search_texts", "number")).eq(number()))
            .to_owned()
    }
}

fn of_same_error() -> SimpleExpr {
    Expr::col(("search_changes", "error_id")).eq(Expr::col(("search_texts", "error_id")))
}

/// Some texts of a portal.
async fn sample(call: &Call, hub_id: i64) -> Result<Vec<Text>> {
    let mut select = Query::select();
    select
        .column("search_text")
        .from("search_texts")
        .and_where(Expr::col("hub_id").eq(hub_id))
        // In the order of their key: else PostgreSQL gathers all of the portal from the index of texts.
        .order_by("error_id", Order::Asc)
        .limit(SAMPLE);
    call.snapshot.all(&select).await
}
