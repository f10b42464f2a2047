//! A provider for tests alone: a manifest as plain as the standard, and a call that asks
//! whose account a token opens.

use std::sync::Arc;

use async_trait::async_trait;
use patchbay_core::{
    failure::FailureKind,
    outbound::{Method, OutboundRequest},
};
use patchbay_providers::{
    Account, Manifest, Page, Provider, ProviderError, Pull, Registry, Session,
};
use serde_json::Value;

/// A provider of the key `testbed`.
#[derive(Debug)]
pub struct Testbed {
    manifest: Manifest,
}

/// Its manifest; `advertised`: it says that it always names itself (RFC 9207).
fn manifest(advertised: bool) -> String {
    format!(
        r#"
key = "testbed"
label = "Testbed"
category = "storage"
description = "An authorization server as the standard has it."
docs = "https://op.example/docs"
exclusive = true
impact = "Tests stop."

[auth]
kind = "oauth"
pkce = "required"
scopes = ["openid", "files.read", "files.write"]

[auth.oauth]
authorize = "https://op.example/auth"
token = "https://op.example/token"
issuer = "https://op.example"
issuer_advertised = {advertised}
client = "basic"
expiry = "expires_in"
refresh_tokens = "rotated"
setup = "https://op.example/apps"

[auth.oauth.revocation]
address = "https://op.example/token/revocation"
body = "form"
token = "body"

[[endpoints]]
name = "production"
base_url = "https://op.example"
hosts = ["op.example"]

[config.properties.note]
type = "string"
title = "Note"
description = "For people."

[[capabilities]]
key = "sync_files"
label = "Pull the list of files"

[[capabilities]]
key = "sync_folders"
label = "Pull the list of folders"

[[streams]]
key = "files"
label = "Files"
unit = "files"
capability = "sync_files"
modes = ["full"]
scopes = ["files.read"]

[[streams]]
key = "folders"
label = "Folders"
unit = "folders"
capability = "sync_folders"
modes = ["full"]
scopes = ["files.write"]

[rate_limit]
requests = 100
per_seconds = 1
source = "None: it is a test."
"#
    )
}

/// The registry with a testbed whose addresses are below `url`.
pub fn with_testbed(registry: Registry, url: &str, advertised: bool) -> Registry {
    let manifest = Manifest::parse(&manifest(advertised)).unwrap();
    registry
        .with(Arc::new(Testbed { manifest }))
        .with_base_url("testbed", url.parse().unwrap())
        .unwrap()
}

/// A provider that acts as before, with another manifest.
#[derive(Debug)]
struct Redeclared {
    manifest: Manifest,
    provider: Arc<dyn Provider>,
}

/// The registry with a change in what one of its providers declares.
pub fn redeclared(registry: Registry, key: &str, change: impl FnOnce(&mut Value)) -> Registry {
    let provider = Arc::clone(registry.get(key).unwrap());
    let mut manifest = serde_json::to_value(provider.manifest()).unwrap();
    // As it is published it cannot be read back; it stays as it is.
    manifest.as_object_mut().unwrap().remove("config");
    change(&mut manifest);
    let mut manifest: Manifest = serde_json::from_value(manifest).unwrap();
    manifest.config = provider.manifest().config.clone();
    registry.with(Arc::new(Redeclared { manifest, provider }))
}

#[async_trait]
impl Provider for Redeclared {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn test(&self, session: &Session) -> Result<Account, ProviderError> {
        self.provider.test(session).await
    }

    async fn pull(&self, session: &Session, pull: &Pull) -> Result<Page, ProviderError> {
        self.provider.pull(session, pull).await
    }
}

#[async_trait]
impl Provider for Testbed {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn test(&self, session: &Session) -> Result<Account, ProviderError> {
        let mut request = OutboundRequest::new(Method::GET, session.url("/me"));
        request.credentials.push(session.bearer("access_token")?);
        let answer = session.send(request).await?;
        if answer.status == 401 {
            let message = "The testbed refused the token.";
            return Err(ProviderError::new(
                FailureKind::Auth,
                message,
                "Connect again.",
            ));
        }
        let about: Value = serde_json::from_slice(&answer.body)
            .map_err(|_| ProviderError::protocol("no JSON came"))?;
        let name = about["sub"]
            .as_str()
            .ok_or_else(|| ProviderError::protocol("no account came"))?;
        Ok(Account {
            key: name.to_owned(),
            name: name.to_owned(),
            scopes: None,
        })
    }

    async fn pull(&self, _: &Session, _: &Pull) -> Result<Page, ProviderError> {
        Err(ProviderError::invalid("nothing to pull", "Do not."))
    }
}
