//! Starts and stops the sandbox on a loopback port.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::control;
use crate::etsy::{self, Etsy};
use crate::faults::{self, BadFault, Fault, Faults, LayerState, Render};
use crate::google::data::DriveSizes;
use crate::google::{self, Google};
use crate::oauth::{self, Answer, OAuth};
use crate::requests::{self, RequestLog};
use crate::shopify::{self, Shopify};
use crate::slack::{self, Slack};
use crate::square::data::{Dataset, Sizes};
use crate::square::{self, Account, Square};

/// How long a stop waits for answers that are on their way (slow bodies never end).
const GRACE: Duration = Duration::from_millis(200);

/// What to start with.
#[derive(Debug)]
pub struct SandboxOptions {
    /// 0: any free port.
    pub port: u16,
    /// Decides what faults with a probability do.
    pub seed: u64,
    pub clock: Clock,
    /// The merchants of Square.
    pub square: Vec<Account>,
    /// How much is in the first account's Google Drive.
    pub drive: DriveSizes,
    /// Where the default clients may go back to; none: any loopback address.
    pub redirect_uris: Vec<String>,
    /// Answers every consent page in the person's place.
    pub answer: Option<Answer>,
    pub faults: Vec<Fault>,
    /// One change at every merchant each time this has passed.
    pub change_every: Option<Duration>,
}

impl SandboxOptions {
    /// A free port, the system's clock, the default merchant with this data, and the other
    /// merchant with a little.
    #[must_use]
    pub fn with(dataset: Dataset) -> Self {
        Self {
            port: 0,
            seed: 1,
            clock: Clock::system(),
            square: vec![Account::with(dataset), Account::other()],
            drive: DriveSizes::default(),
            redirect_uris: Vec::new(),
            answer: None,
            faults: Vec::new(),
            change_every: None,
        }
    }
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self::with(Dataset::seeded(1, &Sizes::default()))
    }
}

/// Why the sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on 127.0.0.1:{port}: {source}; choose another port, 0 takes a free one")]
    Listen { port: u16, source: std::io::Error },
    #[error("a fault cannot be set: {0}")]
    Fault(#[from] BadFault),
}

/// The stand-ins, not yet running.
#[derive(Debug)]
pub struct Sandbox;

/// A running sandbox; dropping it stops it.
#[derive(Debug)]
pub struct RunningSandbox {
    address: SocketAddr,
    /// The merchants, to change what they hold.
    pub square: Square,
    /// People and their Drives.
    pub google: Google,
    pub slack: Slack,
    pub etsy: Etsy,
    pub shopify: Shopify,
    pub faults: Faults,
    pub requests: RequestLog,
    pub clock: Clock,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

impl Sandbox {
    /// Listens on 127.0.0.1 and serves until stopped.
    ///
    /// # Errors
    /// The port is taken, or a fault has a number outside its range.
    pub async fn start(options: SandboxOptions) -> Result<RunningSandbox, StartError> {
        let SandboxOptions {
            port,
            seed,
            clock,
            square,
            drive,
            redirect_uris,
            answer,
            faults,
            change_every,
        } = options;
        let switches = Faults::new(seed);
        for fault in faults {
            switches.add(fault)?;
        }
        let standins = StandIns {
            square: Square::new(square, clock.clone()),
            google: Google::new(seed, &drive, clock.clone()),
            slack: Slack::new(clock.clone()),
            etsy: Etsy::new(clock.clone()),
            shopify: Shopify::new(clock.clone()),
        };
        for oauth in standins.oauths() {
            oauth.register(&redirect_uris);
            oauth.answer_always(answer.clone());
        }
        let requests = RequestLog::new(clock.clone());
        let listen = async |port| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = listen(port)
            .await
            .map_err(|source| StartError::Listen { port, source })?;
        let app = app(&standins, &switches, &requests, &clock);
        let stop = CancellationToken::new();
        if let Some(every) = change_every {
            tokio::spawn(keep_changing(standins.clone(), every, stop.clone()));
        }
        let server = tokio::spawn(serve(listener, app, stop.clone()));
        let StandIns {
            square,
            google,
            slack,
            etsy,
            shopify,
        } = standins;
        Ok(RunningSandbox {
            address,
            square,
            google,
            slack,
            etsy,
            shopify,
            faults: switches,
            requests,
            clock,
            stop,
            server,
        })
    }
}

/// One of each provider. Clones share what they hold.
#[derive(Debug, Clone)]
pub(crate) struct StandIns {
    pub square: Square,
    pub google: Google,
    pub slack: Slack,
    pub etsy: Etsy,
    pub shopify: Shopify,
}

impl StandIns {
    pub fn oauths(&self) -> [OAuth; 5] {
        [
            self.square.oauth.clone(),
            self.google.oauth.clone(),
            self.slack.oauth.clone(),
            self.etsy.oauth.clone(),
            self.shopify.oauth.clone(),
        ]
    }
}

/// The whole sandbox as a router, for tests that need no port.
pub(crate) fn app(
    standins: &StandIns,
    faults: &Faults,
    requests: &RequestLog,
    clock: &Clock,
) -> Router {
    // Faults are worded by each provider; token calls count before any fault.
    let provider = |router: Router, oauth: &OAuth, render: Render| {
        let layer = LayerState {
            faults: faults.clone(),
            render,
        };
        Router::new()
            .nest(&format!("/{}", oauth.rules.provider), router)
            .layer(from_fn_with_state(layer, faults::apply))
            .layer(from_fn_with_state(oauth.clone(), oauth::count))
            .layer(from_fn_with_state(requests.clone(), requests::observe))
    };
    let StandIns {
        square,
        google,
        slack,
        etsy,
        shopify,
    } = standins;
    let control = control::router(control::Controls {
        standins: standins.clone(),
        faults: faults.clone(),
        requests: requests.clone(),
        clock: clock.clone(),
    });
    Router::new()
        .merge(provider(
            square::router(square.clone()),
            &square.oauth,
            square::errors::refuse,
        ))
        .merge(provider(
            google::router(google.clone()),
            &google.oauth,
            google::refuse,
        ))
        .merge(provider(slack::router(slack), &slack.oauth, slack::refuse))
        .merge(provider(etsy::router(etsy), &etsy.oauth, etsy::refuse))
        .merge(provider(
            shopify::router(shopify),
            &shopify.oauth,
            shopify::refuse,
        ))
        .nest("/_control", control)
}

async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) {
    // Answers are small and written at once; Nagle would add 40 ms to some of them.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY not set");
        }
    });
    let graceful =
        axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        served = graceful => {
            if let Err(error) = served {
                tracing::error!(%error, "the sandbox stopped serving");
            }
        }
        () = async {
            stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        } => {}
    }
}

async fn keep_changing(standins: StandIns, every: Duration, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {
                standins.square.advance_all(1);
                standins.google.advance_all(1);
            }
        }
    }
}

impl RunningSandbox {
    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base URL of Square's API: `http://127.0.0.1:PORT/square`
    #[must_use]
    pub fn square_url(&self) -> String {
        self.url_of(&self.square.oauth)
    }

    /// `http://127.0.0.1:PORT/google`
    #[must_use]
    pub fn google_url(&self) -> String {
        self.url_of(&self.google.oauth)
    }

    /// Every provider's key and base URL, such as `slack` and `http://127.0.0.1:PORT/slack`.
    #[must_use]
    pub fn urls(&self) -> [(&'static str, String); 5] {
        [
            &self.square.oauth,
            &self.google.oauth,
            &self.slack.oauth,
            &self.etsy.oauth,
            &self.shopify.oauth,
        ]
        .map(|oauth| (oauth.rules.provider, self.url_of(oauth)))
    }

    fn url_of(&self, oauth: &OAuth) -> String {
        format!("{}/{}", self.base_url(), oauth.rules.provider)
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening; answers on their way have 200 ms.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Err(error) = (&mut self.server).await {
            tracing::error!(%error, "the sandbox did not stop cleanly");
        }
    }
}

impl Drop for RunningSandbox {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
