//! Exchanges the code of a consent for a grant, asks whose account it opens, and makes it the
//! credential of that account's connection. A code works once: it is sent again only where
//! certainly nothing came of it (no connection, or a 429), and a run that finds it sent before
//! does not send it again. What nobody knows the end of ends as "connect again".

mod adopt;
mod counts;

use std::time::Duration;

use patchbay_core::{
    entities::consent,
    events::EventKind,
    failure::{Failure, FailureKind, NextAction, NextActionKind},
    ids::OrgId,
    job::{JobError, Next, SealedArgs},
    job_args::ConsentExchangeArgs,
    outbound::Limits,
    secret::{Secret, SecretFields},
    store::events::NewEvent,
};
use patchbay_providers::{
    Account, Provider, ProviderError,
    oauth::{self, Grant, OauthClient, OauthPlace, TokenCall, TokenError},
};
use serde_json::{Value, json};
use url::Url;

pub use counts::ConsentCounts;

use super::opening::{self, args, fail, vault_error};
use crate::{context::Context, refresh::take_back, run::JobRun};

/// Longest a token endpoint may take.
const TOKEN_CALL: Duration = Duration::from_secs(30);
/// Pauses before the code is offered again where the provider took nothing: a person waits.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// Longest that a grant which no connection keeps is taken back for: a person waits.
const TAKING_BACK: Duration = Duration::from_secs(5);
/// What to do about nearly everything.
const AGAIN: &str = "Connect again.";

/// What came of a consent that did not end in a connection.
enum Lost {
    /// It is settled, and why.
    Failed(Failure),
    /// The run itself came to nothing: stopped, fenced off, or the database is away.
    Run(JobError),
}

impl<E: Into<JobError>> From<E> for Lost {
    fn from(error: E) -> Self {
        Self::Run(error.into())
    }
}

/// Everything the exchange works with.
struct Exchange<'a> {
    run: &'a JobRun,
    ctx: &'a Context,
    org: OrgId,
    consent: &'a consent::Model,
    provider: &'a dyn Provider,
    place: OauthPlace,
    client: OauthClient,
}

/// The body of `consent_exchange`. Its result names the connection.
///
/// # Errors
/// The provider or the account speaks against it, or nobody knows what became of the code.
pub async fn run(run: &JobRun, ctx: &Context) -> Result<Value, JobError> {
    let args: ConsentExchangeArgs = args(run)?;
    let org = run.job.org_id.ok_or_else(|| {
        fail(
            FailureKind::Internal,
            "this job names no organization",
            "Report it with the job's id.",
        )
    })?;
    let consent = ctx.store.consent(ctx.store.db(), org, args.consent).await?;
    let consent = consent
        .ok_or_else(|| fail(FailureKind::Invalid, "the consent is no longer kept", AGAIN))?;
    let ended = match Exchange::prepare(run, ctx, org, &consent).await {
        Ok(exchange) => exchange.go().await,
        Err(lost) => Err(lost),
    };
    match ended {
        Ok(result) => {
            ctx.consents.connected.add(1);
            Ok(result)
        }
        Err(Lost::Run(error)) => Err(error),
        Err(Lost::Failed(failure)) => {
            ctx.consents.count_failure(&failure);
            let failure = run.log.scrub_failure(with_next_step(failure));
            note(run, ctx, &consent, &failure).await?;
            Err(JobError {
                next: Next::Fail,
                failure,
            })
        }
    }
}

/// Whatever it was, a person gives the consent once more, unless an operator must mend
/// something first.
fn with_next_step(mut failure: Failure) -> Failure {
    let next = match failure.kind {
        FailureKind::Internal | FailureKind::Blocked | FailureKind::Crash => {
            NextActionKind::ContactOperator
        }
        _ => NextActionKind::Reconnect,
    };
    failure.next_action.get_or_insert(NextAction::of(next));
    failure
}

/// Writes down that it came to nothing.
async fn note(
    run: &JobRun,
    ctx: &Context,
    consent: &consent::Model,
    failure: &Failure,
) -> Result<(), JobError> {
    run.log
        .warn(
            &failure.message,
            json!({ "kind": failure.kind, "code": failure.code }),
        )
        .await;
    let tx = run.begin_fenced().await?;
    let mut event = NewEvent::new(
        consent.org_id,
        EventKind::ConsentFailed,
        &consent.requested_by,
    )
    .job(run.job.id)
    .data(json!({ "provider": consent.provider, "consent": consent.id, "failure": failure }));
    if let Some(connection) = consent.connection_id {
        event = event.connection(connection);
    }
    ctx.store.record_event(&tx, event).await?;
    tx.commit().await?;
    Ok(())
}

impl<'a> Exchange<'a> {
    async fn prepare(
        run: &'a JobRun,
        ctx: &'a Context,
        org: OrgId,
        consent: &'a consent::Model,
    ) -> Result<Self, Lost> {
        let unknown = || {
            Lost::Run(fail(
                FailureKind::Internal,
                format!(
                    "this worker does not know consents of `{}`",
                    consent.provider
                ),
                "Run workers of the version that the API has.",
            ))
        };
        let provider = ctx.providers.get(&consent.provider).ok_or_else(unknown)?;
        let place = ctx.providers.oauth(&**provider, &consent.config);
        let place = place.ok_or_else(unknown)?;
        let client = ctx
            .clients
            .of(ctx, org, &consent.provider, &consent.client_id)
            .await?;
        let client = client.ok_or_else(|| {
            Lost::Failed(Failure::new(
                FailureKind::Internal,
                format!(
                    "the workers do not know the app `{}` that this consent was asked for with",
                    consent.client_id
                ),
                format!(
                    "Set `oauth.{}.client_id` and `oauth.{}.client_secret` for the workers as for the API, or the \
                     organization's own app, and connect again.",
                    consent.provider, consent.provider
                ),
            ))
        })?;
        Ok(Self {
            run,
            ctx,
            org,
            consent,
            provider: &**provider,
            place,
            client,
        })
    }

    async fn go(&self) -> Result<Value, Lost> {
        let (code, query) = self.callback()?;
        let verifier = self.verifier()?;
        oauth::check_callback(
            &self.place,
            &self.client,
            &query,
            &self.consent.config,
            self.ctx.clock.now(),
        )
        .map_err(failed)?;
        self.begin().await?;
        let grant = self.exchange(&code, verifier.as_ref()).await?;
        for secret in grant.fields.0.values() {
            self.run.log.hide(secret);
        }
        let account = self.account(&grant).await?;
        let adopted = adopt::adopt(self, &grant, &account).await;
        if let Err(Lost::Failed(_)) = &adopted {
            // No connection keeps it.
            let mut call = self.call();
            call.limits.total = TAKING_BACK;
            take_back(&self.ctx.store, &call, Some(&account.key), &grant.fields).await;
        }
        adopted
    }

    /// The code and the query that came back, which only a worker opens.
    fn callback(&self) -> Result<(Secret, Vec<(String, String)>), Lost> {
        let job = &self.run.job;
        let (Some(bytes), Some(key_id)) = (job.sealed.clone(), job.sealed_key.clone()) else {
            return Err(Lost::Failed(Failure::new(
                FailureKind::Invalid,
                "the code of this consent is no longer kept",
                AGAIN,
            )));
        };
        let mut fields = self.open(SealedArgs { bytes, key_id })?;
        let query = fields.0.remove("query");
        let query = query.and_then(|text| serde_json::from_str(text.expose()).ok());
        match fields.0.remove("code").zip(query) {
            Some((code, query)) => {
                self.run.log.hide(&code);
                Ok((code, query))
            }
            None => Err(Lost::Run(fail(
                FailureKind::Internal,
                "the arguments of this job cannot be read",
                "Connect again; if it stays, API and workers run different versions.",
            ))),
        }
    }

    fn verifier(&self) -> Result<Option<Secret>, Lost> {
        let (bytes, key_id) = (&self.consent.verifier, &self.consent.verifier_key);
        let Some((bytes, key_id)) = bytes.clone().zip(key_id.clone()) else {
            return Ok(None);
        };
        let mut fields = self.open(SealedArgs { bytes, key_id })?;
        let verifier = fields.0.remove("verifier");
        if let Some(verifier) = &verifier {
            self.run.log.hide(verifier);
        }
        Ok(verifier)
    }

    fn open(&self, sealed: SealedArgs) -> Result<SecretFields, Lost> {
        let opened = self.ctx.vault.open_args(self.org, self.run.job.id, &sealed);
        Ok(opened.map_err(vault_error)?)
    }

    /// Commits, before the code is sent, that it was.
    async fn begin(&self) -> Result<(), Lost> {
        let tx = self.run.begin_fenced().await?;
        let begun = self
            .ctx
            .store
            .begin_exchange(&tx, self.org, self.consent.id)
            .await?;
        if !begun {
            tx.rollback().await?;
            return Err(Lost::Failed(Failure::new(
                FailureKind::UnknownOutcome,
                "the code of this consent was sent before, and its answer was lost",
                "Connect again: a code works once, so nothing was connected.",
            )));
        }
        tx.commit().await?;
        Ok(())
    }

    async fn exchange(&self, code: &Secret, verifier: Option<&Secret>) -> Result<Grant, Lost> {
        let redirect_uri = Url::parse(&self.consent.redirect_uri).map_err(|_| {
            fail(
                FailureKind::Internal,
                "the consent's redirect URI is no address",
                "Report it with the job's id.",
            )
        })?;
        let call = self.call();
        self.run
            .log
            .info("exchanging the code for a grant", json!({}))
            .await;
        let mut pauses = PAUSES.into_iter();
        loop {
            // Not cut off by a stop: a code that is on the wire may be used up.
            let error = match oauth::exchange(&call, code, &redirect_uri, verifier).await {
                Ok(grant) => return Ok(grant),
                Err(error) => error,
            };
            let pause = pauses
                .next()
                .filter(|pause| may_be_sent_again(&error, *pause));
            let Some(pause) = pause else {
                return Err(Lost::Failed(no_grant(error)));
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.run.stop.cancelled() => return Err(Lost::Failed(no_grant(error))),
            }
        }
    }

    /// A call of the token endpoint.
    fn call(&self) -> TokenCall<'_> {
        TokenCall {
            outbound: &self.ctx.outbound,
            place: &self.place,
            client: &self.client,
            clock: &*self.ctx.clock,
            trace_context: self.run.job.trace_context.as_deref(),
            limits: Limits {
                total: TOKEN_CALL,
                ..Limits::default()
            },
            // A code lives for minutes, and somebody waits.
            exempt: true,
        }
    }

    /// Whose account the grant opens.
    async fn account(&self, grant: &Grant) -> Result<Account, Lost> {
        let session = opening::session(
            self.run,
            self.ctx,
            self.provider,
            self.consent.config.clone(),
            grant.fields.clone(),
        )
        .with_client(Some(self.client.clone()));
        self.run
            .log
            .info("asking the provider whose account this is", json!({}))
            .await;
        let tested = tokio::select! {
            tested = self.provider.test(&session) => tested,
            () = self.run.stop.cancelled() => {
                return Err(Lost::Failed(Failure::new(
                    FailureKind::UnknownOutcome,
                    "the worker stopped before it knew whose account this is",
                    AGAIN,
                )));
            }
        };
        tested.map_err(|error| {
            let mut failure = error.failure();
            failure.message = format!(
                "the consent was given, but the account did not answer its first call: {}",
                failure.message
            );
            failure.action = format!("{} {AGAIN}", failure.action);
            Lost::Failed(failure)
        })
    }
}

fn failed(error: ProviderError) -> Lost {
    Lost::Failed(error.failure())
}

/// Whether certainly nothing came of the code, and the provider asked for no longer pause.
fn may_be_sent_again(error: &TokenError, pause: Duration) -> bool {
    match error {
        TokenError::Later {
            untouched, after, ..
        } => *untouched && after.is_none_or(|asked| asked <= pause),
        TokenError::Refused(_) | TokenError::Misconfigured(_) | TokenError::Unknown(_) => false,
    }
}

/// Why there is no grant. What the provider may have done with the code is not repeated.
fn no_grant(error: TokenError) -> Failure {
    match error {
        TokenError::Refused(error) | TokenError::Misconfigured(error) => error.failure(),
        TokenError::Later {
            error,
            untouched: true,
            ..
        } => Failure {
            action: "Connect again in a moment.".into(),
            ..error.failure()
        },
        TokenError::Unknown(error)
        | TokenError::Later {
            error,
            untouched: false,
            ..
        } => Failure {
            kind: FailureKind::UnknownOutcome,
            message: format!(
                "the provider's answer to the code was lost or not usable: {}",
                error.message
            ),
            action: "Connect again: a code works once, so nothing was connected.".into(),
            ..error.failure()
        },
    }
}
