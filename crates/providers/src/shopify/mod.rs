//! Shopify: a store by consent, its test and its end. Facts:
//! <https://shopify.dev/docs/api/admin-graphql>.

mod client;

use async_trait::async_trait;

use crate::{
    error::ProviderError,
    manifest::Manifest,
    provider::{Account, Page, Provider, Pull, no_such_stream},
    session::Session,
};

/// The provider. Holds nothing but its manifest.
#[derive(Debug)]
pub(crate) struct Shopify {
    manifest: Manifest,
}

impl Shopify {
    pub(crate) fn new() -> Self {
        let manifest = Manifest::parse(include_str!("manifest.toml"))
            .expect("tested: the manifest is in the binary");
        Self { manifest }
    }
}

#[async_trait]
impl Provider for Shopify {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn test(&self, session: &Session) -> Result<Account, ProviderError> {
        let store = client::store(session).await?;
        Ok(Account {
            key: store.id,
            name: store.name,
            scopes: Some(store.scopes),
        })
    }

    async fn pull(&self, _session: &Session, pull: &Pull) -> Result<Page, ProviderError> {
        Err(no_such_stream(&self.manifest, &pull.stream))
    }
}
