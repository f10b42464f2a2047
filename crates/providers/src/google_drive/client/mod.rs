//! Calls to Drive v3. Every call it makes is a read, so each may be repeated; it must
//! not learn to write without changing that. What refusals mean is in `answer`.

mod answer;

use patchbay_core::outbound::{Credential, OutboundError, OutboundRequest, OutboundResponse};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{error::ProviderError, session::Session};
use answer::{is_hasty, refusal, shaped};

/// A session at Drive.
#[derive(Debug)]
pub(super) struct Client<'s> {
    pub session: &'s Session,
    credential: Credential,
}

#[derive(Debug, Deserialize)]
pub(super) struct About {
    pub user: User,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct User {
    /// The account's id, the same in every grant.
    pub permission_id: String,
    #[serde(default)]
    pub display_name: String,
    pub email_address: Option<String>,
}

/// A page of files.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileList {
    /// Not left out of an answer, or a list that is none would count as empty.
    pub files: Vec<Value>,
    pub next_page_token: Option<String>,
    /// Some of what was to be searched was not.
    #[serde(default)]
    pub incomplete_search: bool,
}

/// A page of changes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChangeList {
    pub changes: Vec<Change>,
    pub next_page_token: Option<String>,
    /// On the last page: where the next run goes on.
    pub new_start_page_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    /// Of a file; changes of shared drives themselves have none.
    pub file_id: Option<String>,
    /// As it is now, if the account can still see it.
    pub file: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StartPageToken {
    start_page_token: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DriveList {
    drives: Vec<SharedDrive>,
    next_page_token: Option<String>,
}

#[derive(Debug, Deserialize)]
struct SharedDrive {
    id: String,
}

/// Most shared drives that one connection follows.
const MOST_DRIVES: usize = 5_000;

impl<'s> Client<'s> {
    pub fn new(session: &'s Session) -> Result<Self, ProviderError> {
        Ok(Self {
            session,
            credential: session.bearer("access_token")?,
        })
    }

    /// Whose Drive it is.
    pub async fn about(&self) -> Result<About, ProviderError> {
        let fields = [("fields", "user(permissionId,displayName,emailAddress)")];
        self.get("/drive/v3/about", &fields).await
    }

    /// Where a feed of changes stands now: the user's, or a shared drive's.
    pub async fn start_page_token(&self, drive: Option<&str>) -> Result<String, ProviderError> {
        let mut query = vec![("supportsAllDrives", "true")];
        query.extend(drive.map(|id| ("driveId", id)));
        let answer: StartPageToken = self.get("/drive/v3/changes/startPageToken", &query).await?;
        Ok(answer.start_page_token)
    }

    /// Ids of the shared drives that the account is a member of.
    pub async fn shared_drives(&self) -> Result<Vec<String>, ProviderError> {
        let mut ids = Vec::new();
        let mut page_token: Option<String> = None;
        loop {
            let mut query = vec![("pageSize", "100"), ("fields", "nextPageToken,drives(id)")];
            if let Some(token) = &page_token {
                query.push(("pageToken", token));
            }
            let page: DriveList = self.get("/drive/v3/drives", &query).await?;
            ids.extend(page.drives.into_iter().map(|drive| drive.id));
            let next = page.next_page_token.filter(|token| !token.is_empty());
            match next {
                None => return Ok(ids),
                Some(next) if Some(&next) != page_token.as_ref() && ids.len() < MOST_DRIVES => {
                    page_token = Some(next);
                }
                Some(_) => {
                    return Err(ProviderError::protocol(
                        "Google Drive lists shared drives without coming to an end.",
                    ));
                }
            }
        }
    }

    /// Reads a JSON answer.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, ProviderError> {
        let answer = self.send(path, query, None).await?;
        shaped(&answer, path)
    }

    /// Reads bytes, so many at most; `None`: there are more.
    pub async fn bytes(
        &self,
        path: &str,
        query: &[(&str, &str)],
        most: u64,
    ) -> Result<Option<Vec<u8>>, ProviderError> {
        match self.send(path, query, Some(most)).await {
            Ok(answer) => Ok(Some(answer.body)),
            Err(Failed::Outbound(OutboundError::TooLarge { .. })) => Ok(None),
            Err(failed) => Err(failed.into()),
        }
    }

    async fn send(
        &self,
        path: &str,
        query: &[(&str, &str)],
        most: Option<u64>,
    ) -> Result<OutboundResponse, Failed> {
        let mut url = self.session.url(path);
        url.query_pairs_mut().extend_pairs(query);
        let mut request = OutboundRequest::get(url).credential(self.credential.clone());
        if let Some(most) = most {
            request.limits.body = most;
        }
        let answer = self
            .session
            .read(request, is_hasty)
            .await
            .map_err(Failed::Outbound)?;
        if answer.status.is_success() {
            Ok(answer)
        } else {
            let error = refusal(&answer, path, self.session.now());
            Err(Failed::Refused(Box::new(error)))
        }
    }
}

/// Why a call brought nothing.
#[derive(Debug)]
enum Failed {
    Outbound(OutboundError),
    Refused(Box<ProviderError>),
}

impl From<Failed> for ProviderError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Outbound(error) => error.into(),
            Failed::Refused(error) => *error,
        }
    }
}
