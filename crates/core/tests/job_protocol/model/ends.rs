//! Steps that end a run or are a person's wish.

use patchbay_core::{job::Settle, progress::Progress, store::jobs::Moved};

use super::{
    End,
    run::{Both, Checked, same},
    table::Row,
};
use crate::stage::{fail, park, retry_after, snooze, succeed};

impl Both {
    pub(super) async fn checkpoint(&mut self, number: u8) -> Checked {
        let Some(belief) = self.belief(number) else {
            return Ok(());
        };
        let tx = self.stage.store.begin().await.unwrap();
        let passes = self.stage.jobs().fence(&tx, belief.lease).await.unwrap();
        if passes {
            self.stage
                .jobs()
                .checkpoint(&tx, belief.lease, &Progress::default(), None)
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
        same!(passes, self.table.passes(belief.lease), "passes the fence");
        if passes {
            self.table.checkpoint(belief.lease);
        }
        Ok(())
    }

    pub(super) async fn settle(&mut self, number: u8, end: &End) -> Checked {
        let Some(belief) = self.belief(number) else {
            return Ok(());
        };
        let refused = match end {
            End::Park { with_version: true } => Some(belief.credential),
            _ => None,
        };
        let settle = match end {
            End::Succeed => succeed(),
            End::Fail => fail(),
            End::Retry { delay } => retry_after(u64::from(*delay)),
            End::Snooze { delay } => snooze(u64::from(*delay)),
            End::Park { .. } => park(refused),
            End::Release => Settle::Release,
        };
        let settled = self.stage.settle(belief.lease, settle).await;
        same!(
            settled.is_some(),
            self.table.passes(belief.lease),
            "settled"
        );
        let Some(settled) = settled else {
            return Ok(());
        };
        let successor = self.table.settle(belief.lease, end, refused);
        same!(
            settled.state,
            self.table.jobs[&belief.lease.job].state,
            "state told"
        );
        same!(
            settled.successor.is_some(),
            successor.is_some(),
            "successor"
        );
        self.table.jobs.extend(settled.successor.zip(successor));
        Ok(())
    }

    pub(super) async fn person(&mut self, number: u8, wish: char) -> Checked {
        let Some(id) = self.job(number) else {
            return Ok(());
        };
        let org = self.table.jobs[&id].org;
        let (moved, may) = match wish {
            'c' => (self.stage.cancel(org, id).await, self.table.cancel(id)),
            'r' => (self.stage.retry(org, id).await, self.table.retry(id)),
            _ => (self.stage.discard(org, id).await, self.table.discard(id)),
        };
        let told = match moved {
            Moved::Done(row) => (true, Row::of(&row)),
            Moved::Refused(row) => (false, Row::of(&row)),
            Moved::Missing => return Err("missing".into()),
        };
        same!(told, (may, self.table.jobs[&id].clone()), "the row told");
        Ok(())
    }

    pub(super) async fn unpark(&mut self) -> Checked {
        let tx = self.stage.store.begin().await.unwrap();
        let due = self
            .stage
            .jobs()
            .unpark(&tx, self.connection)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        same!(
            due.iter().map(|due| due.job).collect::<Vec<_>>(),
            self.table.unpark(),
            "unparked"
        );
        Ok(())
    }
}
