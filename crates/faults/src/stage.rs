//! A fleet to be hurt: PostgreSQL, Redis and processes of the product, each on ports of its
//! own, with an org and its key. Whoever dies is started again ([`Stage::tend`]).
//!
//! Everything is started by the task that owns the stage: children end with their parent's
//! thread, so also when a run panics or is killed.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use patchbay_tests::{PostgresServer, Process, RedisServer, free_port};
use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use serde_json::Value;
use tempfile::TempDir;

pub use crate::plan::{Plan, Role};
use crate::{
    abroad::Abroad,
    client::Client,
    mutation::Mutation,
    proxy::{Proxy, Wire},
    witness,
};

/// Name of the fleet's database.
const DATABASE: &str = "patchbay";

/// A place in the fleet, and who sits there now.
#[derive(Debug)]
pub struct Seat {
    pub role: Role,
    pub port: u16,
    pub process: Option<Process>,
    pub database_wire: Option<Proxy>,
    pub redis_wire: Option<Proxy>,
    /// Stays empty when its process ends.
    pub vacant: bool,
}

/// The fleet.
#[derive(Debug)]
pub struct Stage {
    pub plan: Plan,
    pub seats: Vec<Seat>,
    pub abroad: Abroad,
    pub client: Client,
    pub database: DatabaseConnection,
    /// Ends of processes that nobody asked for.
    pub died: Vec<String>,
    /// Jobs here end processes.
    pub mortal: bool,
    pub postgres: PostgresServer,
    pub redis: RedisServer,
    public_key: String,
    folder: TempDir,
}

impl Stage {
    /// Servers, tables, witness, org, key; nothing of ours runs yet.
    ///
    /// # Errors
    /// A server does not start.
    pub async fn prepare(plan: Plan) -> Result<Self> {
        let postgres = PostgresServer::start().await?;
        let redis = RedisServer::start().await?;
        let admin = postgres.url("postgres");
        witness::make_database(&admin, DATABASE, plan.tablespace.as_deref()).await?;
        let mut options = ConnectOptions::new(postgres.url(DATABASE));
        options
            .max_connections(3)
            .acquire_timeout(Duration::from_secs(60))
            .sqlx_logging(false);
        let database = Database::connect(options).await?;
        let folder = tempfile::tempdir()?;
        let abroad = Abroad::open().await?;
        let mut stage = Self {
            client: Client::new(Vec::new(), String::new())?,
            seats: Vec::new(),
            died: Vec::new(),
            mortal: false,
            public_key: String::new(),
            plan,
            abroad,
            database,
            postgres,
            redis,
            folder,
        };
        // The product's own way, so that any binary can be tested.
        stage.command(&["migrate"])?;
        witness::install(&stage.database).await?;
        let keyring = stage.keyring();
        stage.public_key = text(
            &stage.json(&["keys", "init", &keyring])?,
            "sealing_public_key",
        )?;
        let key = text(&stage.json(&["org", "create", "Bakery"])?, "api_key")?;
        for (role, count) in [
            (Role::Api, stage.plan.apis),
            (Role::Scheduler, stage.plan.schedulers),
            (Role::Worker, stage.plan.workers),
        ] {
            for _ in 0..count {
                let seat = stage.seat(role).await?;
                stage.seats.push(seat);
            }
        }
        let ports = stage.of(Role::Api).map(|seat| seat.port).collect();
        stage.client = Client::new(ports, key)?;
        Ok(stage)
    }

    /// Everything, started and ready.
    ///
    /// # Errors
    /// A server or a process does not start.
    pub async fn open(plan: Plan) -> Result<Self> {
        let mut stage = Self::prepare(plan).await?;
        stage.start_all(&[Role::Api, Role::Scheduler, Role::Worker])?;
        stage.all_ready().await?;
        Ok(stage)
    }

    /// A client of another org.
    ///
    /// # Errors
    /// The org cannot be made.
    pub async fn another_org(&self, name: &str) -> Result<Client> {
        let key = text(&self.json(&["org", "create", name])?, "api_key")?;
        let ports = self.of(Role::Api).map(|seat| seat.port).collect();
        Client::new(ports, key)
    }

    async fn seat(&self, role: Role) -> Result<Seat> {
        let mutation = self.plan.mutation;
        let database_wire = if self.plan.database_wires.contains(&role) || mutation.is_some() {
            let rewriting = mutation.map(Mutation::rewriting);
            Some(Proxy::open(port_of(&self.postgres.url(DATABASE))?, rewriting).await?)
        } else {
            None
        };
        let redis_wire = if self.plan.redis_wires.contains(&role) {
            Some(Proxy::open(port_of(&self.redis.url())?, None).await?)
        } else {
            None
        };
        Ok(Seat {
            role,
            port: free_port(),
            process: None,
            database_wire,
            redis_wire,
            vacant: false,
        })
    }

    /// The seats of a role.
    pub fn of(&self, role: Role) -> impl Iterator<Item = &Seat> {
        self.seats.iter().filter(move |seat| seat.role == role)
    }

    /// The places of a role's seats.
    pub fn places(&self, role: Role) -> Vec<usize> {
        (0..self.seats.len())
            .filter(|place| self.seats[*place].role == role)
            .collect()
    }

    /// Starts a process on every empty seat of these roles.
    ///
    /// # Errors
    /// The binary does not start.
    pub fn start_all(&mut self, roles: &[Role]) -> Result<()> {
        for place in 0..self.seats.len() {
            if roles.contains(&self.seats[place].role) && self.seats[place].process.is_none() {
                self.start(place)?;
            }
        }
        Ok(())
    }

    /// Starts a process on a seat.
    ///
    /// # Errors
    /// The binary does not start.
    pub fn start(&mut self, place: usize) -> Result<()> {
        let (role, port) = (self.seats[place].role, self.seats[place].port);
        let address = format!("127.0.0.1:{port}");
        let mut variables = self.variables(&self.seats[place])?;
        let arguments: Vec<&str> = match role {
            Role::Api => vec!["api", "--listen", &address, "--admin-listen", "127.0.0.1:0"],
            Role::Worker => vec!["worker", "--admin-listen", &address],
            Role::Scheduler => vec!["scheduler", "--admin-listen", &address],
        };
        for (of_role, name, value) in &self.plan.variables {
            if *of_role == role {
                variables.insert(name.clone(), value.clone());
            }
        }
        let workers = self.places(Role::Worker);
        let number = workers.iter().position(|worker| *worker == place);
        if let Some(own) = number.and_then(|number| self.plan.worker_variables.get(number)) {
            variables.extend(own.iter().cloned());
        }
        let variables: Vec<(&str, &str)> = variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let binary = crate::binary()?;
        let wrapper = &self.plan.worker_wrapper;
        let process = match wrapper.split_first() {
            Some((program, before)) if role == Role::Worker => {
                let binary = binary.display().to_string();
                let mut all: Vec<&str> = before.iter().map(String::as_str).collect();
                all.push(&binary);
                all.extend(arguments);
                Process::start(program.as_ref(), &all, &variables)?
            }
            _ => Process::start(&binary, &arguments, &variables)?,
        };
        self.abroad.admit(process.id());
        let seat = &mut self.seats[place];
        seat.process = Some(process);
        seat.vacant = false;
        Ok(())
    }

    fn variables(&self, seat: &Seat) -> Result<BTreeMap<String, String>> {
        let over = |url: &str, wire: &Option<Proxy>| match wire {
            Some(wire) => Ok::<_, anyhow::Error>(
                url.replace(&format!(":{}/", port_of(url)?), &format!(":{}/", wire.port)),
            ),
            None => Ok(url.to_owned()),
        };
        let database = over(&self.postgres.url(DATABASE), &seat.database_wire)?;
        let redis = over(&self.redis.url(), &seat.redis_wire)?;
        let mut variables = BTreeMap::from([
            ("PATCHBAY_DATABASE_URL".to_owned(), database),
            ("PATCHBAY_REDIS_URL".to_owned(), redis),
            ("PATCHBAY_LOG__LEVEL".to_owned(), "info".to_owned()),
        ]);
        match seat.role {
            Role::Api => {
                let key = self.public_key.clone();
                variables.insert("PATCHBAY_SEALING_PUBLIC_KEY".to_owned(), key);
            }
            Role::Worker => {
                let slots = format!("sync={},interactive=2,maintenance=2", self.plan.slots);
                variables.insert("PATCHBAY_WORKER__QUEUES".to_owned(), slots);
                variables.insert("PATCHBAY_KEYRING_FILE".to_owned(), self.keyring());
                let loopback = "127.0.0.0/8".to_owned();
                variables.insert("PATCHBAY_OUTBOUND__ALLOW".to_owned(), loopback);
            }
            Role::Scheduler => {}
        }
        Ok(variables)
    }

    /// Waits until every process is ready.
    ///
    /// # Errors
    /// One ends or takes too long.
    pub async fn all_ready(&mut self) -> Result<()> {
        for seat in &mut self.seats {
            if let Some(process) = &mut seat.process {
                process.ready(seat.port).await?;
            }
        }
        Ok(())
    }

    /// Starts again who has ended, and notes who had no reason to.
    ///
    /// # Errors
    /// The binary does not start.
    pub fn tend(&mut self) -> Result<()> {
        for place in 0..self.seats.len() {
            let seat = &mut self.seats[place];
            let Some(process) = &mut seat.process else {
                continue;
            };
            if process.is_running()? {
                continue;
            }
            let id = process.id();
            self.abroad.forget(id);
            if !self.abroad.disturbed().contains(&id) {
                if !self.mortal {
                    let log = process.log().unwrap_or_default();
                    let last = log.lines().rev().take(3).collect::<Vec<_>>().join(" | ");
                    self.died
                        .push(format!("{:?} ended by itself: {last}", seat.role));
                }
                // Whatever it held may be taken from it.
                self.abroad.disturb(id);
            }
            let vacant = seat.vacant;
            seat.process = None;
            if !vacant {
                self.start(place)?;
            }
        }
        Ok(())
    }

    /// Kills who sits there; [`Self::tend`] starts the next one.
    ///
    /// # Errors
    /// The system refuses.
    pub fn kill(&mut self, place: usize) -> Result<()> {
        if let Some(process) = &mut self.seats[place].process {
            self.abroad.disturb(process.id());
            process.kill()?;
        }
        Ok(())
    }

    /// Sets every wire to the database.
    pub fn set_database_wires(&self, wire: Wire) {
        for seat in &self.seats {
            if let Some(proxy) = &seat.database_wire {
                proxy.set(wire);
            }
        }
    }

    /// A command of the product with `--output json`, which must succeed.
    ///
    /// # Errors
    /// It fails, or answers no JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let all = [arguments, &["--output", "json"]].concat();
        Ok(serde_json::from_slice(&self.command(&all)?)?)
    }

    fn command(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let output = Command::new(crate::binary()?)
            .args(arguments)
            .env_clear()
            .env("PATCHBAY_DATABASE_URL", self.postgres.url(DATABASE))
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            bail!(
                "{arguments:?}: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(output.stdout)
    }

    fn keyring(&self) -> String {
        self.folder
            .path()
            .join("keyring.toml")
            .display()
            .to_string()
    }
}

fn text(value: &Value, field: &str) -> Result<String> {
    let text = value[field].as_str();
    Ok(text.with_context(|| format!("no {field}"))?.to_owned())
}

/// The port in an address.
///
/// # Errors
/// There is none.
pub fn port_of(url: &str) -> Result<u16> {
    let after = url.rsplit_once(':').context("an address has a port")?.1;
    let digits = after.split('/').next().unwrap_or_default();
    digits.parse().context("an address has a port")
}
