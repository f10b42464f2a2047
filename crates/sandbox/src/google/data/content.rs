//! What is in a file, and what an export makes of it.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use md5::Md5;
use sha2::{Digest, Sha256};

use super::file::{DOCUMENT, SHEET};
use super::pdf;

/// No export is larger (Drive's guide: "exported content is limited to 10 MB").
const EXPORT_MAX: usize = 10 << 20;

#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// A folder.
    Nothing,
    /// Of a document or sheet, or of a text file.
    Text(Arc<str>),
    Bytes(Bytes),
    /// So many bytes of filler, made when they are read.
    Filler(usize, Arc<OnceLock<Digests>>),
}

/// In hexadecimal.
#[derive(Debug, Clone)]
pub(crate) struct Digests {
    pub md5: String,
    pub sha256: String,
}

/// What an export gives.
#[derive(Debug)]
pub(crate) struct Exported {
    pub mime_type: &'static str,
    pub bytes: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotExported {
    /// Not made by Google's editors.
    NotNative,
    NoSuchConversion,
    TooLarge,
}

impl Content {
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    pub fn filler(bytes: usize) -> Self {
        Self::Filler(bytes, Arc::default())
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Filler(bytes, _) => *bytes,
        }
    }

    pub fn bytes(&self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            Self::Bytes(bytes) => bytes.clone(),
            Self::Filler(bytes, _) => {
                const LINE: &[u8; 16] = b"All the recipes\n";
                Bytes::from_iter(LINE.iter().copied().cycle().take(*bytes))
            }
        }
    }

    pub fn digests(&self) -> Digests {
        let compute = || {
            let bytes = self.bytes();
            Digests {
                md5: hexadecimal(&Md5::digest(&bytes)),
                sha256: hexadecimal(&Sha256::digest(&bytes)),
            }
        };
        match self {
            // Megabytes are hashed once.
            Self::Filler(_, known) => known.get_or_init(compute).clone(),
            Self::Nothing | Self::Text(_) | Self::Bytes(_) => compute(),
        }
    }

    pub fn contains(&self, word: &str) -> bool {
        match self {
            Self::Text(text) => text.to_lowercase().contains(word),
            Self::Nothing | Self::Bytes(_) | Self::Filler(..) => false,
        }
    }

    /// A document or sheet in another format. Of Drive's formats those that a reader of
    /// texts wants; the others are refused like one that Drive does not know.
    pub fn export(&self, native: &str, wanted: &str) -> Result<Exported, NotExported> {
        let raw = self.bytes();
        let text = || String::from_utf8_lossy(&raw).into_owned();
        let (mime_type, bytes): (&'static str, Bytes) = match (native, wanted) {
            // Docs writes plain text with a byte order mark and lines ended by CR LF.
            (DOCUMENT, "text/plain") => (
                "text/plain",
                format!("\u{feff}{}", text().replace('\n', "\r\n")).into(),
            ),
            (DOCUMENT, "text/markdown") => ("text/markdown", raw),
            (DOCUMENT, "text/html") => ("text/html", html(&text()).into()),
            (SHEET, "text/csv") => ("text/csv", text().replace('\n', "\r\n").into()),
            (SHEET, "text/tab-separated-values") => (
                "text/tab-separated-values",
                text().replace(',', "\t").into(),
            ),
            (DOCUMENT | SHEET, "application/pdf") => {
                ("application/pdf", pdf::of_text(&text()).into())
            }
            (DOCUMENT | SHEET, _) => return Err(NotExported::NoSuchConversion),
            (_, _) => return Err(NotExported::NotNative),
        };
        if bytes.len() > EXPORT_MAX {
            return Err(NotExported::TooLarge);
        }
        Ok(Exported { mime_type, bytes })
    }
}

fn html(text: &str) -> String {
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('\n', "</p><p>");
    format!("<html><head><meta charset=\"utf-8\"></head><body><p>{escaped}</p></body></html>")
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
