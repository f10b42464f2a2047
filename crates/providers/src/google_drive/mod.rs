//! Google Drive: its files by a list and by the feeds of changes, and the text of
//! documents. Facts: <https://developers.google.com/workspace/drive/api/reference/rest/v3>.

mod actions;
mod client;
mod shape;
mod streams;

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    error::ProviderError,
    manifest::Manifest,
    provider::{Account, Page, Provider, Pull, no_such_action, no_such_stream},
    session::Session,
};
use client::Client;

/// The provider. Holds nothing but its manifest.
#[derive(Debug)]
pub(crate) struct GoogleDrive {
    manifest: Manifest,
}

impl GoogleDrive {
    pub(crate) fn new() -> Self {
        let manifest = Manifest::parse(include_str!("manifest.toml"))
            .expect("tested: the manifest is in the binary");
        Self { manifest }
    }
}

#[async_trait]
impl Provider for GoogleDrive {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn test(&self, session: &Session) -> Result<Account, ProviderError> {
        let user = Client::new(session)?.about().await?.user;
        Ok(Account {
            key: user.permission_id,
            name: user.email_address.unwrap_or(user.display_name),
            scopes: None,
        })
    }

    async fn pull(&self, session: &Session, pull: &Pull) -> Result<Page, ProviderError> {
        let client = Client::new(session)?;
        match pull.stream.as_str() {
            "files" => streams::files::pull(&client, pull).await,
            unknown => Err(no_such_stream(&self.manifest, unknown)),
        }
    }

    async fn act(
        &self,
        session: &Session,
        action: &str,
        input: &Value,
    ) -> Result<Value, ProviderError> {
        let client = Client::new(session)?;
        match action {
            "export_text" => actions::export_text::act(&client, input).await,
            unknown => Err(no_such_action(&self.manifest, unknown)),
        }
    }
}
