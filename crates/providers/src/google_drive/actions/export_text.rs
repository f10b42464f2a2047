//! Action `export_text`: the text of a document, for whoever reads recipes out of it. A
//! Google Doc is exported as plain text, a text file is fetched; everything else is
//! refused with words. Line ends are `\n`, a byte order mark is taken off.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::client::Client;
use crate::error::ProviderError;

const DOCUMENT: &str = "application/vnd.google-apps.document";
const SHORTCUT: &str = "application/vnd.google-apps.shortcut";

/// Files that are text as they are.
const TEXTS: [&str; 3] = ["text/plain", "text/markdown", "text/x-markdown"];

/// Google exports no more (<https://developers.google.com/workspace/drive/api/reference/rest/v3/files/export>);
/// text files are held to the same.
const MOST_BYTES: u64 = 10 * 1024 * 1024;

const CHOOSE: &str = "Choose a Google Doc or a plain text file; in Drive, \"Open with Google Docs\" makes a document out of many other files.";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    id: String,
    name: String,
    mime_type: String,
    size: Option<String>,
    modified_time: Option<DateTime<Utc>>,
}

pub(crate) async fn act(client: &Client<'_>, input: &Value) -> Result<Value, ProviderError> {
    let id = input
        .get("file_id")
        .and_then(Value::as_str)
        .filter(|id| is_id(id))
        .ok_or_else(|| {
            ProviderError::invalid("The input names no file.", "Give the file's id as file_id.")
        })?;
    let path = format!("/drive/v3/files/{id}");
    let query = [
        ("fields", "id,name,mimeType,size,modifiedTime"),
        ("supportsAllDrives", "true"),
    ];
    let file: File = client.get(&path, &query).await?;
    let bytes = match file.mime_type.as_str() {
        DOCUMENT => {
            let query = [("mimeType", "text/plain")];
            client
                .bytes(&format!("{path}/export"), &query, MOST_BYTES)
                .await?
        }
        kind if TEXTS.contains(&kind) => {
            let size = file.size.as_deref().and_then(|size| size.parse().ok());
            if size.is_some_and(|size: u64| size > MOST_BYTES) {
                return Err(too_long(&file));
            }
            let query = [("alt", "media"), ("supportsAllDrives", "true")];
            client.bytes(&path, &query, MOST_BYTES).await?
        }
        _ => return Err(no_text(&file)),
    };
    let Some(bytes) = bytes else {
        return Err(too_long(&file));
    };
    let text = String::from_utf8(bytes).map_err(|_| {
        ProviderError::invalid(
            format!("\"{}\" is not UTF-8 text.", file.name),
            "Save it as UTF-8, or open it with Google Docs and choose the document.",
        )
    })?;
    let text = plain(&text);
    Ok(json!({
        "file_id": file.id,
        "name": file.name,
        "mime_type": file.mime_type,
        "modified_at": file.modified_time,
        "characters": text.chars().count(),
        "text": text,
    }))
}

/// One line end, no byte order mark, and no NUL, which databases cannot keep.
fn plain(text: &str) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.replace("\r\n", "\n").replace(['\r', '\0'], "\n")
}

/// Drive's ids fit a path as they are; anything else must not choose one.
fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 256
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn too_long(file: &File) -> ProviderError {
    ProviderError::invalid(
        format!("The text of \"{}\" is longer than 10 MB.", file.name),
        "Split the document.",
    )
}

fn no_text(file: &File) -> ProviderError {
    let File {
        name, mime_type, ..
    } = file;
    if mime_type == SHORTCUT {
        return ProviderError::invalid(
            format!("\"{name}\" is a shortcut to another file."),
            "Choose the file it leads to.",
        );
    }
    ProviderError::invalid(
        format!("\"{name}\" ({mime_type}) has no text that Google gives out."),
        CHOOSE,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_kind_of_line_end_and_no_mark() {
        assert_eq!(plain("\u{feff}a\r\nb\rc\nd"), "a\nb\nc\nd");
        assert!(!plain("a\0b").contains('\0'));
        assert_eq!(plain("\u{feff}\u{feff}x"), "\u{feff}x");
    }

    #[test]
    fn an_id_cannot_choose_another_path() {
        for bad in ["", "../about", "a/b", "a?alt=media", "a%2f", "ä"] {
            assert!(!is_id(bad), "{bad}");
        }
        assert!(is_id("1AbC-_9"));
    }
}
