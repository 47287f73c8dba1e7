//! Use of calls in steps of the clock.

use chrono_tz::Tz;
use sea_orm::{DbBackend, FromQueryResult, Statement};

use crate::kernel::clock::Micros;
use crate::kernel::db::Snapshot;
use crate::kernel::error::Result;
use crate::kernel::scalars::{Instant, count};
use crate::kernel::steps::{self, Span};
use crate::quota::api::QuotaPoint;

/// What the minutes of one step add up to; step -1 is all that came before.
#[derive(FromQueryResult)]
struct Step {
    step: i64,
    used: i64,
    salesforce_limit: Option<i32>,
    allocated: Option<i32>,
}

/// The points of all steps, oldest first; a step without calls keeps the limits of the one before.
pub(super) async fn points(
    snapshot: &Snapshot,
    (hub_id, time_zone): (i64, &str),
    span: Span,
) -> Result<Vec<QuotaPoint>> {
    let zone: Tz = time_zone.parse().unwrap_or(Tz::UTC);
    let boundaries = steps::boundaries(&span, zone)?;
    let statement = statement(snapshot.backend(), hub_id, &boundaries);
    let mut steps: Vec<Step> = snapshot.all_raw(statement).await?;
    steps.sort_unstable_by_key(|step| step.step);
    let mut steps = steps.into_iter().peekable();
    let before = steps.next_if(|step| step.step < 0);
    let mut limits = before.map_or((None, None), |step| (step.salesforce_limit, step.allocated));
    let mut points = Vec::with_capacity(boundaries.len());
    for (number, at) in boundaries.iter().enumerate().take(boundaries.len() - 1) {
        let step = steps.next_if(|step| step.step == number as i64);
        if let Some(step) = &step {
            limits = (step.salesforce_limit, step.allocated);
        }
        points.push(QuotaPoint {
            at: Instant(*at),
            used_count: step.map_or(0, |step| count(step.used)),
            limited_by_salesforce: limits.0,
            allocated_to_hubspot: limits.1,
        });
    }
    Ok(points)
}

/// Sums the minutes of each step and takes the limits of its last one; they are read once, by the primary key.
fn statement(backend: DbBackend, hub_id: i64, boundaries: &[Micros]) -> Statement {
    let (from, until) = (
        boundaries.first().copied().unwrap_or_default(),
        boundaries.last().copied().unwrap_or_default(),
    );
    let (steps, mut values) = steps::rows(backend, boundaries);
    let base = values.len();
    let mark = |position: usize| match backend {
        DbBackend::Postgres => format!("${}", base + position),
        _ => "?".to_owned(),
    };
    values.extend([hub_id, from, until, hub_id, from].map(Into::into));
    let sql = format!(
        "WITH steps (step, start) AS ({steps}), \
         ends AS (SELECT step, start, LEAD(start, 1, {until}) OVER (ORDER BY step) AS next FROM steps), \
         inside AS (SELECT ends.step, m.used, m.salesforce_limit, m.allocated, \
            ROW_NUMBER() OVER (PARTITION BY ends.step ORDER BY m.minute DESC) AS latest \
            FROM api_usage_minutes AS m JOIN ends ON m.minute >= ends.start AND m.minute < ends.next \
            WHERE m.hub_id = {hub} AND m.minute >= {since} AND m.minute < {end}), \
         before AS (SELECT salesforce_limit, allocated FROM api_usage_minutes \
            WHERE hub_id = {hub_before} AND minute < {since_before} ORDER BY minute DESC LIMIT 1) \
         SELECT CAST(step AS BIGINT) AS step, CAST(SUM(used) AS BIGINT) AS used, \
            MAX(CASE WHEN latest = 1 THEN salesforce_limit END) AS salesforce_limit, \
            MAX(CASE WHEN latest = 1 THEN allocated END) AS allocated FROM inside GROUP BY step \
         UNION ALL SELECT -1, 0, salesforce_limit, allocated FROM before",
        hub = mark(1),
        since = mark(2),
        end = mark(3),
        hub_before = mark(4),
        since_before = mark(5),
    );
    Statement::from_sql_and_values(backend, sql, values)
}
