//! A desk with a mail server: aiosmtpd in a process of its own, certificates of an authority
//! made for the test, and what the server saw.

use std::{path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use axum::http::Method;
use patchbay_core::{
    entities::job::Model as Job,
    ids::{JobId, ProcessId},
    job::Queue,
};
use patchbay_worker::JobRun;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::Mutex,
    time::{sleep, timeout},
};

use crate::consent::desk::{Desk, Plan, Said};

pub const USER: &str = "robot@example.com";
pub const PASSWORD: &str = "correct horse battery";

/// How a server is to be.
#[derive(Clone)]
pub struct ServerPlan {
    pub security: &'static str,
    /// Names of its certificate.
    pub names: Vec<&'static str>,
    pub login: bool,
    pub password: &'static str,
    pub hang: Option<&'static str>,
}

impl ServerPlan {
    pub fn of(security: &'static str) -> Self {
        Self {
            security,
            names: vec!["127.0.0.1"],
            login: true,
            password: PASSWORD,
            hang: None,
        }
    }

    /// In clear, open to everybody.
    pub fn open() -> Self {
        Self {
            login: false,
            ..Self::of("none")
        }
    }
}

/// A running mail server; it ends with its standard input.
pub struct MailServer {
    pub port: u16,
    /// The authority that signed its certificate.
    pub authority: String,
    seen: Arc<Mutex<Vec<Value>>>,
    _child: Child,
    _input: ChildStdin,
    _folder: tempfile::TempDir,
}

impl MailServer {
    /// # Panics
    /// Where it is not installed: a run without it has not shown what these tests show.
    pub async fn start(plan: ServerPlan) -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let python = root.join("../.cache/python/bin/python");
        assert!(
            python.exists(),
            "aiosmtpd is not installed: run scripts/setup, which needs the Python package index once"
        );
        let folder = tempfile::tempdir().unwrap();
        let (authority, certificate, key) = certificates(&plan.names);
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let arguments = json!({
            "security": plan.security,
            "cert": file("cert.pem", &certificate),
            "key": file("key.pem", &key),
            "login": plan.login.then_some([USER, plan.password]),
            "hang": plan.hang,
        });
        let mut child = Command::new(python)
            .arg(root.join("python/smtp_server.py"))
            .arg(arguments.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap();
        let first: Value = serde_json::from_str(&first.expect("it says its port")).unwrap();
        let port = u16::try_from(first["port"].as_u64().unwrap()).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let seeing = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let event = serde_json::from_str(&line).unwrap();
                seeing.lock().await.push(event);
            }
        });
        Self {
            port,
            authority,
            seen,
            _child: child,
            _input: input,
            _folder: folder,
        }
    }

    async fn events(&self, kind: &str) -> Vec<Value> {
        let seen = self.seen.lock().await;
        let of_kind = seen.iter().filter(|event| event["event"] == kind);
        of_kind.cloned().collect()
    }

    /// Every line that clients said, but for e-mails.
    pub async fn lines(&self) -> Vec<String> {
        let events = self.events("line").await;
        let lines = events.iter().map(|event| event["line"].as_str().unwrap());
        lines.map(str::to_owned).collect()
    }

    /// The e-mails it took, once there are so many.
    pub async fn mails(&self, count: usize) -> Vec<Value> {
        let enough = async {
            loop {
                let mails = self.events("mail").await;
                if mails.len() >= count {
                    return mails;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        let mails = timeout(Duration::from_secs(20), enough).await;
        let mails = mails.expect("so many e-mails");
        assert_eq!(mails.len(), count, "{mails:#?}");
        mails
    }
}

/// A header of an e-mail that the server took.
pub fn header(mail: &Value, name: &str) -> Option<String> {
    let headers = mail["headers"].as_array().unwrap();
    let found = headers.iter().find(|header| header[0] == name)?;
    Some(found[1].as_str().unwrap().to_owned())
}

/// An authority, and a certificate of it with its key, in PEM.
fn certificates(names: &[&str]) -> (String, String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(names).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    (authority.pem(), certificate.pem(), key.serialize_pem())
}

/// A desk, and a mail server to connect.
pub struct PostOffice {
    pub desk: Desk,
    pub server: MailServer,
    security: &'static str,
    login: bool,
}

impl PostOffice {
    pub async fn on_sqlite(plan: ServerPlan) -> Self {
        Self::of(plan, Plan::default()).await
    }

    pub async fn on_postgres(plan: ServerPlan) -> Self {
        let postgres = Plan {
            postgres: true,
            ..Plan::default()
        };
        Self::of(plan, postgres).await
    }

    pub async fn of(plan: ServerPlan, desk: Plan) -> Self {
        Self {
            security: plan.security,
            login: plan.login,
            server: MailServer::start(plan).await,
            desk: Desk::new(desk).await,
        }
    }

    /// A config that fits the server.
    pub fn config(&self) -> Value {
        let mut config = json!({
            "host": "127.0.0.1",
            "port": self.server.port,
            "security": self.security,
            "from_address": "till@example.com",
            "from_name": "Café Till",
            "timeout_seconds": 5,
        });
        if self.security != "none" {
            config["ca_certificates"] = json!(self.server.authority);
        }
        if self.login {
            config["username"] = json!(USER);
        }
        config
    }

    /// Asks for a connection and waits for its test.
    pub async fn connect(&self, config: Value) -> Said {
        self.connect_with(config, PASSWORD).await
    }

    pub async fn connect_with(&self, config: Value, password: &str) -> Said {
        let credential = if config.get("username").is_some() {
            json!({ "password": password })
        } else {
            json!({})
        };
        let body = json!({ "provider": "smtp", "config": config, "credential": credential });
        self.desk.post("/connections?wait=30", body).await
    }

    /// A connection that works; its id.
    pub async fn connected(&self) -> String {
        self.connected_with(json!({})).await
    }

    /// The same with more in its config.
    pub async fn connected_with(&self, more: Value) -> String {
        let mut config = self.config();
        for (name, value) in more.as_object().unwrap() {
            config[name] = value.clone();
        }
        let said = self.connect(config).await.json(200);
        assert_eq!(said["connection"]["status"], "active", "{said:#}");
        said["connection"]["id"].as_str().unwrap().to_owned()
    }

    /// Asks for an action and waits for its end, or for as long as it goes on.
    pub async fn act(&self, connection: &str, action: &str, input: Value) -> Value {
        let said = self.ask(connection, action, input, 30).await;
        serde_json::from_str(&said.text).unwrap()
    }

    pub async fn ask(&self, connection: &str, action: &str, input: Value, wait: u8) -> Said {
        let path = format!("/connections/{connection}/actions/{action}?wait={wait}");
        let body = json!({ "input": input });
        let key = &self.desk.key;
        self.desk.call(key, Method::POST, &path, Some(body)).await
    }

    /// Why the test of this config failed.
    pub async fn refused(&self, config: Value, password: &str) -> Value {
        let said = self.connect_with(config, password).await.json(200);
        assert_eq!(said["connection"]["status"], "pending", "{said:#}");
        said["job"]["error"].clone()
    }

    /// The job, once it is as it should be.
    pub async fn job_when(&self, id: &str, is_so: impl Fn(&Job) -> bool) -> Job {
        let waiting = async {
            loop {
                let job = self.desk.job(id).await;
                if is_so(&job) {
                    return job;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        let job = timeout(Duration::from_secs(30), waiting).await;
        job.expect("the job is so after a while")
    }

    /// Claims a waiting job for a process of its own.
    pub async fn claim(&self, id: &str) -> JobRun {
        let id: JobId = id.parse().unwrap();
        let ctx = &self.desk.ctx;
        let jobs = ctx.store.jobs();
        let me = ProcessId::new(ctx.store.clock());
        jobs.register(me, "worker", "test").await.unwrap();
        let claimed = jobs.claim(me, Queue::Interactive, &[id]).await.unwrap();
        let job = claimed.into_iter().next().expect("the job is due");
        JobRun::new(job, ctx.store.clone(), ctx.hints.clone())
    }

    /// The process that runs this job ends, and its jobs are queued again.
    pub async fn end_process_of(&self, run: &JobRun) {
        let process = run.job.leased_by.unwrap();
        self.desk.ctx.store.jobs().leave(process).await.unwrap();
    }
}

/// An e-mail to one person with this subject, which says what the server does with it.
pub fn mail(subject: &str) -> Value {
    json!({ "to": ["kim@example.com"], "subject": subject, "text": "Hello.\n" })
}
