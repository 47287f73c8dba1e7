//! The scalars of the contract that GraphQL has not built in.

use async_graphql::resolver_utils::EnumType;
use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use chrono::{DateTime, Datelike, SecondsFormat, Utc};

use crate::kernel::clock::{Micros, instant};

/// A count as GraphQL's Int shows it: it stops at 2^31-1.
pub fn count(number: impl TryInto<i64>) -> i32 {
    let number: i64 = number.try_into().unwrap_or(i64::MAX);
    let shown = number.clamp(i32::MIN.into(), i32::MAX.into());
    i32::try_from(shown).unwrap_or(i32::MAX)
}

/// An instant in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub Micros);

/// An instant as RFC 3339 writes it, for example "2026-03-01T09:30:00Z". Any offset is read; answers are always
/// in UTC, with as many digits of the second as are known, at most six.
#[Scalar(
    name = "DateTime",
    specified_by_url = "https://scalars.graphql.org/andimarek/date-time.html"
)]
impl ScalarType for Instant {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => parse_instant(text).map(Self).ok_or_else(|| {
                InputValueError::custom(
                    "not an instant of RFC 3339, for example \"2026-03-01T09:30:00Z\"",
                )
            }),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.to_string())
    }
}

/// Reads an instant of RFC 3339; in UTC its year has four digits too, or nobody could read it again.
pub fn parse_instant(text: &str) -> Option<Micros> {
    let at = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
    (0..=9999)
        .contains(&at.year())
        .then(|| at.timestamp_micros())
}

impl<'de> serde::Deserialize<'de> for Instant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let refused = || {
            serde::de::Error::custom(
                "not an instant of RFC 3339, for example \"2026-03-01T09:30:00Z\"",
            )
        };
        parse_instant(&text).map(Self).ok_or_else(refused)
    }
}

impl serde::Serialize for Instant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::fmt::Display for Instant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&instant(self.0).to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

/// An absolute URL.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Url(pub String);

/// An absolute URL, as the URL standard writes it.
#[Scalar(name = "URL", specified_by_url = "https://url.spec.whatwg.org/")]
impl ScalarType for Url {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text)),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// The name of an enum value in the contract.
pub fn enum_name<T: EnumType>(value: T) -> &'static str {
    let item = T::items().iter().find(|item| item.value == value);
    item.map_or("", |item| item.name)
}
