//! One task per queue that owns its fetching and settling: it asks for as many jobs as
//! slots are free, hands them to apalis, and settles what comes back, in batches and
//! pipelined. Statements and scripts in flight are not dropped before their time is up
//! ([`answer`]): a lost reply is a lost batch until a renewal finds it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use patchbay_core::{
    entities::job::Model as Job,
    hints::{HintsAway, Signal},
    ids::{OrgId, ProcessId},
    job::{Queue, Settle, Settlement},
};
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender},
        watch,
    },
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    alone::{Given, Room},
    backend::Finished,
    book::Book,
    context::Context,
    metrics::Metrics,
    run::{JobRun, StopReason},
    supervise::Ended,
};

mod answer;
mod asking;
mod fetch;
mod outcome;
mod settle;
mod slots;

pub(crate) use answer::answered;
pub(crate) use asking::jittered;
use asking::{NEWCOMERS, TABLE_WITH_HINTS, lingered};
use fetch::{Fetched, Source, turn_of};
use settle::{Ending, News, Outcome};
use slots::Slots;

/// Settlements in flight at once: one works while the other travels.
const SETTLES: usize = 2;
/// After a failed statement.
const AFTER_FAILURE: Duration = Duration::from_millis(300);

/// The parts a driver is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) queue: Queue,
    pub(crate) slots: usize,
    pub(crate) ctx: Context,
    pub(crate) me: watch::Receiver<Option<ProcessId>>,
    pub(crate) book: Arc<Book>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) to_worker: UnboundedSender<Arc<JobRun>>,
    pub(crate) finished: UnboundedReceiver<Finished>,
    pub(crate) room: Arc<Room>,
    pub(crate) given: UnboundedReceiver<Given>,
    pub(crate) stop: CancellationToken,
}

enum Event {
    Fetched(Fetched),
    Settled(Vec<Ending>, Outcome),
    Told,
}

struct Driver {
    parts: Parts,
    slots: Slots,
    ops: FuturesUnordered<BoxFuture<'static, Event>>,
    fetches: usize,
    settles: usize,
    ended: Vec<Ending>,
    settling: usize,
    /// Since when a small fetch, a small settlement, waits for company.
    fetch_waits: Option<Instant>,
    settle_waits: Option<Instant>,
    wait: Option<JoinHandle<Result<(), HintsAway>>>,
    /// Hints may be there; false after a pop that found too few.
    hints_likely: bool,
    /// The last pop got all that it asked for.
    hints_flowed: bool,
    /// Wake-ups so far: a pop begun before the last one says nothing about what came with it.
    wakes: u64,
    /// When newcomers are looked for again.
    newcomers_at: Instant,
    /// The last look at the table filled half of its request: there is more.
    table_has_more: bool,
    table_at: Instant,
    after: OrgId,
}

/// Runs until `stop`, and then until every claimed job is settled.
pub(crate) async fn drive(parts: Parts) {
    let mut driver = Driver {
        slots: Slots::new(parts.slots),
        ops: FuturesUnordered::new(),
        fetches: 0,
        settles: 0,
        ended: Vec::new(),
        settling: 0,
        fetch_waits: None,
        settle_waits: None,
        wait: None,
        hints_likely: true,
        hints_flowed: false,
        wakes: 0,
        newcomers_at: Instant::now(),
        table_has_more: false,
        table_at: Instant::now(),
        after: OrgId::DEPLOYMENT,
        parts,
    };
    driver.run().await;
}

impl Driver {
    async fn run(&mut self) {
        let mut room = self.parts.room.watch();
        loop {
            let stopping = self.parts.stop.is_cancelled();
            self.start_settles();
            if stopping {
                self.stop_bodies();
                if self.fetches == 0
                    && self.slots.occupied() == 0
                    && self.ended.is_empty()
                    && self.ops.is_empty()
                {
                    return;
                }
            } else {
                self.start_fetches();
                self.start_wait();
            }
            let ready_for_table =
                !stopping && self.may_fetch() && self.fetches == 0 && self.fetch_waits.is_none();
            let look_again_at = self.look_again_at();
            tokio::select! {
                Some(finished) = self.parts.finished.recv() => self.take_finished(finished),
                Some(event) = self.ops.next(), if !self.ops.is_empty() => self.handle(event),
                Some(Given { me, job, begun }) = self.parts.given.recv() => {
                    self.begin(me, vec![job]);
                    // Nobody listens where the process stops.
                    begun.send(()).ok();
                }
                Ok(()) = room.changed() => {}
                waited = async { self.wait.as_mut().expect("guarded").await }, if self.wait.is_some() => {
                    self.wait = None;
                    self.waited(waited.unwrap_or_else(|error| Err(HintsAway(error.to_string()))));
                }
                () = tokio::time::sleep_until(self.table_at.into()), if ready_for_table => {}
                () = tokio::time::sleep_until(look_again_at.unwrap_or(self.table_at).into()), if look_again_at.is_some() => {}
                changed = self.parts.me.changed(), if !stopping => {
                    if changed.is_err() {
                        // Whoever kept the lease is gone; without it nothing may be claimed.
                        self.parts.stop.cancelled().await;
                    }
                }
                () = self.parts.stop.cancelled(), if !stopping => {}
            }
        }
    }

    /// Once more than the process does it: a claim may have come in between.
    fn stop_bodies(&self) {
        for run in self.parts.book.all_running() {
            run.stop_for(StopReason::Shutdown);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Fetched(fetched) => self.take_fetched(fetched),
            Event::Settled(endings, outcome) => self.take_settled(&endings, &outcome),
            Event::Told => {}
        }
    }

    fn take_fetched(&mut self, mut fetched: Fetched) {
        self.fetches -= 1;
        let asked = fetched.plan.slots();
        self.slots.answered(asked);
        let got = fetched.jobs.len();
        let metrics = Arc::clone(&self.parts.metrics);
        match fetched.plan.source {
            Source::Hints => {
                metrics.claimed_from_hints.add(got);
                metrics.hints_popped.add(fetched.hints);
                metrics.hints_stale.add(fetched.hints.saturating_sub(got));
                if fetched.hints < asked && fetched.plan.open == 0 {
                    self.newcomers_at = Instant::now() + jittered(NEWCOMERS);
                } else if fetched.hints >= asked || fetched.plan.wakes == self.wakes {
                    let dried_up = self.hints_flowed && fetched.hints < asked;
                    self.hints_flowed = fetched.hints >= asked;
                    self.hints_likely = self.hints_flowed;
                    if dried_up {
                        // Lists hold a thousand: behind one that was emptied the table has more.
                        self.look_at_table_within(Duration::ZERO);
                    }
                }
            }
            Source::Table { .. } => {
                metrics.claimed_from_table.add(got);
                // Not only when full: it passes over rows that another process is claiming.
                self.table_has_more = 2 * got >= asked;
                // Not later than a look that was asked for meanwhile.
                self.look_at_table_within(jittered(TABLE_WITH_HINTS));
                if let Some(last) = fetched.jobs.last() {
                    self.after = turn_of(last);
                }
            }
        }
        if fetched.several_wait || got > 0 {
            self.slots.saw_waiting(fetched.several_wait, Instant::now());
        }
        if let Some(away) = fetched.hints_away.take() {
            self.without_hints(&away);
        }
        if let Some(error) = fetched.failed.take() {
            metrics.fetches_failed.add(1);
            tracing::warn!(%error, queue = self.parts.queue.name(), "jobs could not be claimed");
            // Its hints are lost; the table knows.
            self.hints_likely = false;
            self.table_has_more = false;
            self.table_at = Instant::now() + jittered(AFTER_FAILURE);
        }
        self.begin(fetched.plan.me, std::mem::take(&mut fetched.jobs));
    }

    fn begin(&mut self, me: ProcessId, jobs: Vec<Job>) {
        let mut signals = Vec::new();
        let ours = *self.parts.me.borrow() == Some(me);
        let unwanted = self.parts.stop.is_cancelled() || !ours;
        for job in jobs {
            let turn = turn_of(&job);
            let ctx = &self.parts.ctx;
            let run = Arc::new(JobRun::new(job, ctx.store.clone(), Arc::clone(&ctx.hints)));
            self.parts.book.add(&run);
            if unwanted {
                self.ended.push(released(run));
                continue;
            }
            self.slots.occupy(turn);
            signals.extend(run.job.org_id.map(|org| Signal::Job {
                org,
                job: run.job.id,
            }));
            if let Err(unsent) = self.parts.to_worker.send(run) {
                self.slots.vacate(turn);
                self.ended.push(released(unsent.0));
            }
        }
        self.tell(News {
            signals,
            ..News::default()
        });
    }

    fn take_finished(&mut self, finished: Finished) {
        self.end_run(finished);
        while let Ok(more) = self.parts.finished.try_recv() {
            self.end_run(more);
        }
    }

    fn end_run(&mut self, Finished { run, ended }: Finished) {
        self.slots.vacate(turn_of(&run.job));
        if let Ended::Panicked(message) = &ended {
            tell_log_of_panic(&run, message);
        }
        let cut_short = outcome::was_cut_short(&run, &ended);
        let end = outcome::settle_for(&run, ended, &self.parts.metrics, &*self.parts.ctx.clock);
        self.ended.push(Ending {
            settlement: Settlement {
                lease: run.lease,
                end,
            },
            cut_short,
            run,
        });
    }

    fn start_settles(&mut self) {
        while self.settles < SETTLES && !self.ended.is_empty() {
            let few = self.ended.len() < (self.slots.total() / 4).min(settle::BATCH / 4);
            let more_may_end = self.slots.occupied() > 0 && !self.parts.stop.is_cancelled();
            if few
                && more_may_end
                && (self.settles > 0 || !lingered(&mut self.settle_waits, Instant::now()))
            {
                return;
            }
            self.settle_waits = None;
            let batch: Vec<Ending> = self
                .ended
                .drain(..self.ended.len().min(settle::BATCH))
                .collect();
            self.settles += 1;
            self.settling += batch.len();
            let ctx = self.parts.ctx.clone();
            let metrics = Arc::clone(&self.parts.metrics);
            self.ops.push(
                async move {
                    let outcome = settle::settle(ctx, metrics, &batch).await;
                    Event::Settled(batch, outcome)
                }
                .boxed(),
            );
        }
    }

    fn take_settled(&mut self, endings: &[Ending], outcome: &Outcome) {
        self.settles -= 1;
        self.settling -= endings.len();
        settle::count(&self.parts.metrics, endings, &outcome.settled);
        for ending in endings {
            self.parts.book.remove(ending.settlement.lease);
        }
        let news = settle::news(endings, outcome);
        if let Some(delay) = news.next_is_in_table {
            self.look_at_table_within(delay);
        }
        self.tell(news);
    }

    /// Best effort, beside the driver's work.
    fn tell(&mut self, news: News) {
        if news.due.is_empty() && news.signals.is_empty() {
            return;
        }
        let hints = Arc::clone(&self.parts.ctx.hints);
        let queue = self.parts.queue;
        self.ops.push(
            async move {
                let told = async {
                    if !news.due.is_empty() {
                        hints.push(queue, &news.due).await?;
                    }
                    hints.signal_all(&news.signals).await
                };
                if let Err(away) = told.await {
                    tracing::debug!(%away, "hints and signals not sent");
                }
                Event::Told
            }
            .boxed(),
        );
    }
}

fn released(run: Arc<JobRun>) -> Ending {
    run.set_ended();
    Ending {
        settlement: Settlement {
            lease: run.lease,
            end: Settle::Release,
        },
        cut_short: false,
        run,
    }
}

fn tell_log_of_panic(run: &Arc<JobRun>, message: &str) {
    let run = Arc::clone(run);
    let fields = serde_json::json!({ "panic": message });
    tokio::spawn(async move {
        run.log.error("the job's code panicked", fields).await;
        run.log.flush().await;
    });
}
