//! One flight: takes the lease or waits for who has it, asks the provider, commits.

mod refused;

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use patchbay_core::{
    entities::credential,
    failure::{Failure, FailureKind},
    ids::{ConnectionId, CredentialId, OrgId},
    outbound::Limits,
    secret::SecretFields,
    store::{
        StoreError,
        credentials::refresh::{RefreshLease, RefreshTurn, Refreshed},
    },
};
use patchbay_providers::{
    ProviderError,
    oauth::{self, Grant, OauthClient, OauthPlace, TokenCall, TokenError},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Fresh, Outcome, RefreshCounts, RefreshError, due_ahead, open, present, scopes::ChangedScopes,
    take_back,
};
use crate::{context::Context, jobs::opening::vault_error};

/// Longest a token endpoint may take.
const TOKEN_CALL: Duration = Duration::from_secs(30);
/// The lease outlives the call by the time that a commit may take.
const LEASE: Duration = Duration::from_secs(40);
/// How often one who waits looks at the row. One looks for a whole process.
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// A new token that the database does not take is offered to it again this often, so
/// that a failing connection does not lose what the provider has rotated.
const COMMIT_TRIES: u32 = 20;
const COMMIT_AGAIN: Duration = Duration::from_millis(500);
/// Until an operator has mended the settings.
const MISCONFIGURED: Duration = Duration::from_secs(300);

/// Which credential of whom.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) org: OrgId,
    pub(super) connection: ConnectionId,
    pub(super) provider: String,
    pub(super) config: Value,
    pub(super) credential: CredentialId,
    pub(super) version: i64,
}

/// Flies until there is an end to tell. One that was held up past its lease, so that its answer
/// counts no more, looks again: another has taken over, and it waits for what that brings.
pub(super) async fn fly(ctx: Context, subject: Subject, counts: Arc<RefreshCounts>) -> Outcome {
    let lease = RefreshLease {
        credential: subject.credential,
        version: subject.version,
        holder: Uuid::now_v7(),
    };
    loop {
        match ctx.store.lease_refresh(lease, LEASE).await.map_err(job)? {
            RefreshTurn::Busy => tokio::time::sleep(LOOK_AGAIN).await,
            RefreshTurn::Changed => {
                counts.joined.add(1);
                return present(&ctx, subject.org, subject.connection).await;
            }
            RefreshTurn::Mine { row, interrupted } => {
                if interrupted {
                    counts.interrupted.add(1);
                    tracing::warn!(
                        connection = %subject.connection,
                        "a refresh before this one was sent and never told its end"
                    );
                }
                let turn = Turn {
                    ctx: &ctx,
                    subject: &subject,
                    lease,
                    counts: &counts,
                };
                if let Some(fresh) = turn.refresh(&row).await? {
                    return Ok(fresh);
                }
            }
        }
    }
}

/// What a turn brought. `None`: it was over before its answer came, and nothing was written.
type Turned = Result<Option<Fresh>, RefreshError>;

struct Turn<'a> {
    ctx: &'a Context,
    subject: &'a Subject,
    lease: RefreshLease,
    counts: &'a RefreshCounts,
}

impl Turn<'_> {
    async fn refresh(&self, row: &credential::Model) -> Turned {
        let before = match open(self.ctx, row).await {
            Ok(before) => before,
            Err(error) => return Err(self.put_off(row, error).await),
        };
        if before.secret.get("refresh_token").is_none() {
            return self.cannot_be_renewed(row).await;
        }
        let granted = match self.ask(row, &before.secret).await {
            Ok(granted) => granted,
            Err(Asked::Impossible(error)) => return Err(self.put_off(row, error).await),
            Err(Asked::Token(error)) => return self.no_grant(row, error).await,
        };
        self.keep(row, before.secret, granted).await
    }

    /// Without a refresh token a grant ends when its access token does.
    async fn cannot_be_renewed(&self, row: &credential::Model) -> Turned {
        if row.expires_at.is_none_or(|end| end > self.ctx.clock.now()) {
            return Err(self.put_off(row, RefreshError::NotRefreshable).await);
        }
        let ended = ProviderError::new(
            FailureKind::Auth,
            "the consent has ended, and the provider gave nothing to renew it with",
            "Connect the account again; waiting jobs then go on by themselves.",
        );
        self.refused(row, ended).await
    }

    async fn ask(&self, row: &credential::Model, secret: &SecretFields) -> Result<Grant, Asked> {
        let Some(refresh_token) = secret.get("refresh_token") else {
            return Err(Asked::Impossible(RefreshError::NotRefreshable));
        };
        let (place, client) = self.place(row).await.map_err(Asked::Impossible)?;
        oauth::refresh(&self.call(&place, &client, false), refresh_token)
            .await
            .map_err(Asked::Token)
    }

    /// Where the grant lives and to which client it was given.
    async fn place(
        &self,
        row: &credential::Model,
    ) -> Result<(OauthPlace, OauthClient), RefreshError> {
        let (ctx, subject) = (self.ctx, self.subject);
        let provider = ctx.providers.get(&subject.provider);
        let place = provider.and_then(|provider| ctx.providers.oauth(&**provider, &subject.config));
        let client_id = row.client_id.as_deref().unwrap_or_default();
        let client = ctx
            .clients
            .of(ctx, subject.org, &subject.provider, client_id)
            .await
            .map_err(RefreshError::Job)?;
        place.zip(client).ok_or_else(|| {
            self.counts.misconfigured.add(1);
            RefreshError::Later {
                failure: Failure::new(
                    FailureKind::Internal,
                    format!(
                        "this worker has no OAuth client `{client_id}` of {}, to which the grant was given",
                        subject.provider
                    ),
                    "Set the client's id and secret for the workers, or connect the account again with the present client.",
                ),
                after: Some(MISCONFIGURED),
            }
        })
    }

    fn call<'c>(
        &'c self,
        place: &'c OauthPlace,
        client: &'c OauthClient,
        exempt: bool,
    ) -> TokenCall<'c> {
        TokenCall {
            outbound: &self.ctx.outbound,
            place,
            client,
            clock: &*self.ctx.clock,
            trace_context: None,
            limits: Limits {
                header: TOKEN_CALL,
                total: TOKEN_CALL,
                ..Limits::default()
            },
            exempt,
        }
    }

    /// Commits the new token before anybody uses it.
    async fn keep(
        &self,
        row: &credential::Model,
        mut secret: SecretFields,
        granted: Grant,
    ) -> Turned {
        // A provider that does not rotate answers without a refresh token: the old one stays.
        secret.0.extend(granted.fields.0.clone());
        let mut tries = 0;
        loop {
            match self.commit(row, &secret, &granted).await {
                Ok(Some(version)) => {
                    self.counts.renewed.add(1);
                    return Ok(Some(Fresh {
                        version,
                        secret,
                        expires_at: granted.expires_at,
                    }));
                }
                // What we hold is the successor of what the row holds: nobody may ask with that.
                Ok(None) if self.leases_again().await => {}
                Ok(None) => {
                    self.counts.uncommitted.add(1);
                    tracing::warn!(
                        connection = %self.subject.connection,
                        "a refreshed token came after another had taken its place; it was dropped"
                    );
                    let present =
                        present(self.ctx, self.subject.org, self.subject.connection).await;
                    if present != Err(RefreshError::Gone) {
                        return Ok(None);
                    }
                    self.take_back(row, &secret).await;
                    return Err(RefreshError::Gone);
                }
                Err(error) => {
                    tries += 1;
                    if tries == COMMIT_TRIES {
                        self.counts.uncommitted.add(1);
                        tracing::error!(
                            ?error, connection = %self.subject.connection,
                            "a refreshed token could not be committed and is lost"
                        );
                        return Err(error);
                    }
                    tracing::warn!(?error, tries, "a refreshed token is not committed yet");
                    tokio::time::sleep(COMMIT_AGAIN).await;
                }
            }
        }
    }

    /// After the lease was lost: waits for who took over, and takes it back if that brought
    /// nothing.
    async fn leases_again(&self) -> bool {
        let mut tries = 0;
        while tries < COMMIT_TRIES {
            match self.ctx.store.lease_refresh(self.lease, LEASE).await {
                Ok(RefreshTurn::Mine { .. }) => return true,
                Ok(RefreshTurn::Changed) => return false,
                Ok(RefreshTurn::Busy) => tokio::time::sleep(LOOK_AGAIN).await,
                Err(error) => {
                    tries += 1;
                    tracing::warn!(%error, tries, "the lease on a refresh is not taken again yet");
                    tokio::time::sleep(COMMIT_AGAIN).await;
                }
            }
        }
        false
    }

    /// The connection was disconnected while the provider answered: what it gave last is not
    /// what the revocation's job holds. The grant ends with the other too at providers where
    /// one revocation ends all.
    async fn take_back(&self, row: &credential::Model, secret: &SecretFields) {
        let (ctx, subject) = (self.ctx, self.subject);
        let not_ended = || {
            tracing::warn!(connection = %subject.connection, "a token that came too late was not revoked");
        };
        let Ok((place, client)) = self.place(row).await else {
            return not_ended();
        };
        let connection = ctx
            .store
            .connection(ctx.store.db(), subject.org, subject.connection)
            .await;
        let Ok(account) = connection.map(|row| row?.account_key) else {
            return not_ended();
        };
        let call = self.call(&place, &client, true);
        take_back(&ctx.store, &call, account.as_deref(), secret).await;
    }

    async fn commit(
        &self,
        row: &credential::Model,
        secret: &SecretFields,
        granted: &Grant,
    ) -> Result<Option<i64>, RefreshError> {
        let (ctx, subject) = (self.ctx, self.subject);
        let tx = ctx.store.begin().await.map_err(job)?;
        let changed = ChangedScopes::hold(ctx, &tx, subject, row, granted);
        let changed = changed.await.map_err(job)?;
        let sealed = ctx
            .vault
            .close_credential(
                &ctx.store,
                &tx,
                subject.org,
                subject.connection,
                row.id,
                secret,
            )
            .await
            .map_err(|error| RefreshError::Job(vault_error(error)))?;
        let new = Refreshed {
            sealed,
            mask: json!(secret.masks()),
            expires_at: granted.expires_at,
            refresh_expires_at: granted.refresh_expires_at.or(row.refresh_expires_at),
            refresh_due_at: due_ahead(subject.connection, ctx.clock.now(), granted.expires_at),
            scopes: granted.scopes.clone(),
        };
        let version = ctx
            .store
            .commit_refresh(&tx, self.lease, new)
            .await
            .map_err(job)?;
        if let (Some(changed), Some(_)) = (changed, version) {
            changed.note(ctx, &tx).await.map_err(job)?;
        }
        tx.commit()
            .await
            .map_err(|error| job(StoreError::from(error)))?;
        Ok(version)
    }

    async fn no_grant(&self, row: &credential::Model, error: TokenError) -> Turned {
        let why = match error {
            TokenError::Refused(error) => return self.refused(row, error).await,
            TokenError::Misconfigured(error) => {
                self.counts.misconfigured.add(1);
                later(error, Some(MISCONFIGURED))
            }
            TokenError::Later { error, after, .. } => {
                self.counts.postponed.add(1);
                if error.paused {
                    return Err(self.held_back(error).await);
                }
                later(error, after)
            }
            TokenError::Unknown(error) => {
                self.counts.unanswered.add(1);
                later(error, None)
            }
        };
        Err(self.put_off(row, why).await)
    }

    /// Ends the lease; somebody tries again later.
    async fn put_off(&self, row: &credential::Model, error: RefreshError) -> RefreshError {
        let put_off = (self.ctx.store).postpone_refresh(self.lease, row.refresh_failures);
        tell_if_kept(put_off.await);
        error
    }

    /// The same where nothing was sent: it says nothing of the grant.
    async fn held_back(&self, error: ProviderError) -> RefreshError {
        let now = self.ctx.clock.now();
        let pause = error.retry_after.unwrap_or_default();
        let until = now + TimeDelta::from_std(pause).unwrap_or_default();
        let held_back = self.ctx.store.hold_refresh(self.lease, until);
        tell_if_kept(held_back.await);
        RefreshError::Held(error.into_job_error(now, None))
    }
}

enum Asked {
    /// Nothing was sent.
    Impossible(RefreshError),
    /// The token endpoint gave no grant.
    Token(TokenError),
}

fn tell_if_kept(given_back: Result<bool, StoreError>) {
    if let Err(error) = given_back {
        tracing::debug!(%error, "the lease on a refresh was not given back; it runs out");
    }
}

fn later(error: ProviderError, after: Option<Duration>) -> RefreshError {
    RefreshError::Later {
        failure: error.failure(),
        after,
    }
}

fn job(error: StoreError) -> RefreshError {
    RefreshError::Job(error.into())
}
