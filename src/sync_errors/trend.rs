//! How the cards developed, in steps of the clock: minutes to hours by UTC, days by the portal's time zone.

use std::collections::HashMap;

use chrono_tz::Tz;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement};

use crate::classify::SyncErrorCategory;
use crate::kernel::call::Call;
use crate::kernel::clock::{MINUTE, Micros};
use crate::kernel::error::Result;
use crate::kernel::scalars::{Instant, count};
use crate::kernel::steps::{self, Span};
use crate::portals::Change;
use crate::portals::api::Portal;
use crate::sync_errors::api::TrendPoint;

/// What the rows of one step of one card add up to.
#[derive(Debug, FromQueryResult)]
struct Step {
    step: i64,
    category: SyncErrorCategory,
    opened_count: i64,
    resolved_count: i64,
    open_error_count: i32,
    affected_record_count: i32,
}

/// The points of all steps and categories, oldest first, in the order of the cards within a step.
pub async fn points(
    call: &Call,
    portal: &Portal,
    span: Span,
    categories: Vec<SyncErrorCategory>,
) -> Result<Vec<TrendPoint>> {
    let zone: Tz = portal.row.portal.time_zone.parse().unwrap_or(Tz::UTC);
    let boundaries = steps::boundaries(&span, zone)?;
    let steps: Vec<Step> = call
        .snapshot
        .all_raw(statement(
            call.snapshot.backend(),
            portal.scope.hub_id(),
            &boundaries,
        ))
        .await?;
    let mut by_place: HashMap<(i64, SyncErrorCategory), Step> = steps
        .into_iter()
        .map(|step| ((step.step, step.category), step))
        .collect();
    let wanted: Vec<_> = SyncErrorCategory::all()
        .filter(|category| categories.is_empty() || categories.contains(category))
        .collect();
    // Step -1 is all that came before: what was open when the span began.
    let mut levels: HashMap<SyncErrorCategory, (i32, i32)> = HashMap::new();
    for category in &wanted {
        if let Some(step) = by_place.remove(&(-1, *category)) {
            levels.insert(
                *category,
                (step.open_error_count, step.affected_record_count),
            );
        }
    }
    let mut points = Vec::with_capacity(boundaries.len() * wanted.len());
    for (number, at) in boundaries.iter().enumerate().take(boundaries.len() - 1) {
        for category in &wanted {
            let step = by_place.remove(&(number as i64, *category));
            if let Some(step) = &step {
                levels.insert(
                    *category,
                    (step.open_error_count, step.affected_record_count),
                );
            }
            let (open_error_count, affected_record_count) =
                levels.get(category).copied().unwrap_or_default();
            points.push(TrendPoint {
                at: Instant(*at),
                category: *category,
                opened_count: step.as_ref().map_or(0, |step| count(step.opened_count)),
                resolved_count: step.as_ref().map_or(0, |step| count(step.resolved_count)),
                open_error_count,
                affected_record_count,
            });
        }
    }
    Ok(points)
}

/// Sums the minutes of each step and takes the levels of its last minute; the step before the first reaches back to the
/// beginning. The minutes are read once, by the primary key.
fn statement(backend: DbBackend, hub_id: i64, boundaries: &[Micros]) -> Statement {
    let (from, until) = (
        boundaries.first().copied().unwrap_or_default(),
        boundaries.last().copied().unwrap_or_default(),
    );
    let (steps, mut values) = steps::rows(backend, boundaries);
    let base = values.len();
    let mark = |position: usize| format!("${}", base + position);
    values.extend([hub_id, from, until].map(Into::into));
    let sql = format!(
        "WITH steps (step, start) AS ({steps}), \
         ends AS (SELECT step, start, LEAD(start, 1, {until}) OVER (ORDER BY step) AS next FROM steps), \
         inside AS (SELECT ends.step, points.*, ROW_NUMBER() OVER (PARTITION BY points.category, ends.step ORDER BY points.minute DESC) AS latest \
            FROM trend_points AS points JOIN ends ON points.minute >= ends.start AND points.minute < ends.next \
            WHERE points.hub_id = {hub} AND points.category IN (0, 1, 2, 3, 4, 5, 6, 7) AND points.minute >= {since} AND points.minute < {end}), \
         before AS (SELECT points.* FROM category_counters AS cards CROSS JOIN trend_points AS points \
            WHERE cards.hub_id = {hub} AND points.hub_id = {hub} AND points.category = cards.category AND points.minute = \
            (SELECT MAX(earlier.minute) FROM trend_points AS earlier WHERE earlier.hub_id = {hub} AND earlier.category = cards.category \
            AND earlier.minute < {since})) \
         SELECT CAST(step AS BIGINT) AS step, category, CAST(SUM(opened_count) AS BIGINT) AS opened_count, \
            CAST(SUM(resolved_count) AS BIGINT) AS resolved_count, \
            MAX(CASE WHEN latest = 1 THEN open_error_count END) AS open_error_count, \
            MAX(CASE WHEN latest = 1 THEN affected_record_count END) AS affected_record_count \
         FROM inside GROUP BY step, category \
         UNION ALL SELECT -1, category, 0, 0, open_error_count, affected_record_count FROM before",
        hub = mark(1),
        since = mark(2),
        end = mark(3),
    );
    Statement::from_sql_and_values(backend, sql, values)
}

/// What a clock that was wrong told of minutes that lie ahead, is told of the present one.
pub(super) async fn put_right(change: &Change) -> Result<()> {
    const OF_NOW: &str = "INSERT INTO trend_points (hub_id, category, minute, opened_count, resolved_count, open_error_count, affected_record_count) \
        SELECT c.hub_id, c.category, CAST($2 AS BIGINT), CAST(SUM(t.opened_count) AS INTEGER), CAST(SUM(t.resolved_count) AS INTEGER), \
        MIN(c.open_error_count), MIN(c.affected_record_count) FROM trend_points AS t \
        JOIN category_counters AS c ON c.hub_id = t.hub_id AND c.category = t.category \
        WHERE t.hub_id = $1 AND t.minute > $2 GROUP BY c.hub_id, c.category \
        ON CONFLICT (hub_id, category, minute) DO UPDATE SET \
        opened_count = trend_points.opened_count + excluded.opened_count, \
        resolved_count = trend_points.resolved_count + excluded.resolved_count, \
        open_error_count = excluded.open_error_count, affected_record_count = excluded.affected_record_count";
    const AHEAD: &str = "DELETE FROM trend_points WHERE hub_id = $1 AND minute > $2";
    let transaction = change.transaction();
    let minute = change.now - change.now.rem_euclid(MINUTE);
    for sql in [OF_NOW, AHEAD] {
        let values = [change.hub_id().into(), minute.into()];
        let backend = transaction.get_database_backend();
        let statement = Statement::from_sql_and_values(backend, sql, values);
        transaction.execute_raw(statement).await?;
    }
    Ok(())
}
