//! A migrated PostgreSQL database per test.

use anyhow::{Context, Result};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::{
    postgres_server::{TEMPLATE, connect},
    shared_servers::shared,
};

/// What happens to the database when its test is done with it.
#[derive(Debug)]
pub(crate) enum OnDrop {
    /// Dropped through this server address.
    Drop(String),
    /// Left to its server, which goes with its test.
    Keep,
}

/// A database of its own, migrated, empty; dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    name: String,
    on_drop: OnDrop,
}

impl TestDatabase {
    /// A fresh database on the PostgreSQL that all tests of the run share.
    ///
    /// # Panics
    /// When there is no server or it refuses: no test can go on without.
    pub async fn fresh() -> Self {
        let admin = &shared().postgres_url;
        Self::copy_template(admin, OnDrop::Drop(admin.clone()))
            .await
            .expect("the run's PostgreSQL gives a fresh database")
    }

    /// Its address, `postgres://...`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn copy_template(admin_url: &str, on_drop: OnDrop) -> Result<Self> {
        let name = format!("test_{}", Uuid::now_v7().simple());
        let admin = connect(admin_url)
            .await
            .context("connecting to the test server")?;
        admin
            .execute_unprepared(&format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
            .await
            .context("copying the template database")?;
        admin.close().await?;
        let (server, _) = admin_url
            .rsplit_once('/')
            .context("the address names a database")?;
        Ok(Self {
            url: format!("{server}/{name}"),
            name,
            on_drop,
        })
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let OnDrop::Drop(admin_url) = &self.on_drop else {
            return;
        };
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // A thread with its own runtime: a test's runtime cannot be waited on from inside itself.
        let outcome = std::thread::scope(|scope| {
            let dropping = scope.spawn(|| -> Result<()> {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(async {
                    let admin = connect(admin_url).await?;
                    admin.execute_unprepared(&sql).await?;
                    Ok(admin.close().await?)
                })
            });
            dropping.join()
        });
        // Not worth failing a test that passed: the database goes with the run's server.
        if !matches!(outcome, Ok(Ok(()))) {
            eprintln!(
                "harness: {} stays until the end of the run: {outcome:?}",
                self.name
            );
        }
    }
}
