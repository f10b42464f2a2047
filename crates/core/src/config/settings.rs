//! The settings themselves. Add one here and it has a flag, a variable, a line in
//! the reference and in `patchbay config`.

use std::{net::SocketAddr, path::PathBuf};

use super::{
    Loaded, Problem, Reader, Setting,
    consent::{OpenerOrigin, PublicUrl, ReturnUrls},
    days::{Days, RollupDays},
    declare::settings,
    named::{BaseUrls, ClientId, ClientSecret, Named},
    source::Given,
    value::{AllowList, DatabaseUrl, LogFormat, LogLevel, Period, RedisUrl, Slots, Value},
};
use crate::vault::SealingPublicKey;

settings! {
    /// Folder of `patchbay up`: database, keyring, and the address and key of the running
    /// instance, which the client commands find there. Made with mode 0700.
    data_dir: PathBuf = "~/.local/share/patchbay", "data_dir", read by [Up, Client, Keys];

    /// Database of a fleet. `patchbay up` keeps its own SQLite file in the data folder
    /// and does not read this.
    database_url: Option<DatabaseUrl> = "", "database_url", read by [Api, Worker, Scheduler, Admin, Keys];

    /// Most connections a process opens to the database.
    database_connections: u32 = "10", "database_connections", read by [Api, Worker, Scheduler, Admin, Keys];

    /// Redis of a fleet. It carries hints and signals only: losing it loses no job.
    redis_url: Option<RedisUrl> = "", "redis_url", read by [Api, Worker, Scheduler];

    /// Address where the HTTP API listens.
    listen: SocketAddr = "127.0.0.1:7420", "listen", read by [Up, Api];

    /// Address where a process answers `/healthz`, `/readyz`, `/metrics` and, with what its
    /// duties last did, `/duties`. Without it, only the API answers the first two, on its own.
    admin_listen: Option<SocketAddr> = "", "admin_listen", read by [Up, Api, Worker, Scheduler];

    /// File with the keys that open credentials (mode 0600; `patchbay keys init` makes
    /// one). Only workers hold it. `patchbay up` makes its own in the data folder.
    keyring_file: Option<PathBuf> = "", "keyring_file", read by [Up, Worker, Keys];

    /// The public key to which the API seals secrets; `patchbay keys init` prints it.
    /// It opens nothing, so it may be known.
    sealing_public_key: Option<SealingPublicKey> = "", "sealing_public_key", read by [Api];

    /// Which queues a worker serves, each with the number of jobs it runs at once.
    worker_queues: Slots = "interactive=8,sync=4,webhook=8,maintenance=2", "worker.queues", read by [Up, Worker];

    /// How long running jobs may go on after a request to stop. What is not finished
    /// then goes back to its queue.
    shutdown_grace: Period = "25s", "shutdown_grace", read by [Up, Worker];

    /// How long jobs that succeeded, were cancelled or discarded are kept. Those in the
    /// dead-letter queue wait for a person.
    retention_jobs: Days = "30d", "retention.jobs", read by [Up, Scheduler];

    /// After how long such a job loses its arguments, result and log lines; its row stays as
    /// long as `retention.jobs` says.
    retention_job_payloads: Days = "30d", "retention.job_payloads", read by [Up, Scheduler];

    /// How long lines of the activity log are kept.
    retention_events: Days = "90d", "retention.events", read by [Up, Scheduler];

    /// How long single checks of a connection are kept at most.
    retention_health_log: Days = "90d", "retention.health_log", read by [Up, Scheduler];

    /// How long the hourly counts and response times of checks are kept: what the metrics over
    /// 24 hours, 7 and 30 days are made of.
    retention_health_rollups: RollupDays = "400d", "retention.health_rollups", read by [Up, Scheduler];

    /// How log lines look. `auto`: text on a terminal, else JSON.
    log_format: LogFormat = "auto", "log.format", read by [Up, Api, Worker, Scheduler, Admin, Keys];

    /// What is logged: a level, or levels by module.
    log_level: LogLevel = "info", "log.level", read by [Up, Api, Worker, Scheduler, Admin, Keys];

    /// Hosts and subnets that outbound traffic may reach although they are not public.
    /// Everything public is allowed without being named. The API sends nothing; it refuses
    /// addresses of alert webhooks that workers may not reach, so tell it the same.
    outbound_allow: AllowList = "", "outbound.allow", read by [Up, Api, Worker];

    /// Base address of a provider's API in place of the one it declares, for a sandbox
    /// or a proxy of your own. `*` is the provider's key, such as `square`.
    provider_base_urls: BaseUrls = "", "providers.*.base_url", read by [Up, Api, Worker];

    /// Where browsers reach this deployment. Consents need it: the address that providers send
    /// browsers back to is `{public_url}/api/integrations/callback/{provider}`, and must be
    /// registered there. `patchbay up` takes its own address on this machine if not told.
    public_url: Option<PublicUrl> = "", "public_url", read by [Up, Api];

    /// Id of this deployment's app (OAuth client) at a provider, which accounts are connected
    /// through by consent. An org may have its own instead. `*` is the provider's key.
    oauth_client_ids: Named<ClientId> = "", "oauth.*.client_id", read by [Up, Api, Worker];

    /// Secret of that app. Only workers hold it.
    oauth_client_secrets: Named<ClientSecret> = "", "oauth.*.client_secret", read by [Up, Worker];

    /// Origin of the web app that opens consents in a window of its own. The page at the end
    /// tells it, and nobody else, how the consent ended (`postMessage`). Without it nobody is told.
    consent_opener_origin: Option<OpenerOrigin> = "", "consent.opener_origin", read by [Up, Api];

    /// Addresses that a consent may send the browser to at its end, in place of our own page.
    /// Origin and path must be exactly one of these; the query is free.
    consent_return_urls: ReturnUrls = "", "consent.return_urls", read by [Up, Api];
}
