//! When a digest is due, pure: the first time of day in the portal's zone behind an instant.

use chrono::{DateTime, Datelike, Days, NaiveTime, Utc};
use chrono_tz::Tz;

use crate::kernel::clock::Micros;
use crate::kernel::steps::first_instant;
use crate::notifications::{NotificationFrequency, Weekday};

/// Days to look at: a week and the day of the instant, and one that a zone may have left out.
const DAYS: u64 = 9;

/// The next digest behind an instant; `None` for news that are told at once.
pub(super) fn next_digest(
    (frequency, minute_of_day, weekday): (NotificationFrequency, i32, Weekday),
    zone: Tz,
    after: Micros,
) -> Option<Micros> {
    let is_on = |day: chrono::Weekday| match frequency {
        NotificationFrequency::Immediately => false,
        NotificationFrequency::Daily => true,
        NotificationFrequency::Weekly => day.num_days_from_monday() == weekday as u32,
    };
    let minute_of_day = u32::try_from(minute_of_day).ok()?;
    let time = NaiveTime::from_hms_opt(minute_of_day / 60, minute_of_day % 60, 0)?;
    let today = DateTime::<Utc>::from_timestamp_micros(after)?
        .with_timezone(&zone)
        .date_naive();
    (0..DAYS)
        .filter_map(|days| today.checked_add_days(Days::new(days)))
        .filter(|day| is_on(day.weekday()))
        .filter_map(|day| first_instant(day, time, zone))
        .find(|at| *at > after)
}
