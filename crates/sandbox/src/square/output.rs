//! Puts rendered rows together into a response.

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

/// A JSON object under construction. Square leaves out what is empty, so does this.
#[derive(Debug)]
pub(crate) struct Body(Vec<u8>);

impl Body {
    pub fn new() -> Self {
        Self(vec![b'{'])
    }

    fn key(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    /// An array of rows; nothing when there are none.
    pub fn rows<'a>(mut self, name: &str, rows: impl IntoIterator<Item = &'a Bytes>) -> Self {
        let rows: Vec<&Bytes> = rows.into_iter().collect();
        if rows.is_empty() {
            return self;
        }
        self.key(name);
        self.0
            .reserve(rows.iter().map(|row| row.len() + 1).sum::<usize>() + 256);
        self.0.push(b'[');
        for (n, row) in rows.iter().enumerate() {
            if n > 0 {
                self.0.push(b',');
            }
            self.0.extend_from_slice(row);
        }
        self.0.push(b']');
        self
    }

    /// A row by itself.
    pub fn row(mut self, name: &str, row: &Bytes) -> Self {
        self.key(name);
        self.0.extend_from_slice(row);
        self
    }

    /// A number or a text; nothing when there is none.
    pub fn value(mut self, name: &str, value: Option<impl Into<serde_json::Value>>) -> Self {
        if let Some(value) = value {
            self.key(name);
            self.0
                .extend_from_slice(value.into().to_string().as_bytes());
        }
        self
    }
}

impl IntoResponse for Body {
    fn into_response(mut self) -> Response {
        self.0.push(b'}');
        ([(CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}
