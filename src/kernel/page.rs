//! Requests for pages, by keyset: the only way into a list. What they are answered is a [`crate::kernel::connection`].

use async_graphql::Enum;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sea_orm::FromQueryResult;
use sea_orm::sea_query::{Alias, Expr, Query, SelectStatement};
use uuid::Uuid;

use crate::kernel::db::Snapshot;
use crate::kernel::error::{Error, Result};
use crate::kernel::limits;

/// Entries of a page when the request does not say how many.
pub const DEFAULT_PAGE_SIZE: i32 = 50;
const VERSION: u8 = 1;

/// A place in a list: the order that it belongs to, the value it is ordered by, and the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The list and order; a cursor of another one is refused.
    pub order: u8,
    /// What the list is ordered by.
    pub value: i64,
    /// The row, where the value is the same.
    pub id: Uuid,
}

impl Cursor {
    /// As clients see it: opaque.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(26);
        bytes.extend([VERSION, self.order]);
        bytes.extend(self.value.to_be_bytes());
        bytes.extend(self.id.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    fn decode(text: &str, order: u8) -> Option<Self> {
        if text.len() > 64 {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (head, rest) = bytes.split_at_checked(2)?;
        let (value, id) = rest.split_at_checked(8)?;
        let value = i64::from_be_bytes(value.try_into().ok()?);
        (head == [VERSION, order]).then_some(Self {
            order,
            value,
            id: Uuid::from_slice(id).ok()?,
        })
    }
}

/// A checked request for a page.
#[derive(Debug, Clone)]
pub struct Page {
    /// Entries wanted, 1 to [`limits::PAGE_SIZE`].
    pub size: usize,
    /// Whether the last entries are wanted instead of the first.
    pub backwards: bool,
    /// The entry before the page.
    pub after: Option<Cursor>,
    /// The entry behind the page.
    pub before: Option<Cursor>,
}

impl Page {
    /// A page of a list that is read forwards only.
    pub fn forwards(first: Option<i32>, after: Option<&str>, order: u8) -> Result<Self> {
        Ok(Self {
            size: size("first", first)?,
            backwards: false,
            after: cursor("after", after, order)?,
            before: None,
        })
    }

    /// A page of a list that is read from both ends.
    pub fn both_ways(arguments: &PageArguments, order: u8) -> Result<Self> {
        let PageArguments {
            first,
            after,
            last,
            before,
        } = arguments;
        if first.is_some() && last.is_some() {
            return Err(Error::BadUserInput(
                "first and last together have no meaning: use one of them.".into(),
            ));
        }
        let backwards = last.is_some();
        let size = if backwards {
            size("last", *last)?
        } else {
            size("first", *first)?
        };
        let (after, before) = (
            cursor("after", after.as_deref(), order)?,
            cursor("before", before.as_deref(), order)?,
        );
        Ok(Self {
            size,
            backwards,
            after,
            before,
        })
    }

    /// How many entries the list has, where the rows that were read are all of them: nobody has to look for them again.
    pub fn whole(&self, rows: usize) -> Option<TotalCount> {
        let is_whole = self.after.is_none() && self.before.is_none() && rows <= self.size;
        is_whole.then(|| TotalCount::exact(rows as i64))
    }

    /// Rows to read: one more than wanted tells whether there is a next page.
    pub fn fetch_count(&self) -> u64 {
        self.size as u64 + 1
    }
}

/// The four arguments of a list that is read from both ends.
#[derive(Debug, Default)]
pub struct PageArguments {
    /// How many from the front.
    pub first: Option<i32>,
    /// Behind which entry.
    pub after: Option<String>,
    /// How many from the end.
    pub last: Option<i32>,
    /// Before which entry.
    pub before: Option<String>,
}

/// Checks `first` or `last`.
pub fn size(argument: &str, size: Option<i32>) -> Result<usize> {
    let max = limits::PAGE_SIZE.value;
    usize::try_from(size.unwrap_or(DEFAULT_PAGE_SIZE))
        .ok()
        .filter(|size| (1..=max).contains(size))
        .ok_or_else(|| Error::BadUserInput(format!("{argument} must be between 1 and {max}.")))
}

fn cursor(argument: &str, text: Option<&str>, order: u8) -> Result<Option<Cursor>> {
    let Some(text) = text else { return Ok(None) };
    Cursor::decode(text, order).map(Some).ok_or_else(|| {
        Error::BadUserInput(format!("{argument} is not a cursor of this list in this order. Use one from its edges or pageInfo."))
    })
}

/// How exact a `totalCount` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum CountPrecision {
    /// `totalCount` is the number of entries.
    Exact,
    /// There are at least `totalCount` entries: counting stopped at the limit `countedEntries`.
    AtLeast,
}

/// How many entries a list has, counted no further than needed.
#[derive(Debug, Clone, Copy)]
pub struct TotalCount {
    /// The number.
    pub count: i32,
    /// How exact it is.
    pub precision: CountPrecision,
}

impl TotalCount {
    /// An exact count; it stops at 2^31-1.
    pub fn exact(count: i64) -> Self {
        Self {
            count: crate::kernel::scalars::count(count),
            precision: CountPrecision::Exact,
        }
    }

    /// Counts the rows of a statement that has no columns yet, no further than [`limits::COUNTED_ENTRIES`].
    pub async fn of(snapshot: &Snapshot, mut rows: SelectStatement) -> Result<Self> {
        let limit = limits::COUNTED_ENTRIES.value as i64;
        rows.expr(Expr::cust("1")).limit(limit.unsigned_abs() + 1);
        let mut select = Query::select();
        select
            .expr_as(Expr::cust("COUNT(*)"), Alias::new("counted"))
            .from_subquery(rows, Alias::new("counted_rows"));
        let row = snapshot.one::<Counted>(&select).await?;
        let counted = row.map_or(0, |row| row.counted);
        let precision = if counted > limit {
            CountPrecision::AtLeast
        } else {
            CountPrecision::Exact
        };
        Ok(Self {
            precision,
            ..Self::exact(counted.min(limit))
        })
    }
}

/// The answer of `SELECT COUNT(*) AS counted`.
#[derive(FromQueryResult)]
struct Counted {
    counted: i64,
}
