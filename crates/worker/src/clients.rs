//! The OAuth clients that grants are given to: the deployment's, from settings that only
//! workers read, and those of orgs that have their own.

use std::collections::BTreeMap;

use patchbay_core::{
    failure::FailureKind,
    ids::OrgId,
    job::JobError,
    secret::Secret,
    vault::{
        VaultError,
        columns::{Cell, OAUTH_CLIENT},
    },
};
use patchbay_providers::oauth::OauthClient;

use crate::{
    context::Context,
    jobs::opening::{fail, vault_error},
};

/// The deployment's clients by provider key.
#[derive(Debug, Default)]
pub struct OauthClients {
    deployment: BTreeMap<String, OauthClient>,
}

impl OauthClients {
    /// The clients that the settings name.
    #[must_use]
    pub fn new(deployment: BTreeMap<String, OauthClient>) -> Self {
        Self { deployment }
    }

    /// The client of this id at a provider: the org's own, or the deployment's. A grant knows
    /// the id it was given to, and only that client can renew or end it.
    ///
    /// # Errors
    /// The database, or an org's secret that this keyring cannot open.
    pub async fn of(
        &self,
        ctx: &Context,
        org: OrgId,
        provider: &str,
        client_id: &str,
    ) -> Result<Option<OauthClient>, JobError> {
        let own = ctx
            .store
            .oauth_client(ctx.store.db(), org, provider)
            .await?
            .filter(|row| row.client_id == client_id);
        let Some(row) = own else {
            let deployments = self.deployment.get(provider);
            return Ok(deployments.filter(|client| client.id == client_id).cloned());
        };
        let secret = match &row.secret {
            Some(sealed) => {
                let cell = Cell::new(&OAUTH_CLIENT, &[row.id.0]);
                let plain = ctx.vault.open(&ctx.store, org, &cell, sealed).await;
                let plain = plain.map_err(vault_error)?;
                let text = std::str::from_utf8(&plain);
                let text = text.map_err(|_| vault_error(VaultError::Unopenable))?;
                Some(Secret::new(text))
            }
            // The mask stays when the operator deletes an org's secrets for good.
            None if row.mask.is_some() => {
                return Err(fail(
                    FailureKind::Invalid,
                    "the secret of the organization's own OAuth client was deleted for good by the operator",
                    "Set the client again, with its secret.",
                ));
            }
            None => None,
        };
        Ok(Some(OauthClient {
            id: row.client_id,
            secret,
        }))
    }
}
