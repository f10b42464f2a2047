//! Tries a candidate credential and config at the provider. Only what has passed
//! becomes current; what has failed changes nothing that works.

use patchbay_core::{
    connection::{ConnectionStatus, Shortfall},
    entities::connection,
    events::EventKind,
    failure::{Failure, FailureKind},
    ids::CredentialId,
    job::{JobError, Next, SealedArgs},
    job_args::ConnectionTestArgs,
    secret::SecretFields,
    store::{connections::TestedAccount, credentials::NewCredential, events::NewEvent, jobs::Due},
};
use patchbay_providers::{Account, ProviderError, Session};
use serde_json::{Value, json};

use super::opening::{self, args, fail, signal, vault_error};
use crate::{context::Context, run::JobRun};

/// The body of `connection_test`. Its result names the account that the credential opens.
///
/// # Errors
/// The provider refused or did not answer, or the credential opens another account.
pub async fn run(run: &JobRun, ctx: &Context) -> Result<Value, JobError> {
    let args: ConnectionTestArgs = args(run)?;
    let (row, provider) = if args.revives.is_some() {
        let (org, id) = opening::subject(run)?;
        opening::find_any(run, ctx, org, id).await?
    } else {
        opening::find(run, ctx).await?
    };
    let session_with = |secret| opening::session(run, ctx, &*provider, args.config.clone(), secret);
    let candidate = candidate(run, ctx, &row).await?;
    let (mut session, mut in_force) = match &candidate {
        Some(secret) => (session_with(secret.clone()), None),
        None => {
            let opened = opening::open(run, ctx).await?;
            let unchanged = opened.row.config == args.config;
            let client = opened.session.client.clone();
            (
                session_with(opened.session.secret.clone()).with_client(client),
                unchanged.then_some(opened),
            )
        }
    };
    run.log
        .info(
            "asking the provider whose account this credential opens",
            json!({}),
        )
        .await;
    let ask = async |session: &Session| {
        tokio::select! {
            tested = provider.test(session) => Ok(tested),
            () = run.stop.cancelled() => Err(run.released()),
        }
    };
    let mut tested = ask(&session).await?;
    if let (Err(error), Some(opened)) = (&tested, &mut in_force)
        && opened.renewed(run, ctx, error).await?
    {
        let client = opened.session.client.clone();
        session = session_with(opened.session.secret.clone()).with_client(client);
        tested = ask(&session).await?;
    }
    let account = match tested {
        Ok(account) => account,
        Err(error) => {
            // What is in force was tried as it is: its refusal is no candidate's.
            if let Some(opened) = &in_force {
                opened
                    .note(run, ctx, &run.log.scrub_failure(error.failure()))
                    .await?;
            }
            return refused(run, ctx, &row, error).await;
        }
    };
    if row
        .account_key
        .as_ref()
        .is_some_and(|key| *key != account.key)
    {
        return other_account(run, ctx, &row, &account).await;
    }
    let result = adopt(run, ctx, &row, args, candidate, &account).await?;
    run.log
        .info("the credential works", json!({ "account": account.name }))
        .await;
    Ok(result)
}

/// The new credential that came sealed with the job, if one came.
async fn candidate(
    run: &JobRun,
    ctx: &Context,
    row: &connection::Model,
) -> Result<Option<SecretFields>, JobError> {
    let (bytes, key_id) = match (run.job.sealed.clone(), run.job.sealed_key.clone()) {
        (Some(bytes), Some(key_id)) => (bytes, key_id),
        // Testing what is in force instead would say "works" of a secret that nobody tried.
        (None, Some(_)) => {
            return Err(fail(
                FailureKind::Invalid,
                "the secret that this test was asked for is no longer kept",
                "Send the credential again.",
            ));
        }
        (_, None) => return Ok(None),
    };
    let sealed = SealedArgs { bytes, key_id };
    ctx.vault
        .open_args(row.org_id, run.job.id, &sealed)
        .map(Some)
        .map_err(vault_error)
}

/// Makes the candidate current and lets waiting work go on, in one transaction.
async fn adopt(
    run: &JobRun,
    ctx: &Context,
    row: &connection::Model,
    args: ConnectionTestArgs,
    candidate: Option<SecretFields>,
    account: &Account,
) -> Result<Value, JobError> {
    let (tx, held) = run.begin_fenced_on(row.org_id, row.id).await?;
    let Some(mut held) = held else {
        return Err(fail(
            FailureKind::Invalid,
            "the connection is gone",
            "Connect the account again.",
        ));
    };
    if held.status == ConnectionStatus::Disconnected {
        if args.revives != held.disconnected_at {
            return Err(fail(
                FailureKind::Invalid,
                "the connection was disconnected while its credential was tested",
                "Connect the account again.",
            ));
        }
        held = match ctx.store.bring_back_connection(&tx, &held).await? {
            Some(row) => row,
            None => {
                drop(tx);
                let failure = Failure::new(
                    FailureKind::Conflict,
                    "the organization connected another account of this provider meanwhile, which allows one",
                    "Disconnect that one first, and send the credential again.",
                );
                note_failed_test(run, ctx, row, &failure).await?;
                return Err(JobError {
                    next: Next::Fail,
                    failure,
                });
            }
        };
    }
    let actor = &run.job.requested_by;
    if let Some(secret) = candidate {
        let id = CredentialId::new(ctx.store.clock());
        let sealed = ctx
            .vault
            .close_credential(&ctx.store, &tx, held.org_id, held.id, id, &secret)
            .await
            .map_err(vault_error)?;
        let new = NewCredential {
            id,
            sealed,
            mask: json!(secret.masks()),
            expires_at: None,
            created_by: actor.clone(),
            grant: None,
        };
        ctx.store
            .replace_credential(&tx, held.org_id, held.id, new)
            .await?;
        // What a consent lacked went with it.
        held = ctx
            .store
            .set_refused(&tx, &held, &Shortfall::new(), None)
            .await?;
    }
    let tested = TestedAccount {
        key: account.key.clone(),
        name: account.name.clone(),
    };
    let updated = ctx
        .store
        .activate_connection(&tx, &held, args.config, &tested, actor)
        .await?;
    let released = if updated.status == ConnectionStatus::Active {
        ctx.store.jobs().unpark(&tx, held.id).await?
    } else {
        Vec::new()
    };
    let result = json!({ "account": account });
    run.succeed_in(&tx, &result).await?;
    tx.commit().await?;
    hint(ctx, &released).await;
    signal(run, ctx, row).await;
    Ok(result)
}

/// Unparked jobs may be due at once; without the hint they wait for the next poll.
pub(super) async fn hint(ctx: &Context, released: &[Due]) {
    for queue in patchbay_core::job::Queue::ALL {
        if let Err(away) = ctx.hints.push(queue, released).await {
            tracing::debug!(%away, "hints not pushed");
            return;
        }
    }
}

async fn refused(
    run: &JobRun,
    ctx: &Context,
    row: &connection::Model,
    error: ProviderError,
) -> Result<Value, JobError> {
    let failure = run.log.scrub_failure(error.failure());
    run.log
        .warn(
            &failure.message,
            json!({ "kind": failure.kind, "code": failure.code }),
        )
        .await;
    let mut end = error.into_job_error(ctx.clock.now(), None);
    // A candidate that is refused has nothing to wait for: its test has failed.
    if matches!(end.next, Next::Park { .. }) {
        end.next = Next::Fail;
    }
    if end.next == Next::Fail {
        note_failed_test(run, ctx, row, &failure).await?;
    }
    Err(end)
}

async fn other_account(
    run: &JobRun,
    ctx: &Context,
    row: &connection::Model,
    account: &Account,
) -> Result<Value, JobError> {
    let failure = Failure::new(
        FailureKind::Invalid,
        format!(
            "this credential opens the account `{}`, but the connection belongs to `{}`",
            account.name,
            row.account_name.as_deref().unwrap_or_default()
        ),
        format!(
            "Use a credential of the same account, or {}make a new connection: the records of two accounts are \
             never mixed.",
            if row.status == ConnectionStatus::Disconnected {
                ""
            } else {
                "disconnect this one and "
            }
        ),
    );
    note_failed_test(run, ctx, row, &failure).await?;
    Err(JobError {
        next: Next::Fail,
        failure,
    })
}

async fn note_failed_test(
    run: &JobRun,
    ctx: &Context,
    row: &connection::Model,
    failure: &Failure,
) -> Result<(), JobError> {
    let (tx, held) = run.begin_fenced_on(row.org_id, row.id).await?;
    if let Some(held) = held {
        // What is in force keeps its state: only the candidate was refused.
        if held.status == ConnectionStatus::Pending {
            ctx.store.note_failure(&tx, &held, failure, None).await?;
        }
        let event = NewEvent::new(
            row.org_id,
            EventKind::ConnectionTestFailed,
            &run.job.requested_by,
        )
        .connection(row.id)
        .job(run.job.id)
        .data(json!({ "failure": failure }));
        ctx.store.record_event(&tx, event).await?;
    }
    tx.commit().await?;
    signal(run, ctx, row).await;
    Ok(())
}
