//! One expired credential whose refresh token works once, wanted by 500 at one moment in
//! two processes.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, bail};
use patchbay_core::{
    clock::{Clock, SystemClock},
    ids::{ConnectionId, CredentialId, OrgId},
    outbound::{AddressPolicy, Limits, Outbound, OutboundConfig},
    store::{
        connections::{Inserted, NewConnection, TestedAccount},
        credentials::{GrantFacts, NewCredential},
    },
    vault::{Keyring, Vault},
};
use patchbay_providers::oauth::{self, OauthClient, TokenCall};
use patchbay_sandbox::{
    RunningSandbox, Sandbox, SandboxOptions,
    etsy::oauth::CLIENT_ID,
    faults::{Effect, Fault},
    oauth::{Answer, Consent},
};
use serde_json::json;

use crate::{
    Bench,
    measure::percentile,
    product::{Home, Place, etsy_at},
    refresher,
    servers::Postgres,
    table::{Budget, Report, figure},
};

const PROCESSES: usize = 2;
const CALLERS: usize = 250;
const REDIRECT: &str = "http://127.0.0.1:7420/api/integrations/callback/etsy";
/// For the processes to start and read.
const GET_READY: Duration = Duration::from_secs(3);

pub async fn run(bench: &Bench) -> Result<Report> {
    let postgres = Postgres::start()?;
    let place = Place {
        database: postgres.empty("patchbay").await?,
        redis: None,
    };
    let home = Home::make(place).await?;
    let folder = tempfile::Builder::new()
        .prefix("patchbay-bench-refresh-")
        .tempdir()?;
    let keyring = folder.path().join("keyring.toml");
    fs::write(&keyring, Keyring::generate().as_str())?;
    let sandbox = Sandbox::start(SandboxOptions::default()).await?;
    let mut report = Report::new(
        "refresh",
        format!(
            "{} callers in {PROCESSES} processes want one expired credential",
            PROCESSES * CALLERS
        ),
        &[
            "token endpoint",
            "refresh calls",
            "p50 ms",
            "p99 ms",
            "p99 over the call ms",
        ],
    );
    report.method = "The refresh token works once and a replayed one ends the grant (Etsy's rules), so a second call \
                     would show. Waited: from the wish to a credential that may be used."
        .to_owned();
    let slow = if bench.quick { 1_000 } else { 15_000 };
    for (number, late_ms) in [200, slow].into_iter().enumerate() {
        let org = home.orgs(1).await?[0];
        let connection = expired(&home, &sandbox, &fs::read_to_string(&keyring)?, org).await?;
        sandbox.faults.clear();
        sandbox
            .faults
            .add(Fault::at(
                "POST /etsy/v3/public/oauth/token",
                Effect::LateAnswer { ms: late_ms },
            ))
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        let calls_before = sandbox.etsy.oauth.refresh_calls();
        let begin = SystemClock.now() + GET_READY;
        let arguments = [
            ("--keyring-file", keyring.display().to_string()),
            ("--etsy-url", etsy_url(&sandbox)?),
            ("--org", org.to_string()),
            ("--connection", connection.to_string()),
            ("--callers", CALLERS.to_string()),
            ("--begin-ms", begin.timestamp_millis().to_string()),
        ];
        let arguments: Vec<String> = arguments
            .into_iter()
            .flat_map(|(name, value)| [name.to_owned(), value])
            .collect();
        let one = || refresher::start(&home.place, arguments.clone());
        let (first, second) = tokio::try_join!(one(), one())?;
        let waited: Vec<f64> = [&first.waited_ms[..], &second.waited_ms[..]].concat();
        if first.versions != [2] || second.versions != [2] {
            bail!(
                "all get the one new version: {:?} {:?}",
                first.versions,
                second.versions
            );
        }
        let calls = sandbox.etsy.oauth.refresh_calls() - calls_before;
        let (p50, p99) = (percentile(&waited, 50.0), percentile(&waited, 99.0));
        let over = p99 - late_ms as f64;
        let cells = vec![
            format!("{late_ms} ms"),
            calls.to_string(),
            figure(p50),
            figure(p99),
            figure(over),
        ];
        let data = json!({ "token_ms": late_ms, "calls": calls, "p50_ms": p50, "p99_ms": p99 });
        report.row(format!("patchbay {}", number + 1), cells, data);
        for (what, got, aim, unit) in [
            ("refresh calls", calls as f64, 1.0, ""),
            ("p99 over the token call", over, 50.0, " ms"),
        ] {
            report.budget(Budget {
                what: format!("{what} at {late_ms} ms"),
                got: Some(got),
                floor: Some(aim),
                aim,
                unit,
                at_most: true,
            });
        }
    }
    sandbox.stop().await;
    Ok(report)
}

fn etsy_url(sandbox: &RunningSandbox) -> Result<String> {
    let urls = sandbox.urls();
    let found = urls.into_iter().find(|(provider, _)| *provider == "etsy");
    Ok(found.context("there is a stand-in for Etsy")?.1)
}

/// A connection by consent whose access token has ended.
async fn expired(
    home: &Home,
    sandbox: &RunningSandbox,
    keyring: &str,
    org: OrgId,
) -> Result<ConnectionId> {
    let store = &home.store;
    let (challenge, verifier) = oauth::pkce();
    let parameters = json!({
        "redirect_uri": REDIRECT, "state": "s", "code_challenge": challenge, "code_challenge_method": "S256",
    });
    let consent = Consent {
        parameters: parameters.as_object().cloned().unwrap_or_default(),
        answer: Answer::default(),
    };
    sandbox.faults.clear();
    sandbox.etsy.oauth.set_access_seconds(1);
    let consented = sandbox.etsy.oauth.consent(&consent);
    let code = consented.map_err(anyhow::Error::msg)?.code;
    let registry = etsy_at(&etsy_url(sandbox)?)?;
    let provider = registry.get("etsy").context("etsy is built in")?;
    let place = registry
        .oauth(&**provider, &json!({}))
        .context("etsy has consents")?;
    let outbound = Outbound::new(OutboundConfig {
        policy: AddressPolicy {
            allow: vec!["127.0.0.0/8".parse()?],
        },
        ..OutboundConfig::default()
    })?;
    let client = OauthClient {
        id: CLIENT_ID.to_owned(),
        secret: None,
    };
    let call = TokenCall {
        outbound: &outbound,
        place: &place,
        client: &client,
        clock: &SystemClock,
        trace_context: None,
        limits: Limits::default(),
        exempt: false,
    };
    let code = patchbay_core::secret::Secret::new(code.context("allowed")?);
    let granted = oauth::exchange(&call, &code, &REDIRECT.parse()?, Some(&verifier))
        .await
        .map_err(|error| anyhow::anyhow!("{}", error.error()))?;
    sandbox.etsy.oauth.set_access_seconds(3_600);

    let vault = Vault::new(Keyring::parse(keyring)?, store.deployment_id().await?);
    let tx = store.begin().await?;
    let new = NewConnection {
        org,
        provider: "etsy".to_owned(),
        name: "Shop".to_owned(),
        config: json!({}),
        exclusive: true,
        created_by: "bench".to_owned(),
    };
    let Inserted::New(connection) = store.insert_connection(&tx, new).await? else {
        bail!("the first connection of its provider is new");
    };
    let id = CredentialId::new(store.clock());
    let sealed = vault
        .close_credential(store, &tx, org, connection.id, id, &granted.fields)
        .await?;
    let new = NewCredential {
        id,
        sealed,
        mask: json!(granted.fields.masks()),
        expires_at: granted.expires_at,
        created_by: "bench".to_owned(),
        grant: Some(GrantFacts {
            client_id: CLIENT_ID.to_owned(),
            scopes: granted.scopes.clone(),
            refreshable: true,
            refresh_expires_at: granted.refresh_expires_at,
            refresh_due_at: None,
        }),
    };
    store
        .replace_credential(&tx, org, connection.id, new)
        .await?;
    let account = TestedAccount {
        key: "bench".to_owned(),
        name: "Bench".to_owned(),
    };
    store
        .activate_connection(&tx, &connection, json!({}), &account, "bench")
        .await?;
    tx.commit().await?;
    Ok(connection.id)
}
