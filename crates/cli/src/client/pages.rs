//! Lists of the API come in pages; here they are read to their end.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Answer, Client};
use crate::exit::Outcome;

/// Entries the API gives in one page at most.
const PAGE: &str = "200";

/// One page of a list.
#[derive(Debug, Clone, Deserialize)]
pub struct Page<T> {
    pub data: Vec<T>,
    pub next: Option<String>,
}

impl Client {
    /// Every entry of a list.
    pub async fn all<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Outcome<Answer<Vec<T>>> {
        let (mut json, mut view) = (Vec::new(), Vec::new());
        self.each_page(path, query, |page: Answer<Page<T>>| {
            if let Value::Object(mut page) = page.json
                && let Some(Value::Array(entries)) = page.remove("data")
            {
                json.extend(entries);
            }
            view.extend(page.view.data);
        })
        .await?;
        Ok(Answer {
            json: Value::Array(json),
            view,
        })
    }

    /// Every page of a list, one at a time: a list may be larger than memory.
    pub async fn each_page<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        mut take: impl FnMut(Answer<Page<T>>),
    ) -> Outcome {
        let mut cursor = None;
        loop {
            let page: Answer<Page<T>> = self.get(path, &of_page(query, cursor)).await?;
            cursor = page.view.next.clone();
            take(page);
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}

/// The query of a page. A cursor already says since when, and is refused beside it.
fn of_page<'a>(query: &[(&'a str, String)], cursor: Option<String>) -> Vec<(&'a str, String)> {
    let is_kept = |(name, _): &&(&str, String)| cursor.is_none() || *name != "changed_since";
    let mut of_page: Vec<_> = query.iter().filter(is_kept).cloned().collect();
    of_page.push(("limit", PAGE.to_owned()));
    of_page.extend(cursor.map(|cursor| ("cursor", cursor)));
    of_page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_pages_ask_with_the_cursor_alone() {
        let query = [
            ("stream", "sales".to_owned()),
            ("changed_since", "s".to_owned()),
        ];
        let names = |cursor: Option<&str>| -> Vec<&str> {
            let query = of_page(&query, cursor.map(str::to_owned));
            query.iter().map(|(name, _)| *name).collect()
        };
        assert_eq!(names(None), ["stream", "changed_since", "limit"]);
        assert_eq!(names(Some("c")), ["stream", "limit", "cursor"]);
    }
}
