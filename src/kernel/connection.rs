//! Pages of lists: Relay's connections, with `nodes` and a count.

use std::borrow::Cow;

use async_graphql::{Lookahead, Object, OutputType, SimpleObject, TypeName};

use crate::kernel::page::{CountPrecision, Page, TotalCount};
use crate::kernel::plain::{Json, List, Named, Plain, PlainField};

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

impl Plain for PageInfo {
    fn name() -> Cow<'static, str> {
        <Self as OutputType>::type_name()
    }

    fn write(&self, field: &PlainField<'_>, out: &mut Json) -> Option<()> {
        match field.name() {
            "hasNextPage" => out.value(self.has_next_page),
            "hasPreviousPage" => out.value(self.has_previous_page),
            "startCursor" => out.value(&self.start_cursor),
            "endCursor" => out.value(&self.end_cursor),
            _ => None,
        }
    }
}

/// One entry of a page with its cursor.
pub struct Edge<'a, T> {
    cursor: String,
    node: &'a T,
}

impl<T: OutputType> TypeName for Edge<'_, T> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Edge", T::type_name()).into()
    }
}

/// An entry of a page with its place in the list.
#[Object(name_type)]
impl<'a, T: Plain + OutputType> Edge<'a, T> {
    /// Opaque place of this entry in this list and order: an argument `after` or `before`.
    async fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The entry.
    async fn node(&self) -> &T {
        self.node
    }
}

impl<T: Plain> Plain for Edge<'_, T> {
    fn name() -> Cow<'static, str> {
        format!("{}Edge", T::name()).into()
    }

    fn write(&self, field: &PlainField<'_>, out: &mut Json) -> Option<()> {
        match field.name() {
            "cursor" => out.value(&self.cursor),
            "node" => out.object(self.node, field),
            _ => None,
        }
    }
}

/// Whether a request asks for the size of the list: counting costs.
pub fn wants_total(connection: &Lookahead<'_>) -> bool {
    ["totalCount", "totalCountPrecision"]
        .iter()
        .any(|name| connection.field(name).exists())
}

/// A page of a list.
pub struct Connection<T> {
    nodes: Vec<T>,
    cursor: Box<dyn Fn(&T) -> String + Send + Sync>,
    has_next_page: bool,
    has_previous_page: bool,
    total: TotalCount,
}

impl<T> Connection<T> {
    /// Makes the page of `rows`, which were read in the page's direction, up to [`Page::fetch_count`] of them.
    pub fn new(
        page: &Page,
        rows: Vec<T>,
        cursor: impl Fn(&T) -> String + Send + Sync + 'static,
        total: TotalCount,
    ) -> Self {
        let more = rows.len() > page.size;
        let mut nodes = rows;
        nodes.truncate(page.size);
        let (has_next_page, has_previous_page) = if page.backwards {
            nodes.reverse();
            (page.before.is_some(), more)
        } else {
            (more, page.after.is_some())
        };
        Self {
            nodes,
            cursor: Box::new(cursor),
            has_next_page,
            has_previous_page,
            total,
        }
    }

    /// The entries, for what is fetched for all of them at once.
    pub fn nodes_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.nodes.iter_mut()
    }

    fn with_cursors(&self) -> Vec<Edge<'_, T>> {
        let edge = |node| Edge {
            cursor: (self.cursor)(node),
            node,
        };
        self.nodes.iter().map(edge).collect()
    }

    fn place(&self) -> PageInfo {
        PageInfo {
            has_next_page: self.has_next_page,
            has_previous_page: self.has_previous_page,
            start_cursor: self.nodes.first().map(&self.cursor),
            end_cursor: self.nodes.last().map(&self.cursor),
        }
    }
}

impl<T: OutputType> TypeName for Connection<T> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Connection", T::type_name()).into()
    }
}

/// A page of a list (Relay's cursor connections), with its entries also as `nodes` and the size of the whole list.
#[Object(name_type)]
impl<T: Plain + OutputType> Connection<T> {
    /// The entries of the page with their cursors.
    async fn edges(&self) -> List<'_, Edge<'_, T>> {
        List::Owned(self.with_cursors())
    }

    /// The entries of the page.
    async fn nodes(&self) -> List<'_, T> {
        List::Borrowed(&self.nodes)
    }

    /// Where the page lies in the list.
    async fn page_info(&self) -> PageInfo {
        self.place()
    }

    /// Number of entries of the whole list; how exact it is says `totalCountPrecision`. Stops at 2^31-1.
    async fn total_count(&self) -> i32 {
        self.total.count
    }

    /// Whether `totalCount` is exact or a lower bound.
    async fn total_count_precision(&self) -> CountPrecision {
        self.total.precision
    }
}

impl<T: Plain> Plain for Connection<T> {
    fn name() -> Cow<'static, str> {
        format!("{}Connection", T::name()).into()
    }

    fn write(&self, field: &PlainField<'_>, out: &mut Json) -> Option<()> {
        match field.name() {
            "edges" => out.objects(&self.with_cursors(), field),
            "nodes" => out.objects(&self.nodes, field),
            "pageInfo" => out.object(&self.place(), field),
            "totalCount" => out.value(self.total.count),
            "totalCountPrecision" => out.value(Named(self.total.precision)),
            _ => None,
        }
    }
}
