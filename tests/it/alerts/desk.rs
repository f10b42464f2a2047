//! The desk of consents with hands that raise alerts and run jobs, and a receiver.

use patchbay_core::{
    connection::ConnectionStatus,
    entities::job::{Column, Entity, Model as Job},
    failure::{Failure, FailureKind},
    ids::{ConnectionId, ProcessId},
    job::{JobError, JobKind, JobState, Next, Settle, Settlement},
    store::{
        alerts::AlertWalk,
        connections::{Inserted, NewConnection},
    },
};
use patchbay_worker::{Context, JobRun, jobs};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

use super::receiver::Receiver;
use crate::consent::desk::{Desk as Office, Plan};

pub struct Desk {
    pub office: Office,
    pub receiver: Receiver,
}

/// What a run of a job came to.
pub struct Ran {
    pub job: Job,
    pub outcome: Result<Value, JobError>,
}

impl Ran {
    #[track_caller]
    pub fn failure(self) -> (Next, Failure) {
        let error = self.outcome.expect_err("it fails");
        (error.next, error.failure)
    }
}

pub async fn desk(postgres: bool) -> Desk {
    let office = Office::new(Plan {
        postgres,
        ..Plan::default()
    })
    .await;
    Desk {
        office,
        receiver: Receiver::start().await,
    }
}

impl Desk {
    /// Sets the webhook of the receiver; its id and its secret.
    pub async fn set(&self) -> (String, String) {
        self.set_at(&self.receiver.url()).await
    }

    pub async fn set_at(&self, url: &str) -> (String, String) {
        let path = "/alert-channels/webhooks";
        let said = self
            .office
            .post(path, json!({ "url": url }))
            .await
            .json(202);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let job = text(&said["job"]["id"]);
        let ran = self
            .run(&self.office.job(&job).await, &self.office.ctx)
            .await;
        ran.outcome.unwrap();
        (text(&said["channel"]["id"]), text(&said["secret"]))
    }

    /// The channel as the API shows it.
    pub async fn channel(&self, id: &str) -> Value {
        let all = self.office.get("/alert-channels").await.json(200);
        let all = all.as_array().unwrap().iter();
        let mut found = all.filter(|channel| channel["id"] == id);
        found.next().unwrap().clone()
    }

    /// A connection whose credential was refused, and a scheduler that looks.
    pub async fn raise(&self) -> ConnectionId {
        let store = &self.office.ctx.store;
        let tx = store.begin().await.unwrap();
        let new = NewConnection {
            org: self.office.org,
            provider: "square".into(),
            name: "Till 7".into(),
            config: json!({}),
            exclusive: false,
            created_by: "test".into(),
        };
        let Inserted::New(row) = store.insert_connection(&tx, new).await.unwrap() else {
            panic!("not exclusive")
        };
        let failure = Failure::new(FailureKind::Auth, "refused", "send another");
        store
            .note_failure(&tx, &row, &failure, Some(ConnectionStatus::Error))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        self.look().await;
        row.id
    }

    pub async fn look(&self) {
        let store = &self.office.ctx.store;
        store
            .look_for_alerts(&mut AlertWalk::default())
            .await
            .unwrap();
    }

    /// Deliveries that were asked for, oldest first.
    pub async fn deliveries(&self) -> Vec<Job> {
        Entity::find()
            .filter(Column::Kind.eq(JobKind::AlertDelivery))
            .order_by_asc(Column::Id)
            .all(self.office.ctx.store.db())
            .await
            .unwrap()
    }

    /// Runs the one delivery that waits.
    pub async fn deliver(&self) -> Ran {
        self.deliver_with(&self.office.ctx).await
    }

    pub async fn deliver_with(&self, ctx: &Context) -> Ran {
        let mut waiting = self.deliveries().await;
        waiting.retain(|job| job.state == JobState::Queued);
        assert_eq!(waiting.len(), 1, "{waiting:?}");
        self.run(&waiting[0], ctx).await
    }

    /// Claims a job, runs its body, settles it without the policy's delays.
    pub async fn run(&self, job: &Job, ctx: &Context) -> Ran {
        let store = &ctx.store;
        // A worker of its own for each run: tests move the clock past every lease.
        let me = ProcessId::new(store.clock());
        store.jobs().register(me, "worker", "test").await.unwrap();
        let claimed = store.jobs().claim(me, job.queue, &[job.id]).await;
        let job = claimed.unwrap().into_iter().next().expect("it is due");
        let run = JobRun::new(job, store.clone(), ctx.hints.clone());
        let outcome = jobs::run(&run, ctx).await;
        let end = match outcome.clone() {
            Ok(result) => Settle::Succeed { result },
            Err(JobError {
                next: Next::Fail,
                failure,
            }) => Settle::Fail { failure },
            Err(JobError { .. }) => Settle::Release,
        };
        let settlement = Settlement {
            lease: run.lease,
            end,
        };
        // One that its body has settled has no lease any more.
        store.jobs().settle(&[settlement]).await.unwrap();
        let job = self.office.job(&run.job.id.to_string()).await;
        Ran { job, outcome }
    }
}
