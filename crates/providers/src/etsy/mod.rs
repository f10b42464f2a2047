//! Etsy: a seller by consent, and its test. Facts:
//! <https://developers.etsy.com/documentation>.

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
pub(crate) struct Etsy {
    manifest: Manifest,
}

impl Etsy {
    pub(crate) fn new() -> Self {
        let manifest = Manifest::parse(include_str!("manifest.toml"))
            .expect("tested: the manifest is in the binary");
        Self { manifest }
    }
}

#[async_trait]
impl Provider for Etsy {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn test(&self, session: &Session) -> Result<Account, ProviderError> {
        let me = client::me(session).await?;
        let scopes = client::scopes(session).await?;
        // A seller has one shop; a grant is the seller's, who may open it later.
        let name = match me.shop_id {
            Some(shop) => format!("Etsy shop {shop}"),
            None => format!("Etsy user {} without a shop", me.user_id),
        };
        Ok(Account {
            key: me.user_id.to_string(),
            name,
            scopes: Some(scopes),
        })
    }

    async fn pull(&self, _session: &Session, pull: &Pull) -> Result<Page, ProviderError> {
        Err(no_such_stream(&self.manifest, &pull.stream))
    }
}
