//! Pages: Relay's connections, with `nodes` and a count, by keyset. The only way into a list.

use std::borrow::Cow;

use async_graphql::{Enum, Object, OutputType, SimpleObject, TypeName};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

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
            count: i32::try_from(count).unwrap_or(i32::MAX),
            precision: CountPrecision::Exact,
        }
    }

    /// A count that was made by reading at most one row more than [`limits::COUNTED_ENTRIES`].
    pub fn capped(counted: i64) -> Self {
        let limit = limits::COUNTED_ENTRIES.value as i64;
        let precision = if counted > limit {
            CountPrecision::AtLeast
        } else {
            CountPrecision::Exact
        };
        Self {
            precision,
            ..Self::exact(counted.min(limit))
        }
    }
}

/// Where a page lies in its list.
#[derive(Debug, Clone, SimpleObject)]
pub struct PageInfo {
    /// Whether there are entries behind this page. When paging backwards: whether `before` was given.
    pub has_next_page: bool,
    /// Whether there are entries before this page. When paging forwards: whether `after` was given.
    pub has_previous_page: bool,
    /// Cursor of the first edge; null when the page is empty.
    pub start_cursor: Option<String>,
    /// Cursor of the last edge: what `after` takes for the next page; null when the page is empty.
    pub end_cursor: Option<String>,
}

/// One entry of a page with its cursor.
pub struct Edge<T> {
    cursor: String,
    node: T,
}

impl<T: OutputType> TypeName for Edge<T> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Edge", T::type_name()).into()
    }
}

/// An entry of a page with its place in the list.
#[Object(name_type)]
impl<T: OutputType> Edge<T> {
    /// Opaque place of this entry in this list and order: an argument `after` or `before`.
    async fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The entry.
    async fn node(&self) -> &T {
        &self.node
    }
}

/// A page of a list.
pub struct Connection<T> {
    edges: Vec<Edge<T>>,
    page_info: PageInfo,
    total: TotalCount,
}

impl<T> Connection<T> {
    /// Makes the page of `rows`, which were read in the page's direction, up to [`Page::fetch_count`] of them.
    pub fn new(
        page: &Page,
        rows: Vec<T>,
        cursor: impl Fn(&T) -> String,
        total: TotalCount,
    ) -> Self {
        let more = rows.len() > page.size;
        let mut edges: Vec<Edge<T>> = rows
            .into_iter()
            .take(page.size)
            .map(|node| Edge {
                cursor: cursor(&node),
                node,
            })
            .collect();
        if page.backwards {
            edges.reverse();
        }
        let page_info = PageInfo {
            has_next_page: if page.backwards {
                page.before.is_some()
            } else {
                more
            },
            has_previous_page: if page.backwards {
                more
            } else {
                page.after.is_some()
            },
            start_cursor: edges.first().map(|edge| edge.cursor.clone()),
            end_cursor: edges.last().map(|edge| edge.cursor.clone()),
        };
        Self {
            edges,
            page_info,
            total,
        }
    }

    /// The entries, for what is fetched for all of them at once.
    pub fn nodes_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.edges.iter_mut().map(|edge| &mut edge.node)
    }
}

impl<T: OutputType> TypeName for Connection<T> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Connection", T::type_name()).into()
    }
}

/// A page of a list (Relay's cursor connections), with its entries also as `nodes` and the size of the whole list.
#[Object(name_type)]
impl<T: OutputType> Connection<T> {
    /// The entries of the page with their cursors.
    async fn edges(&self) -> &[Edge<T>] {
        &self.edges
    }

    /// The entries of the page.
    async fn nodes(&self) -> Vec<&T> {
        self.edges.iter().map(|edge| &edge.node).collect()
    }

    /// Where the page lies in the list.
    async fn page_info(&self) -> &PageInfo {
        &self.page_info
    }

    /// Number of entries of the whole list; how exact it is says `totalCountPrecision`.
    async fn total_count(&self) -> i32 {
        self.total.count
    }

    /// Whether `totalCount` is exact or a lower bound.
    async fn total_count_precision(&self) -> CountPrecision {
        self.total.precision
    }
}
