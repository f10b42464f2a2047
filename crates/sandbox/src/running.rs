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
use crate::faults::{self, BadFault, Fault, Faults, LayerState, Render};
use crate::google::data::DriveSizes;
use crate::google::{self, Google};
use crate::oauth::{self, OAuth};
use crate::requests::{self, RequestLog};
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
            faults,
            change_every,
        } = options;
        let switches = Faults::new(seed);
        for fault in faults {
            switches.add(fault)?;
        }
        let square = Square::new(square, clock.clone());
        let google = Google::new(seed, &drive, clock.clone());
        let requests = RequestLog::new(clock.clone());
        let listen = async |port| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = listen(port)
            .await
            .map_err(|source| StartError::Listen { port, source })?;
        let standins = StandIns { square, google };
        let app = app(&standins, &switches, &requests, &clock);
        let stop = CancellationToken::new();
        if let Some(every) = change_every {
            tokio::spawn(keep_changing(standins.clone(), every, stop.clone()));
        }
        let server = tokio::spawn(serve(listener, app, stop.clone()));
        let StandIns { square, google } = standins;
        Ok(RunningSandbox {
            address,
            square,
            google,
            faults: switches,
            requests,
            clock,
            stop,
            server,
        })
    }
}

/// One of each provider.
#[derive(Debug, Clone)]
pub(crate) struct StandIns {
    pub square: Square,
    pub google: Google,
}

/// The whole sandbox as a router, for tests that need no port.
pub(crate) fn app(
    standins: &StandIns,
    faults: &Faults,
    requests: &RequestLog,
    clock: &Clock,
) -> Router {
    let StandIns { square, google } = standins.clone();
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
    let providers = provider(
        square::router(square.clone()),
        &square.oauth,
        square::errors::refuse,
    )
    .merge(provider(
        google::router(google.clone()),
        &google.oauth,
        google::refuse,
    ));
    let control = control::router(control::Controls {
        standins: standins.clone(),
        faults: faults.clone(),
        requests: requests.clone(),
        clock: clock.clone(),
    });
    Router::new().merge(providers).nest("/_control", control)
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
        format!("{}/square", self.base_url())
    }

    /// The base URL of Google: `http://127.0.0.1:PORT/google`
    #[must_use]
    pub fn google_url(&self) -> String {
        format!("{}/google", self.base_url())
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
