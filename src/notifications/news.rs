//! What is new between two positions of a portal's feed. One statement for each kind of news, whatever the number of
//! events: what an error went through in the window is one line, and the ends of the window decide what is told of it.

use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value};
use uuid::Uuid;

use crate::classify::SyncErrorCategory;
use crate::kernel::clock::Micros;
use crate::kernel::db::{Snapshot, Transaction};
use crate::kernel::error::Result;
use crate::kernel::limits;
use crate::notifications::tables::notification_settings;
use crate::portals::PortalEventKind;

/// A part of a portal's feed, and whose causes in it are news.
pub(super) struct Window {
    hub_id: i64,
    /// The position before it.
    after: i64,
    /// Its last position.
    through: i64,
    categories: Vec<SyncErrorCategory>,
    least_records: i32,
}

/// An error that is news.
#[derive(Debug, FromQueryResult)]
pub(super) struct NewError {
    pub(super) id: Uuid,
    /// Whether it was resolved before and is open again.
    pub(super) is_reopened: bool,
    /// All that are news, of which this is one.
    pub(super) total: i64,
}

#[derive(FromQueryResult)]
struct At {
    occurred_at: i64,
}

/// What happened to the portal as a whole.
#[derive(Debug, FromQueryResult)]
pub(super) struct Turn {
    pub(super) kind: PortalEventKind,
    pub(super) occurred_at: i64,
}

/// Turns of the portal that a message tells.
const TOLD_TURNS: u32 = 10;

/// What errors went through in the window, a line each. Kinds of events: 0 OPENED, 1 REOPENED, 2 UPDATED, 4 RESOLVED.
const TURNS: &str = "WITH turns AS (SELECT v.error_id, MAX(v.sequence) AS last_at, MAX(v.occurred_at) AS seen_at, \
    COALESCE(MIN(CASE WHEN v.kind = 4 THEN v.sequence END), 0) AS first_resolved, \
    COALESCE(MAX(CASE WHEN v.kind = 4 THEN v.sequence END), 0) AS resolved, \
    MIN(CASE WHEN v.kind < 2 THEN v.sequence END) AS first_opened, \
    COALESCE(MAX(CASE WHEN v.kind = 1 THEN v.sequence END), 0) AS reopened, \
    COALESCE(MAX(CASE WHEN {reaches} THEN v.sequence END), 0) AS reached \
    FROM sync_error_events AS v WHERE v.hub_id = $1 AND v.sequence > $2 AND v.sequence <= $3 AND {matters} GROUP BY v.error_id)";
/// The errors of the lines, and when they were told. CROSS keeps SQLite from reading all errors of the portal.
const ERRORS: &str = "FROM turns AS t CROSS JOIN sync_errors AS e \
    LEFT JOIN notification_told AS n ON n.hub_id = $1 AND n.error_id = t.error_id WHERE e.hub_id = $1 AND e.id = t.error_id";
/// Large enough since it was opened, and not resolved since.
const IS_NEW: &str = "t.reached > t.resolved";
/// Open at the beginning, resolved at the end.
const IS_RESOLVED: &str = "t.resolved > 0 AND t.resolved = t.last_at AND COALESCE(t.first_opened, t.last_at) >= t.first_resolved";

impl Window {
    /// From what was told last to a position.
    pub(super) fn of(settings: &notification_settings::Model, through: i64) -> Self {
        Self {
            hub_id: settings.hub_id,
            after: settings.told_sequence,
            through,
            categories: settings.categories(),
            least_records: settings.min_affected_record_count,
        }
    }

    /// The part behind a position.
    pub(super) fn behind(self, position: i64) -> Self {
        Self {
            after: self.after.max(position),
            ..self
        }
    }

    /// When the first news of the window happened.
    pub(super) async fn first_at(&self, snapshot: &Snapshot) -> Result<Option<Micros>> {
        let errors = format!(
            "SELECT v.occurred_at FROM sync_error_events AS v CROSS JOIN sync_errors AS e \
             LEFT JOIN notification_told AS n ON n.hub_id = $1 AND n.error_id = v.error_id \
             WHERE e.hub_id = $1 AND e.id = v.error_id AND v.hub_id = $1 AND v.sequence > $2 AND v.sequence <= $3 AND {} AND {} {} ORDER BY v.sequence LIMIT 1",
            self.reaches(),
            self.of_categories(),
            self.is_untold(),
        );
        let portal = "SELECT occurred_at FROM portal_events WHERE hub_id = $1 AND sequence > $2 AND sequence <= $3 ORDER BY sequence LIMIT 1";
        let mut first: Vec<At> = snapshot.all_raw(self.statement(snapshot, &errors)).await?;
        first.extend(
            snapshot
                .all_raw::<At>(self.statement(snapshot, portal))
                .await?,
        );
        Ok(first.into_iter().map(|at| at.occurred_at).min())
    }

    /// The largest causes that are new or open again, and the number of all.
    pub(super) async fn new_errors(&self, snapshot: &Snapshot) -> Result<Vec<NewError>> {
        let sql = format!("{} AND {} {}", self.lines(), self.is_new(), largest());
        snapshot.all_raw(self.statement(snapshot, &sql)).await
    }

    /// The causes that are resolved, and the number of all.
    pub(super) async fn resolved_errors(&self, snapshot: &Snapshot) -> Result<Vec<NewError>> {
        // What was never told needs no end.
        let is_known = match self.least_records {
            ..=1 => "",
            _ => "AND n.told_at >= COALESCE(e.opened_at, 0)",
        };
        let sql = format!(
            "{} AND {IS_RESOLVED} AND {} {is_known} {}",
            self.lines(),
            self.of_categories(),
            largest()
        );
        snapshot.all_raw(self.statement(snapshot, &sql)).await
    }

    /// The last turns of the API calls and of the sync state, oldest first.
    pub(super) async fn turns(&self, snapshot: &Snapshot) -> Result<Vec<Turn>> {
        let sql = format!(
            "SELECT kind, occurred_at FROM portal_events WHERE hub_id = $1 AND sequence > $2 AND sequence <= $3 \
             ORDER BY sequence DESC LIMIT {TOLD_TURNS}"
        );
        let mut turns: Vec<Turn> = snapshot.all_raw(self.statement(snapshot, &sql)).await?;
        turns.reverse();
        Ok(turns)
    }

    /// Remembers the causes that are new as told.
    pub(super) async fn remember(&self, transaction: &Transaction) -> Result<()> {
        let sql = format!(
            "{} INSERT INTO notification_told (hub_id, error_id, told_at) SELECT $1, t.error_id, t.seen_at {ERRORS} AND {} {AGAIN}",
            self.turns_sql(),
            self.is_new()
        );
        let backend = transaction.get_database_backend();
        let statement = Statement::from_sql_and_values(backend, sql, self.values());
        transaction.execute_raw(statement).await?;
        Ok(())
    }

    fn turns_sql(&self) -> String {
        let matters = match self.least_records {
            ..=1 => "v.kind IN (0, 1, 4)",
            _ => "v.kind IN (0, 1, 2, 4)",
        };
        TURNS
            .replace("{reaches}", &self.reaches())
            .replace("{matters}", matters)
    }

    fn lines(&self) -> String {
        format!(
            "{} SELECT e.id, t.reopened > 0 AS is_reopened, COUNT(*) OVER () AS total {ERRORS}",
            self.turns_sql()
        )
    }

    /// The events that make an error worth telling: each opening, or those that find it large enough.
    fn reaches(&self) -> String {
        match self.least_records {
            ..=1 => "v.kind < 2".to_owned(),
            least => format!("(v.kind < 3 AND v.affected_record_count >= {least})"),
        }
    }

    fn is_new(&self) -> String {
        format!("{IS_NEW} AND {} {}", self.of_categories(), self.is_untold())
    }

    /// With a least size an error may have been told since it opened.
    fn is_untold(&self) -> &'static str {
        match self.least_records {
            ..=1 => "",
            _ => "AND (n.told_at IS NULL OR n.told_at < e.opened_at)",
        }
    }

    fn of_categories(&self) -> String {
        let numbers = self
            .categories
            .iter()
            .map(|category| (*category as i16).to_string());
        format!("e.category IN ({})", numbers.collect::<Vec<_>>().join(", "))
    }

    fn values(&self) -> [Value; 3] {
        [self.hub_id.into(), self.after.into(), self.through.into()]
    }

    fn statement(&self, snapshot: &Snapshot, sql: &str) -> Statement {
        Statement::from_sql_and_values(snapshot.backend(), sql, self.values())
    }
}

const AGAIN: &str = "ON CONFLICT (hub_id, error_id) DO UPDATE SET told_at = excluded.told_at";

fn largest() -> String {
    format!(
        "ORDER BY e.affected_record_count DESC, e.id LIMIT {}",
        limits::NOTIFIED_ERRORS.value
    )
}

/// What is open and large enough when telling begins, or when other causes are told from now on, is not news later; what
/// has opened since news were told last still is.
pub(super) async fn begin(
    transaction: &Transaction,
    settings: &notification_settings::Model,
    now: Micros,
) -> Result<()> {
    let sql = format!(
        "INSERT INTO notification_told (hub_id, error_id, told_at) SELECT hub_id, id, $2 FROM sync_errors \
         WHERE hub_id = $1 AND status < 2 AND affected_record_count >= $3 AND id NOT IN \
         (SELECT error_id FROM sync_error_events WHERE hub_id = $1 AND sequence > $4 AND kind < 2) {AGAIN}"
    );
    let values = [
        settings.hub_id.into(),
        now.into(),
        settings.min_affected_record_count.into(),
        settings.told_sequence.into(),
    ];
    let backend = transaction.get_database_backend();
    let statement = Statement::from_sql_and_values(backend, sql, values);
    transaction.execute_raw(statement).await?;
    Ok(())
}
