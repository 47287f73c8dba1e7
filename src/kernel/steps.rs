//! Steps of the clock, for plots: minutes to hours by UTC, days by a time zone.

use async_graphql::Enum;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use sea_orm::DbBackend;
use sea_orm::sea_query::{ArrayType, Value};

use crate::kernel::clock::{MINUTE, Micros};
use crate::kernel::error::{Error, Result};
use crate::kernel::limits;

/// The length of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum Interval {
    /// 60 seconds.
    Minute,
    /// 300 seconds.
    FiveMinutes,
    /// 3,600 seconds.
    Hour,
    /// From midnight to midnight in the portal's time zone: 23 to 25 hours where the clock changes.
    Day,
}

/// What is asked for.
pub struct Span {
    /// From when on.
    pub since: Micros,
    /// Until when, exclusive.
    pub until: Micros,
    /// In which steps.
    pub interval: Interval,
}

/// The beginnings of all steps that hold a part of the span, and the end of the last.
pub fn boundaries(span: &Span, zone: Tz) -> Result<Vec<Micros>> {
    if span.since >= span.until {
        return Err(Error::BadUserInput(
            "since comes before until (which is exclusive).".into(),
        ));
    }
    let too_many = || {
        let limit = limits::PLOT_POINTS;
        Error::BadUserInput(format!(
            "At most {} {} ({}): ask for a shorter span or longer steps.",
            limit.value, limit.unit, limit.name
        ))
    };
    let length = match span.interval {
        Interval::Minute => MINUTE,
        Interval::FiveMinutes => 5 * MINUTE,
        Interval::Hour => 60 * MINUTE,
        Interval::Day => return day_boundaries(span, zone)?.ok_or_else(too_many),
    };
    let first = span.since - span.since.rem_euclid(length);
    let count = (span.until - first + length - 1) / length;
    if count > limits::PLOT_POINTS.value as i64 {
        return Err(too_many());
    }
    Ok((0..=count).map(|step| first + step * length).collect())
}

/// Midnights of the zone.
fn day_boundaries(span: &Span, zone: Tz) -> Result<Option<Vec<Micros>>> {
    let out_of_range =
        || Error::BadUserInput("since and until lie in the years of the calendar.".into());
    let start = DateTime::<Utc>::from_timestamp_micros(span.since).ok_or_else(out_of_range)?;
    let mut day = start.with_timezone(&zone).date_naive();
    let mut boundaries = vec![midnight(day, zone)];
    while boundaries.last().is_some_and(|last| *last < span.until) {
        if boundaries.len() > limits::PLOT_POINTS.value {
            return Ok(None);
        }
        day = day
            .checked_add_days(Days::new(1))
            .ok_or_else(out_of_range)?;
        boundaries.push(midnight(day, zone));
    }
    Ok(Some(boundaries))
}

/// The instant of a local time; where a change of the clock skips it, the first instant behind, and where the time comes
/// twice, the first.
pub fn first_instant(day: NaiveDate, time: NaiveTime, zone: Tz) -> Option<Micros> {
    /// A change of the clock skips a day at most: where a zone moves across the date line.
    const LONGEST_GAP_MINUTES: i64 = 24 * 60;
    let start = day.and_time(time);
    (0..=LONGEST_GAP_MINUTES)
        .filter_map(|minutes| start.checked_add_signed(TimeDelta::minutes(minutes)))
        .find_map(|local| zone.from_local_datetime(&local).earliest())
        .map(|at| at.timestamp_micros())
}

/// The beginning of a day of the zone.
fn midnight(day: NaiveDate, zone: Tz) -> Micros {
    let utc = || day.and_time(NaiveTime::MIN).and_utc().timestamp_micros();
    first_instant(day, NaiveTime::MIN, zone).unwrap_or_else(utc)
}

/// The steps as rows `(step, start)` for a statement, and their values; its own values come behind these.
pub fn rows(backend: DbBackend, boundaries: &[Micros]) -> (String, Vec<Value>) {
    let starts = &boundaries[..boundaries.len().saturating_sub(1)];
    match backend {
        DbBackend::Postgres => {
            let array = Value::Array(
                ArrayType::BigInt,
                Some(Box::new(starts.iter().map(|at| Value::from(*at)).collect())),
            );
            ("SELECT at - 1, start FROM UNNEST($1::bigint[]) WITH ORDINALITY AS starts (start, at)".into(), vec![array])
        }
        _ => {
            let marks: Vec<String> = (0..starts.len()).map(|at| format!("({at}, ?)")).collect();
            (
                format!("VALUES {}", marks.join(",")),
                starts.iter().map(|at| Value::from(*at)).collect(),
            )
        }
    }
}
