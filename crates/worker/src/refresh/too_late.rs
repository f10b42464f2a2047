//! What a provider gave and no connection will keep: it ends there as well, once, best effort.
//! Who gave it can remove the app in the account's settings.

use patchbay_core::{secret::SecretFields, store::Store};
use patchbay_providers::oauth::{self, TokenCall};

/// Revokes a grant that nobody keeps. Not where the account is connected by the same client: at
/// most providers a revocation ends everything that the account granted to it.
pub async fn take_back(
    store: &Store,
    call: &TokenCall<'_>,
    account: Option<&str>,
    secret: &SecretFields,
) {
    let is_connected = match account {
        Some(account) => {
            let (provider, client) = (&call.place.provider, &call.client.id);
            store.account_is_connected(provider, account, client).await
        }
        None => Ok(false),
    };
    match is_connected {
        Ok(true) => {}
        Ok(false) => {
            if let Err(error) = oauth::revoke(call, secret).await {
                tracing::warn!(error = %error.error(), "a token that came too late was not revoked");
            }
        }
        Err(error) => tracing::warn!(%error, "a token that came too late was not revoked"),
    }
}
