//! Reads the client's log, the job rows, the witness's tables and the calls abroad after a
//! run, and says which promise of the product was broken.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Duration,
};

use anyhow::Result;
use uuid::Uuid;

use crate::{
    abroad::{Call, Place},
    client::{Ack, End, Log},
    findings::{Findings, Invariant},
    stage::Stage,
    witness::{self, Effect, Move, Row},
};

/// What a run may do to jobs beyond what was asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowed {
    /// The database was away or silent: bodies meet errors, leases run out.
    pub database_was_away: bool,
}

/// Everything that is known about a run.
struct Evidence {
    log: Log,
    rows: HashMap<Uuid, Row>,
    moves: Vec<Move>,
    effects: Vec<Effect>,
    calls: Vec<Call>,
    disturbed: HashSet<u32>,
}

/// Checks a run that has come to rest.
///
/// # Errors
/// The database cannot be read.
pub async fn check(stage: &Stage, allowed: Allowed) -> Result<Findings> {
    let rows = witness::rows(&stage.database).await?;
    let log = stage.client.log().clone();
    let evidence = Evidence {
        log,
        rows: rows.into_iter().map(|row| (row.id, row)).collect(),
        moves: witness::moves(&stage.database).await?,
        effects: witness::effects(&stage.database).await?,
        calls: stage.abroad.calls(),
        disturbed: stage.abroad.disturbed(),
    };
    let mut findings = Findings::default();
    for died in &stage.died {
        findings.say(Invariant::ProcessEnded, died);
    }
    evidence.ends(&mut findings);
    evidence.runs(&mut findings);
    evidence.database_effects(&mut findings);
    evidence.effects_abroad(&mut findings);
    evidence.attempts(allowed, &mut findings);
    evidence.moves(allowed, &mut findings);
    evidence.lanes(&mut findings);
    evidence.requests(&mut findings);
    Ok(findings)
}

impl Evidence {
    fn ends(&self, findings: &mut Findings) {
        let mut ended: HashMap<Uuid, usize> = HashMap::new();
        for one in &self.moves {
            if ["succeeded", "failed", "cancelled", "quarantined"].contains(&one.state.as_str()) {
                *ended.entry(one.job).or_default() += 1;
            }
        }
        for (job, times) in &ended {
            if *times > 1 {
                findings.say(Invariant::OneEnd, format!("{job} ended {times} times"));
            }
        }
        for row in self.rows.values() {
            if row.state == "succeeded" && row.result_epoch.is_some_and(|epoch| epoch != row.epoch)
            {
                let what = format!(
                    "{} was ended by run {:?}, its run was {}",
                    row.id, row.result_epoch, row.epoch
                );
                findings.say(Invariant::OneEnd, what);
            }
        }
        for (job, ack) in self.acknowledged() {
            let Some(row) = self.rows.get(&job) else {
                findings.say(
                    Invariant::Lost,
                    format!("{job} was acknowledged and has no row"),
                );
                continue;
            };
            let wanted = match ack.end {
                End::Succeeded => "succeeded",
                End::Failed(_) => "failed",
                End::Quarantined => "quarantined",
            };
            if row.state != wanted {
                let invariant = if row.state == "quarantined" || wanted == "quarantined" {
                    Invariant::Quarantine
                } else {
                    Invariant::Lost
                };
                let what = format!("{job} is {}, not {wanted}; {row:?}", row.state);
                findings.say(invariant, what);
            }
        }
    }

    /// Each job with the request that was made first.
    fn acknowledged(&self) -> BTreeMap<Uuid, &Ack> {
        let mut first: BTreeMap<Uuid, &Ack> = BTreeMap::new();
        for ack in &self.log.acks {
            let known = first.entry(ack.job).or_insert(ack);
            if ack.asked < known.asked {
                *known = ack;
            }
        }
        first
    }

    fn runs(&self, findings: &mut Findings) {
        let claims = self.moves.iter().filter(|one| one.state == "running");
        let claimed: HashSet<(Uuid, i64)> = claims.map(|one| (one.job, one.epoch)).collect();
        for call in &self.calls {
            if !claimed.contains(&(call.job, call.epoch)) {
                let what = format!("{} ran as {} unclaimed", call.job, call.epoch);
                findings.say(Invariant::NoRow, what);
            }
        }
    }

    fn database_effects(&self, findings: &mut Findings) {
        let mut steps: HashMap<Uuid, Vec<i64>> = HashMap::new();
        for effect in &self.effects {
            steps.entry(effect.job).or_default().push(effect.step);
            if effect.row_epoch != Some(effect.epoch)
                || effect.row_state.as_deref() != Some("running")
            {
                findings.say(Invariant::StaleCommit, format!("{effect:?}"));
            }
        }
        for (job, ack) in self.acknowledged() {
            let mut taken = steps.remove(&job).unwrap_or_default();
            taken.sort_unstable();
            let all = taken.len();
            taken.dedup();
            if taken.len() < all {
                let what = format!("{job}: {} effects twice", all - taken.len());
                findings.say(Invariant::DatabaseTwice, what);
            }
            let succeeded = self
                .rows
                .get(&job)
                .is_some_and(|row| row.state == "succeeded");
            if succeeded && taken.len() as i64 != ack.steps {
                let what = format!(
                    "{job} succeeded with {} of {} effects",
                    taken.len(),
                    ack.steps
                );
                findings.say(Invariant::Lost, what);
            }
        }
    }

    fn effects_abroad(&self, findings: &mut Findings) {
        let mut keys: HashMap<(Uuid, i64), BTreeSet<&str>> = HashMap::new();
        let mut owners: HashMap<&str, (Uuid, i64)> = HashMap::new();
        let effects = self.calls.iter().filter(|call| call.place == Place::Effect);
        for call in effects {
            let Some(key) = call.key.as_deref() else {
                findings.say(Invariant::AbroadTwice, format!("{} sent no key", call.job));
                continue;
            };
            let effect = (call.job, call.step);
            keys.entry(effect).or_default().insert(key);
            if *owners.entry(key).or_insert(effect) != effect {
                findings.say(Invariant::AbroadTwice, format!("{key} names two effects"));
            }
        }
        for ((job, step), keys) in keys {
            if keys.len() > 1 {
                let what = format!("{job}, step {step}: {keys:?}");
                findings.say(Invariant::AbroadTwice, what);
            }
        }
    }

    fn attempts(&self, allowed: Allowed, findings: &mut Findings) {
        let mut begun: HashMap<Uuid, BTreeSet<(i64, i32)>> = HashMap::new();
        let begins = self.calls.iter().filter(|call| call.place == Place::Begin);
        for call in begins {
            let runs = begun.entry(call.job).or_default();
            runs.insert((call.epoch, call.attempt));
        }
        for row in self.rows.values() {
            if row.attempt > row.max_attempts {
                findings.say(Invariant::Attempts, format!("too many: {row:?}"));
            }
        }
        for (job, ack) in self.acknowledged() {
            let Some(row) = self.rows.get(&job) else {
                continue;
            };
            match ack.end {
                End::Failed(attempts) => {
                    let runs = begun.get(&job).map_or(0, BTreeSet::len);
                    if row.attempt != attempts || runs != attempts as usize {
                        let what = format!("{runs} runs, not {attempts}, {} counted", row.attempt);
                        findings.say(Invariant::Attempts, format!("{job}: {what}"));
                    }
                }
                End::Succeeded if row.attempt > 0 && !allowed.database_was_away => {
                    findings.say(Invariant::Attempts, format!("burnt: {row:?}"));
                }
                End::Succeeded | End::Quarantined => {}
            }
        }
    }

    fn moves(&self, allowed: Allowed, findings: &mut Findings) {
        let mut before: HashMap<Uuid, &Move> = HashMap::new();
        for one in &self.moves {
            if one.early {
                findings.say(Invariant::Early, format!("{} was claimed early", one.job));
            }
            if one.beside {
                let what = format!("{} in {:?}", one.job, one.process);
                findings.say(Invariant::Beside, what);
            }
            if one.back {
                findings.say(Invariant::WentBack, format!("progress of {}", one.job));
            }
            let taken = one.was.as_deref() == Some("running")
                && ["queued", "quarantined"].contains(&one.state.as_str());
            let own = before
                .get(&one.job)
                .is_some_and(|last| one.attempt > last.attempt);
            let harmed = one
                .process
                .is_some_and(|process| self.disturbed.contains(&process));
            if taken && !own && !harmed && !allowed.database_was_away {
                findings.say(Invariant::Stolen, format!("{one:?}"));
            }
            before.insert(one.job, one);
        }
        let mut begun: HashMap<Uuid, &Call> = HashMap::new();
        for call in self.calls.iter().filter(|call| call.place == Place::Begin) {
            begun.entry(call.job).or_insert(call);
        }
        for (job, ack) in self.acknowledged() {
            let first = begun.get(&job);
            // The client's clock and ours are one; the margin is for the way of the call.
            if first.is_some_and(|call| call.at + Duration::from_millis(20) < ack.not_before) {
                findings.say(Invariant::Early, format!("{job} began before its time"));
            }
        }
    }

    fn lanes(&self, findings: &mut Findings) {
        let mut open: BTreeMap<&str, BTreeMap<Uuid, &str>> = BTreeMap::new();
        for one in &self.moves {
            let lane = self.rows.get(&one.job).and_then(|row| row.lane.as_deref());
            let Some(lane) = lane else { continue };
            let jobs = open.entry(lane).or_default();
            if one.state == "running" {
                if let Some((older, _)) = jobs.range(..one.job).next() {
                    let what = format!("{} before {older} of its lane", one.job);
                    findings.say(Invariant::Lane, what);
                }
                let beside = jobs
                    .iter()
                    .any(|(job, state)| *job != one.job && *state == "running");
                if beside {
                    findings.say(Invariant::Lane, format!("{} beside another", one.job));
                }
            }
            if ["succeeded", "failed", "cancelled", "quarantined"].contains(&one.state.as_str()) {
                jobs.remove(&one.job);
            } else {
                jobs.insert(one.job, &one.state);
            }
        }
    }

    /// The key of each job that has one: as it was asked for, or as a successor's row says it.
    fn keys(&self) -> HashMap<Uuid, &str> {
        let rows = self.rows.values().filter_map(|row| {
            // The API puts the org before it.
            let (_, key) = row.key.as_deref()?.split_once(':')?;
            Some((row.id, key))
        });
        let asked = self
            .log
            .acks
            .iter()
            .filter_map(|ack| Some((ack.job, ack.key.as_deref()?)));
        rows.chain(asked).collect()
    }

    fn requests(&self, findings: &mut Findings) {
        let acknowledged = self.acknowledged();
        for row in self.rows.values() {
            let asked_for = acknowledged.contains_key(&row.id) || row.key.is_some();
            if row.kind == "noop" && !asked_for && self.log.given_up == 0 {
                let what = format!("{} was enqueued and never acknowledged", row.id);
                findings.say(Invariant::Doubled, what);
            }
        }
        let mut answers: HashMap<&(String, usize), Uuid> = HashMap::new();
        for ack in &self.log.acks {
            let first = *answers.entry(&ack.request).or_insert(ack.job);
            if first != ack.job {
                let what = format!("one request made {first} and {}", ack.job);
                findings.say(Invariant::Doubled, what);
            }
        }
        let keys = self.keys();
        let mut open: HashMap<&str, HashSet<Uuid>> = HashMap::new();
        for one in &self.moves {
            let Some(key) = keys.get(&one.job).copied() else {
                continue;
            };
            let jobs = open.entry(key).or_default();
            if ["queued", "parked", "running"].contains(&one.state.as_str()) {
                jobs.insert(one.job);
                // The successor is born in the statement that ends its predecessor.
                if jobs.len() > 2 || (jobs.len() == 2 && one.state == "running") {
                    findings.say(Invariant::Doubled, format!("{jobs:?} are open for {key}"));
                }
            } else {
                jobs.remove(&one.job);
            }
        }
        for ack in &self.log.acks {
            let Some(key) = ack.key.as_deref() else {
                continue;
            };
            let served = self.calls.iter().any(|call| {
                call.place == Place::Begin
                    && call.at >= ack.asked
                    && keys.get(&call.job).is_some_and(|known| *known == key)
            });
            if !served {
                findings.say(Invariant::Swallowed, format!("{ack:?}"));
            }
        }
    }
}
