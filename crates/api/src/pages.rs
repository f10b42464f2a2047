//! Lists come in pages. A cursor says where the next page begins; it is opaque,
//! and belongs to the kind of list that gave it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::{FieldError, Kind, Problem};

/// Entries of a page, unless `limit` says otherwise.
pub const DEFAULT_LIMIT: u64 = 50;
/// Entries of a page at most.
pub const MAX_LIMIT: u64 = 200;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The entries.
    pub data: Vec<T>,
    /// Cursor of the next page; null at the end.
    pub next: Option<String>,
}

/// Kinds of list. A cursor of one is refused by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    Connections,
    Jobs,
    Logs,
    Records,
    Events,
    Schedules,
    Alerts,
}

impl List {
    fn tag(self) -> &'static str {
        match self {
            Self::Connections => "c",
            Self::Jobs => "j",
            Self::Logs => "l",
            Self::Records => "r",
            Self::Events => "e",
            Self::Schedules => "s",
            Self::Alerts => "a",
        }
    }
}

/// The cursor after `place`.
pub fn cursor(list: List, place: &impl std::fmt::Display) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}:{place}", list.tag()))
}

/// The place that a cursor says; `None` without a cursor.
pub fn place<T: std::str::FromStr>(list: List, cursor: Option<&str>) -> Result<Option<T>, Problem> {
    let Some(cursor) = cursor else {
        return Ok(None);
    };
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        text.strip_prefix(list.tag())?
            .strip_prefix(':')?
            .parse()
            .ok()
    };
    read().map(Some).ok_or_else(|| {
        Problem::new(
            Kind::InvalidCursor,
            "The cursor is not one that this list gave. Use `next` of the page before, unchanged, or leave it away to begin again.",
        )
    })
}

/// How many entries a page has.
pub fn limit(asked: Option<u64>) -> Result<u64, Problem> {
    match asked.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit),
        _ => Err(Problem::query(vec![FieldError::parameter(
            "limit",
            format!("must be from 1 to {MAX_LIMIT}"),
        )])),
    }
}

impl<T> Page<T> {
    /// A page from `limit + 1` rows: the one more tells that there is a next page.
    pub fn of<R, P: std::fmt::Display>(
        list: List,
        mut rows: Vec<R>,
        limit: u64,
        place: impl Fn(&R) -> P,
        shape: impl Fn(R) -> T,
    ) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows
            .last()
            .filter(|_| more)
            .map(|row| cursor(list, &place(row)));
        Self {
            data: rows.into_iter().map(shape).collect(),
            next,
        }
    }
}
