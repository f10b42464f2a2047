//! Strict local stand-ins for the providers' APIs, for the demo, tests and benchmarks.
//!
//! A stand-in refuses whatever the real API refuses (missing version header, unknown
//! fields, cursors of another query, ...), so a client that passes here does not depend
//! on leniency. It can also misbehave on demand: see [`faults`]. Data comes from a seed
//! or from a file of real order lines, and changes on request: see [`square::data`].
//!
//! ```no_run
//! use patchbay_sandbox::square::{DEFAULT_MERCHANT, data::ChangeKind};
//! use patchbay_sandbox::{Dataset, Effect, Fault, Sandbox, SandboxOptions, Sizes};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let dataset = Dataset::seeded(1, &Sizes::default());
//! let sandbox = Sandbox::start(SandboxOptions::with(dataset)).await?;
//! let base = sandbox.square_url(); // http://127.0.0.1:PORT/square
//!
//! let burst = Effect::RateLimited { retry_after: None };
//! sandbox.faults.add(Fault::at("POST /square/v2/orders/search", burst).times(3))?;
//! sandbox.square.change(DEFAULT_MERCHANT, ChangeKind::ItemDeleted, None)?;
//! assert_eq!(sandbox.requests.count("POST /square/v2/catalog/search"), 0);
//! sandbox.stop().await;
//! # let _: String = base;
//! # Ok(())
//! # }
//! ```
//!
//! # Providers
//!
//! Each lives under one base address, `http://127.0.0.1:PORT/KEY`, with the paths that the
//! real one has on whatever host:
//!
//! | key | consent page, token endpoint | the rest |
//! |---|---|---|
//! | `square` | `/oauth2/authorize`, `/oauth2/token` | `/oauth2/revoke`, `/oauth2/token/status`, `/v2/...` |
//! | `google` | `/o/oauth2/v2/auth`, `/token` | `/revoke`, `/drive/v3/...` |
//! | `slack` | `/oauth/v2/authorize`, `/api/oauth.v2.access` | `/api/auth.test`, `auth.revoke`, `conversations.list` |
//! | `etsy` | `/oauth/connect`, `/v3/public/oauth/token` | `/v3/application/...`: `users/me`, `users/{id}/shops`, `shops/{id}`, `openapi-ping`, `scopes` |
//! | `shopify` | `/admin/oauth/authorize`, `/admin/oauth/access_token` | `/admin/api/{version}/graphql.json`, `/admin/api_permissions/current.json` |
//!
//! Each knows from the start a client `sandbox-KEY` with the secret `sandbox-KEY-secret`
//! (Slack also `sandbox-slack-rotating`, whose tokens expire), and two accounts, the first
//! of which is taken unless another is named. A client without registered redirect URIs may
//! go back to any `http` address of a loopback host. A script that drives the consent page
//! adds `auto=allow` or `auto=deny`, and if it likes `account=ID` and `granted=SCOPES` (spaces
//! between them), to its query.
//!
//! # Control
//!
//! JSON over `/_control`, whose `GET` lists the calls. For consent and tokens, under
//! `/_control/KEY`:
//!
//! | call | body | |
//! |---|---|---|
//! | `GET /oauth` | | clients, accounts, scopes, grants, token calls; no secret, no token |
//! | `POST /consent` | `{parameters, answer}` | consents without a browser: `{redirect, code}` |
//! | `POST, DELETE /answer` | `{decision, account, scopes, user_scopes}` | answers every consent page from now on |
//! | `POST /clients` | `{client_id, client_secret, redirect_uris, rotates}` | registers a client |
//! | `POST /lives` | `{access_seconds, code_seconds}` | of what is issued from now on |
//! | `POST /expire` | `{account, tokens}` | lets `access` (default), `refresh` or `all` tokens run out now |
//! | `POST /revoke` | `{account}` | the owner takes grants back in the provider's settings |
//! | `GET, DELETE /calls` | | token calls by grant type: arrived, granted, refused |
//!
//! Data moves with `/_control/square/advance`, `changes` and `tokens`, and with
//! `/_control/google/advance`, `changes` and `files`; time with `POST /_control/clock`
//! `{advance_ms}`. A token endpoint misbehaves by a fault on its path: `latency`,
//! `late_answer`, `lost_answer`, `rate_limited`, `server_error`, `redirect`,
//! `wrong_content_type`, `huge_body`, `set_field`, `remove_field`, `repeat_field`,
//! `ignore_pkce`, `fewer_scopes` (see [`Effect`]).
//!
//! Must not: know anything of Patchbay itself (it depends on no other crate of the
//! workspace), listen anywhere but on loopback, or write tokens into its request log.

pub mod args;
pub mod clock;
mod control;
pub mod etsy;
pub mod faults;
pub mod google;
pub mod oauth;
pub mod requests;
mod running;
pub mod shopify;
pub mod slack;
pub mod square;

pub use args::{SandboxArgs, run};
pub use clock::Clock;
pub use faults::{Effect, Fault, Faults};
pub use requests::{Request, RequestLog, Totals};
pub use running::{RunningSandbox, Sandbox, SandboxOptions, StartError};
pub use square::data::{CsvError, Dataset, Sizes};
