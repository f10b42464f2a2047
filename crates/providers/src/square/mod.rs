//! Square: catalog, sales, customers and stock of a seller, read with an access token.
//! Facts: <https://developer.squareup.com/reference/square>.

mod client;
mod shape;
mod streams;

use async_trait::async_trait;

use crate::{
    error::ProviderError,
    manifest::Manifest,
    provider::{Account, Page, Provider, Pull, no_such_stream},
    session::Session,
};
use client::Client;

/// The provider. Holds nothing but its manifest.
#[derive(Debug)]
pub(crate) struct Square {
    manifest: Manifest,
}

impl Square {
    pub(crate) fn new() -> Self {
        let manifest = Manifest::parse(include_str!("manifest.toml"))
            .expect("tested: the manifest is in the binary");
        Self { manifest }
    }
}

#[async_trait]
impl Provider for Square {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn test(&self, session: &Session) -> Result<Account, ProviderError> {
        let client = Client::new(session)?;
        let locations = client.locations().await?;
        let Some(first) = locations.first() else {
            return Err(ProviderError::protocol(
                "Square knows no location of this seller, not even the main one.",
            ));
        };
        let account = Account {
            key: first.merchant_id.clone(),
            name: first
                .business_name
                .clone()
                .unwrap_or_else(|| first.name.clone()),
            scopes: None,
        };
        streams::chosen_locations(session, locations)?;
        Ok(account)
    }

    async fn pull(&self, session: &Session, pull: &Pull) -> Result<Page, ProviderError> {
        let client = Client::new(session)?;
        match pull.stream.as_str() {
            "catalog" => streams::catalog::pull(&client, pull).await,
            "sales" => streams::sales::pull(&client, pull).await,
            "customers" => streams::customers::pull(&client, pull).await,
            "inventory" => streams::inventory::pull(&client, pull).await,
            unknown => Err(no_such_stream(&self.manifest, unknown)),
        }
    }
}
