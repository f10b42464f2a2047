//! Opening a connection for work: row, credential, session; and what a refusal
//! by the provider does to the connection.

use patchbay_core::{
    connection::{ConnectionStatus, CredentialOrigin},
    entities::connection,
    events::EventKind,
    failure::{Failure, FailureKind},
    hints::Signal,
    ids::{ConnectionId, CredentialId, OrgId},
    job::{JobError, JobKind, Next},
    secret::SecretFields,
    store::events::NewEvent,
    vault::VaultError,
};
use patchbay_providers::{Provider, ProviderError, Session, oauth::OauthClient};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;

use super::{checking, connection_test::hint};
use crate::{breaker, context::Context, refresh::RefreshError, run::JobRun};

/// A connection with its provider, ready for work.
#[derive(Debug)]
pub struct Opened {
    /// The row as it was read.
    pub row: connection::Model,
    /// Its provider.
    pub provider: Arc<dyn Provider>,
    /// What the provider's code acts with.
    pub session: Session,
    /// Which credential the session holds.
    pub credential: CredentialId,
    /// Which version of it.
    pub credential_version: i64,
    /// Whether a consent granted it, so that it may be renewed.
    pub granted: bool,
}

/// The job's arguments in their type.
///
/// # Errors
/// They were written by another version of the product.
pub fn args<T: DeserializeOwned>(run: &JobRun) -> Result<T, JobError> {
    serde_json::from_value(run.job.args.clone()).map_err(|error| {
        fail(
            FailureKind::Internal,
            format!("the arguments of this job cannot be read: {error}"),
            "Ask for the work again; if it stays, API and workers run different versions.",
        )
    })
}

/// The org of a job that must have one.
///
/// # Errors
/// The row has none.
pub fn org(run: &JobRun) -> Result<OrgId, JobError> {
    run.job.org_id.ok_or_else(|| {
        fail(
            FailureKind::Internal,
            "this job names no organization",
            "Report it with the job's id.",
        )
    })
}

/// The org and connection of a job that must have both.
///
/// # Errors
/// The row lacks one of them.
pub fn subject(run: &JobRun) -> Result<(OrgId, ConnectionId), JobError> {
    run.job.org_id.zip(run.job.connection_id).ok_or_else(|| {
        fail(
            FailureKind::Internal,
            "this job names no connection",
            "Report it with the job's id.",
        )
    })
}

/// Reads the connection and finds its provider.
///
/// # Errors
/// It is disconnected, or its provider is not in this version.
pub async fn find(
    run: &JobRun,
    ctx: &Context,
) -> Result<(connection::Model, Arc<dyn Provider>), JobError> {
    let (org, id) = subject(run)?;
    find_one(run, ctx, org, id).await
}

/// The same of any connection, for jobs that work on several.
///
/// # Errors
/// As [`find`].
pub async fn find_one(
    run: &JobRun,
    ctx: &Context,
    org: OrgId,
    id: ConnectionId,
) -> Result<(connection::Model, Arc<dyn Provider>), JobError> {
    let (row, provider) = find_any(run, ctx, org, id).await?;
    if row.status == ConnectionStatus::Disconnected {
        return Err(gone());
    }
    Ok((row, provider))
}

fn gone() -> JobError {
    fail(
        FailureKind::Invalid,
        "the connection was disconnected before this job ran",
        "Connect the account again and ask anew.",
    )
}

/// The same, also where it is disconnected.
///
/// # Errors
/// There is none, or its provider is not in this version.
pub async fn find_any(
    run: &JobRun,
    ctx: &Context,
    org: OrgId,
    id: ConnectionId,
) -> Result<(connection::Model, Arc<dyn Provider>), JobError> {
    let row = ctx.store.connection(ctx.store.db(), org, id).await?;
    let row = row.ok_or_else(gone)?;
    let Some(provider) = ctx.providers.get(&row.provider).cloned() else {
        return Err(fail(
            FailureKind::Internal,
            format!("this worker does not know the provider `{}`", row.provider),
            "Run workers of the version that the API has.",
        ));
    };
    let manifest = provider.manifest();
    run.log
        .explain(manifest.auth.kind.opening(), &manifest.impact);
    Ok((row, provider))
}

/// Opens the connection with its current credential.
///
/// # Errors
/// Parks where there is no credential or the connection is switched off.
pub async fn open(run: &JobRun, ctx: &Context) -> Result<Opened, JobError> {
    let (org, id) = subject(run)?;
    open_one(run, ctx, org, id).await
}

/// The same of any connection, for jobs that work on several.
///
/// # Errors
/// As [`open`].
pub async fn open_one(
    run: &JobRun,
    ctx: &Context,
    org: OrgId,
    id: ConnectionId,
) -> Result<Opened, JobError> {
    let (row, provider) = find_one(run, ctx, org, id).await?;
    if row.status == ConnectionStatus::Disabled {
        return Err(park(
            None,
            "the connection is switched off",
            "Switch it on; the job then goes on by itself.",
        ));
    }
    let Some(credential) = ctx
        .store
        .current_credential(ctx.store.db(), row.org_id, row.id)
        .await?
    else {
        return Err(park(
            None,
            "the connection has no credential",
            "Set its credential; the job then goes on by itself.",
        ));
    };
    let usable = tokio::select! {
        usable = ctx.refresher.usable(ctx, &row, &credential) => usable,
        () = run.stop.cancelled() => return Err(run.released()),
    };
    let fresh = usable?;
    let client = client_for_calls(ctx, &row, &*provider, credential.client_id.as_deref()).await?;
    let client_secret = client.as_ref().and_then(|client| client.secret.as_ref());
    client_secret.inspect(|secret| run.log.hide(secret));
    let session = session(run, ctx, &*provider, row.config.clone(), fresh.secret);
    let session = session.with_client(client);
    Ok(Opened {
        row,
        provider,
        session,
        credential: credential.id,
        credential_version: fresh.version,
        granted: credential.origin == CredentialOrigin::Consent,
    })
}

/// The OAuth client of the grant, where the provider's API asks for it in every call.
async fn client_for_calls(
    ctx: &Context,
    row: &connection::Model,
    provider: &dyn Provider,
    client_id: Option<&str>,
) -> Result<Option<OauthClient>, JobError> {
    let rules = provider.manifest().auth.oauth.as_ref();
    match client_id {
        Some(id) if rules.is_some_and(|rules| rules.client_in_api) => {
            ctx.clients.of(ctx, row.org_id, &row.provider, id).await
        }
        Some(_) | None => Ok(None),
    }
}

/// A session with any config and secret, such as a candidate's.
#[must_use]
pub fn session(
    run: &JobRun,
    ctx: &Context,
    provider: &dyn Provider,
    config: Value,
    secret: SecretFields,
) -> Session {
    secret.0.values().for_each(|secret| run.log.hide(secret));
    let trace = run.job.trace_context.clone();
    let mut session = ctx.providers.open(
        provider,
        ctx.outbound.clone(),
        ctx.clock.clone(),
        config,
        secret,
        trace,
    );
    session.subject.exempt = breaker::is_exempt(run.job.kind);
    session
}

impl Opened {
    /// After the provider has refused the token (401): takes a newer one, if there is one to
    /// be had. True: the session holds it, the call may be made once more. False: the
    /// refusal stands.
    ///
    /// # Errors
    /// There may be a newer one later, or the consent has ended.
    pub async fn renewed(
        &mut self,
        run: &JobRun,
        ctx: &Context,
        refusal: &ProviderError,
    ) -> Result<bool, JobError> {
        if !self.granted || refusal.kind != FailureKind::Auth {
            return Ok(false);
        }
        let renewed = tokio::select! {
            renewed = ctx.refresher.renew(ctx, &self.row, self.credential, self.credential_version) => renewed,
            () = run.stop.cancelled() => return Err(run.released()),
        };
        match renewed {
            Ok(fresh) => {
                let config = self.session.config.clone();
                let client = self.session.client.take();
                let session = session(run, ctx, &*self.provider, config, fresh.secret);
                self.session = session.with_client(client);
                self.credential_version = fresh.version;
                Ok(true)
            }
            Err(RefreshError::NotRefreshable) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// What the job does about a provider's error. A definitive refusal of the
    /// credential in force breaks the connection and parks its waiting jobs; a late
    /// refusal of an old one changes nothing.
    ///
    /// # Errors
    /// Always: the error that the body returns.
    pub async fn refused<T>(
        &self,
        run: &JobRun,
        ctx: &Context,
        error: ProviderError,
    ) -> Result<T, JobError> {
        let failure = run.log.scrub_failure(error.failure());
        run.log
            .warn(
                &failure.message,
                json!({ "kind": failure.kind, "code": failure.code }),
            )
            .await;
        // "Later" is no fault of the connection.
        if !error.paused {
            self.note(run, ctx, &failure).await?;
        }
        let error = error.into_job_error(ctx.clock.now(), Some(self.credential_version));
        Err(breaker::spare(&self.session, error))
    }

    /// Writes down what went wrong with the credential in force.
    ///
    /// # Errors
    /// The database, or a lost lease.
    pub async fn note(
        &self,
        run: &JobRun,
        ctx: &Context,
        failure: &Failure,
    ) -> Result<(), JobError> {
        match failure.kind {
            FailureKind::Auth => self.break_connection(run, ctx, failure).await,
            // "Later" is no fault of the connection.
            FailureKind::RateLimited => Ok(()),
            _ => self.count_failure(run, ctx, failure).await,
        }
    }

    async fn break_connection(
        &self,
        run: &JobRun,
        ctx: &Context,
        failure: &Failure,
    ) -> Result<(), JobError> {
        let (tx, row) = run.begin_fenced_on(self.row.org_id, self.row.id).await?;
        let Some(row) = row else { return Ok(()) };
        let current = ctx
            .store
            .current_credential(&tx, row.org_id, row.id)
            .await?;
        let usable = matches!(
            row.status,
            ConnectionStatus::Active | ConnectionStatus::Pending
        );
        if current.is_some_and(|credential| credential.version == self.credential_version) && usable
        {
            let status = if self.granted {
                ctx.store
                    .refuse_grant(&tx, self.credential, self.credential_version)
                    .await?;
                ConnectionStatus::Expired
            } else {
                ConnectionStatus::Error
            };
            ctx.store
                .note_failure(&tx, &row, failure, Some(status))
                .await?;
            let parked = ctx.store.jobs().park_queued(&tx, row.id).await?;
            let event = NewEvent::new(row.org_id, EventKind::ConnectionCredentialRefused, "system")
                .connection(row.id)
                .job(run.job.id)
                .data(json!({ "failure": failure, "parked_jobs": parked.len() + 1 }));
            ctx.store.record_event(&tx, event).await?;
        }
        tx.commit().await?;
        signal(run, ctx, &self.row).await;
        Ok(())
    }

    async fn count_failure(
        &self,
        run: &JobRun,
        ctx: &Context,
        failure: &Failure,
    ) -> Result<(), JobError> {
        let (tx, row) = run.begin_fenced_on(self.row.org_id, self.row.id).await?;
        let mut check = None;
        if let Some(row) = row {
            ctx.store.note_failure(&tx, &row, failure, None).await?;
            // Was it this work, or is it the connection? A test has just asked that.
            if run.job.kind != JobKind::ConnectionTest {
                check = checking::soon(ctx, &tx, &row).await?;
            }
        }
        tx.commit().await?;
        hint(ctx, check.as_slice()).await;
        signal(run, ctx, &self.row).await;
        Ok(())
    }
}

/// Tells watchers of the org to look at the connection again. Best effort.
pub async fn signal(run: &JobRun, ctx: &Context, row: &connection::Model) {
    let signal = Signal::Connection {
        org: row.org_id,
        connection: row.id,
    };
    if let Err(away) = ctx.hints.signal(signal).await {
        tracing::debug!(%away, job = %run.job.id, "signal not sent");
    }
}

/// An end without another try.
pub fn fail(kind: FailureKind, message: impl Into<String>, action: impl Into<String>) -> JobError {
    JobError {
        next: Next::Fail,
        failure: Failure::new(kind, message, action),
    }
}

fn park(credential_version: Option<i64>, message: &str, action: &str) -> JobError {
    JobError {
        next: Next::Park { credential_version },
        failure: Failure::new(FailureKind::Auth, message, action),
    }
}

/// A vault that cannot open a credential is a fault of the deployment, not of the account:
/// the job waits for the operator through its retries and then says what to do.
pub fn vault_error(error: VaultError) -> JobError {
    match error {
        VaultError::Store(error) => error.into(),
        VaultError::KeyMissing(_) | VaultError::Unopenable => JobError {
            next: Next::Retry { after: None },
            failure: Failure::new(
                FailureKind::Internal,
                error.to_string(),
                "Check that this worker has the deployment's keyring; else set the credential anew.",
            ),
        },
    }
}
