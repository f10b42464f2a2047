//! Stream `files`: the account's own Drive and every shared drive it is a member of.
//!
//! Drive keeps one feed of changes for the account and one for each shared drive, and all
//! of them must be replayed to see every change
//! (<https://developers.google.com/workspace/drive/api/guides/about-changes>). So a run
//! goes from one *corpus* to the next: what the cursor knows by its feed, what is new
//! (all of it in a full run) by its list. A feed's place is asked for before the list is
//! read, because what changes meanwhile is then in the feed. Places in feeds do not expire.
//!
//! A shared drive that the account has left is no longer asked: only a full run marks
//! its files as deleted.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{
    client::{ChangeList, Client, FileList},
    shape,
};
use crate::{
    error::ProviderError,
    provider::{Page, Pull, PullMode, PulledRecord},
    walk::Walk,
};

/// Largest page.
const PAGE: &str = "1000";

/// Where the stream stands between runs.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor {
    feeds: Vec<Feed>,
}

/// A place in a feed of changes.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Feed {
    /// The shared drive; `None`: the account's own feed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drive: Option<String>,
    token: String,
}

/// Where a run stands.
#[derive(Debug, Serialize, Deserialize)]
struct Position {
    /// The corpus it is in.
    now: Corpus,
    walk: Walk,
    /// Those behind it, with the places where the next run goes on.
    done: Vec<Feed>,
    /// Those before it.
    left: Vec<Corpus>,
}

/// One of the account's collections of files.
#[derive(Debug, Serialize, Deserialize)]
struct Corpus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drive: Option<String>,
    /// The place in its feed to go on from; `None`: it is listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// Of one that is listed: its feed's place before the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<String>,
}

/// What one call brought.
struct Part {
    records: Vec<PulledRecord>,
    next: Option<String>,
    /// Of the last page of a feed: its end.
    end: Option<String>,
    is_whole: bool,
}

pub(crate) async fn pull(client: &Client<'_>, pull: &Pull) -> Result<Page, ProviderError> {
    let cursor = match pull.mode {
        PullMode::Incremental => read_back::<Cursor>(pull.cursor.as_ref(), "cursor")?,
        PullMode::Full => None,
        PullMode::Range { .. } => {
            return Err(ProviderError::invalid(
                "Files of Google Drive cannot be pulled by range.",
                "Ask for an incremental or a full sync.",
            ));
        }
    };
    let is_first = cursor.is_none();
    let mut position = match read_back::<Position>(pull.position.as_ref(), "position")? {
        Some(position) => position,
        None => begin(client, cursor).await?,
    };
    let part = match position.now.since.clone() {
        Some(since) => changes(client, &position, &since).await?,
        None => list(client, &mut position).await?,
    };
    let complete = is_first && part.is_whole;
    let (next, cursor) = match position.walk.after(&part.records, part.next)? {
        Some(walk) => (Some(stored(&Position { walk, ..position })), None),
        None => finished(position.now, position.done, position.left, part.end)?,
    };
    Ok(Page {
        records: part.records,
        next,
        cursor,
        total: None,
        complete,
    })
}

/// All corpora of a run, the account's own first: a file that moved into a shared drive is
/// gone there, and comes again with that drive.
async fn begin(client: &Client<'_>, cursor: Option<Cursor>) -> Result<Position, ProviderError> {
    let known = cursor.map(|cursor| cursor.feeds).unwrap_or_default();
    let corpus = |drive: Option<String>| Corpus {
        since: known
            .iter()
            .find(|feed| feed.drive == drive)
            .map(|feed| feed.token.clone()),
        drive,
        before: None,
    };
    let wants_shared = client.session.config.get("shared_drives") != Some(&Value::Bool(false));
    let drives = if wants_shared {
        client.shared_drives().await?
    } else {
        Vec::new()
    };
    Ok(Position {
        now: corpus(None),
        walk: Walk::default(),
        done: Vec::new(),
        left: drives
            .into_iter()
            .map(|drive| corpus(Some(drive)))
            .collect(),
    })
}

/// The next corpus, or the end of the run with the stream's new cursor.
fn finished(
    now: Corpus,
    mut done: Vec<Feed>,
    mut left: Vec<Corpus>,
    end: Option<String>,
) -> Result<(Option<Value>, Option<Value>), ProviderError> {
    let token = now.before.or(end).ok_or_else(|| {
        ProviderError::protocol("Google's last page of changes does not say where to go on.")
    })?;
    done.push(Feed {
        drive: now.drive,
        token,
    });
    if left.is_empty() {
        return Ok((None, Some(stored(&Cursor { feeds: done }))));
    }
    let position = Position {
        now: left.remove(0),
        walk: Walk::default(),
        done,
        left,
    };
    Ok((Some(stored(&position)), None))
}

async fn list(client: &Client<'_>, position: &mut Position) -> Result<Part, ProviderError> {
    let drive = position.now.drive.as_deref();
    if position.now.before.is_none() {
        let before = client.start_page_token(drive).await?;
        position.now.before = Some(before);
    }
    let drive = position.now.drive.as_deref();
    let fields = format!("nextPageToken,incompleteSearch,files({})", shape::FIELDS);
    let mut query = vec![
        ("q", "trashed = false"),
        ("pageSize", PAGE),
        ("fields", fields.as_str()),
        ("supportsAllDrives", "true"),
        ("includeItemsFromAllDrives", "true"),
    ];
    match drive {
        Some(drive) => query.extend([("corpora", "drive"), ("driveId", drive)]),
        None => query.push(("corpora", "user")),
    }
    if let Some(token) = &position.walk.cursor {
        query.push(("pageToken", token));
    }
    let answer: FileList = client
        .get("/drive/v3/files", &query)
        .await
        .map_err(|error| forgotten(error, &position.walk))?;
    let records = answer.files.into_iter().map(shape::record);
    Ok(Part {
        records: records.collect::<Result<_, _>>()?,
        next: answer.next_page_token,
        end: None,
        is_whole: !answer.incomplete_search,
    })
}

async fn changes(
    client: &Client<'_>,
    position: &Position,
    since: &str,
) -> Result<Part, ProviderError> {
    let fields = format!(
        "nextPageToken,newStartPageToken,changes(fileId,file({}))",
        shape::FIELDS
    );
    let mut query = vec![
        (
            "pageToken",
            position.walk.cursor.as_deref().unwrap_or(since),
        ),
        ("pageSize", PAGE),
        ("fields", fields.as_str()),
        ("includeRemoved", "true"),
        // A file that left this feed but can still be seen comes with its body.
        ("includeCorpusRemovals", "true"),
        ("supportsAllDrives", "true"),
        ("includeItemsFromAllDrives", "true"),
    ];
    query.extend(
        position
            .now
            .drive
            .as_deref()
            .map(|drive| ("driveId", drive)),
    );
    let answer: ChangeList = client.get("/drive/v3/changes", &query).await?;
    let records = answer.changes.into_iter().map(shape::change);
    Ok(Part {
        records: records
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?,
        next: answer.next_page_token,
        end: answer.new_start_page_token,
        is_whole: false,
    })
}

/// Tokens of lists expire within hours; a run that stood at one begins anew.
fn forgotten(mut error: ProviderError, walk: &Walk) -> ProviderError {
    error.place_forgotten =
        walk.cursor.is_some() && matches!(error.code.as_deref(), Some("invalid" | "badRequest"));
    error
}

/// Reads back a position or cursor that this provider wrote.
fn read_back<T: for<'de> Deserialize<'de>>(
    value: Option<&Value>,
    what: &str,
) -> Result<Option<T>, ProviderError> {
    value.map(T::deserialize).transpose().map_err(|error| {
        ProviderError::invalid(
            format!("The stored {what} of this stream cannot be read: {error}."),
            "Run a full sync of the stream: it writes a new one.",
        )
    })
}

fn stored<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("positions are plain values")
}
