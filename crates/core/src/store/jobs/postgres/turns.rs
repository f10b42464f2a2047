//! A skip scan over orgs: from one to the next through the index, so the cost is that of
//! the orgs asked about and not of their backlogs. Of an org's lanes only the heads are
//! looked at. Orgs whose queued jobs all wait for a later time are passed over at the
//! cost of a few index probes each. Suspects that may not run are stepped over one by one:
//! there are few, as there are of those that are to run alone and are nobody's turn.
//!
//! Whoever only wants to know of some due jobs, and not which of them goes first, does not
//! look at the other lanes of an org ([`any_job`], [`some_due`]).
//!
//! Statements made of these parts want `clock (now)`, `suspects (taken)`: whether no
//! further suspect may run, and the parameters `$2` queue, `$3` how many orgs, `$4` after
//! which, `$5` without these, `$6` kinds of job.

/// The first org with queued jobs in queue `$2` for which the condition on `turn` holds.
macro_rules! first_turn {
    ($condition:literal) => {
        concat!(
            "least((select turn from jobs where queue = $2 and state = 'queued' and lane is null and ",
            $condition,
            " order by turn limit 1),
             (select turn from jobs where queue = $2 and state = 'queued' and lane is not null and ",
            $condition,
            " order by turn limit 1))"
        )
    };
}

/// Jobs of one org without a lane that are due, longest due first. The look for known kinds
/// ends after a thousand that are not: a newer version's flood must not be walked through
/// by every claim (measured with 100,000: 1.2 s). What is known behind it has its hints.
macro_rules! without_lane {
    ($turn:literal, $which:literal, $limit:literal) => {
        concat!(
            "(select id, run_at, crashes from (
                select id, run_at, crashes, kind from jobs
                where queue = $2 and turn = ",
            $turn,
            " and state = 'queued' and lane is null and run_at <= (select now from clock) and ",
            $which,
            " order by run_at, id limit 1000 + ",
            $limit,
            ") near where kind = any($6) order by run_at, id limit ",
            $limit,
            ")"
        )
    };
}

/// Those jobs of one org that are due and the heads of free lanes. The first thousand lanes
/// are looked at: an org has one per connection and stream. With a limit the walk ends as
/// soon as it has found so many.
macro_rules! heads_of_lanes {
    ($turn:literal, $which:literal $(, $limit:literal)?) => {
        concat!(
            "(with recursive heads (lane, id, run_at, crashes, kind, no) as (
                (select lane, id, run_at, crashes, kind, 1 from jobs
                 where queue = $2 and turn = ",
            $turn,
            " and state = 'queued' and lane is not null
                 order by lane, id limit 1)
                union all
                select next.lane, next.id, next.run_at, next.crashes, next.kind, no + 1
                from heads, lateral (
                    select j.lane, j.id, j.run_at, j.crashes, j.kind from jobs j
                    where j.queue = $2 and j.turn = ",
            $turn,
            " and j.state = 'queued' and j.lane is not null and j.lane > heads.lane
                    order by j.lane, j.id limit 1) next
                where no < 1000
             )
             select id, run_at, crashes from heads
             where run_at <= (select now from clock) and kind = any($6) and ",
            $which,
            " and (select true from jobs r where r.lane = heads.lane and r.state = 'running' limit 1) is null",
            $(" limit ", $limit,)?
            ")"
        )
    };
}

/// Jobs of one org that may run now, longest due first.
macro_rules! claimable {
    ($turn:literal, $which:literal, $limit:literal) => {
        concat!(
            "(select id, run_at, crashes from (",
            $crate::store::jobs::postgres::turns::without_lane!($turn, $which, $limit),
            " union all ",
            $crate::store::jobs::postgres::turns::heads_of_lanes!($turn, $which),
            ") claimable order by run_at, id limit ",
            $limit,
            ")"
        )
    };
}

/// Some jobs of one org that may run now, as many with a lane as without while there are both:
/// of those without the longest due, of the others the first that are found.
macro_rules! some_due {
    ($turn:literal, $which:literal, $limit:literal) => {
        concat!(
            "(select id, run_at from (
                select id, run_at, row_number() over (order by run_at, id) as nth from ",
            $crate::store::jobs::postgres::turns::without_lane!($turn, $which, $limit),
            " without_lane
                union all
                select id, run_at, row_number() over (order by run_at, id) from ",
            $crate::store::jobs::postgres::turns::heads_of_lanes!($turn, $which, $limit),
            " heads
            ) found order by nth, run_at, id limit ",
            $limit,
            ")"
        )
    };
}

/// What the first job to run of `step.turn` has crashed, null where it has none. Here and
/// below, `offset 0` keeps the planner from writing the subquery out at each place that
/// names its result.
macro_rules! first_job {
    ($which:literal) => {
        concat!(
            "lateral (select case when step.turn is not null and step.turn <> all($5) then (
                select crashes from ",
            $crate::store::jobs::postgres::turns::claimable!("step.turn", $which, "1"),
            " one) end as crashes offset 0) first_job"
        )
    };
}

/// The same for whoever knows that no suspect is among the jobs that may run, or does not
/// mind: zero where the org has any job to run.
macro_rules! any_job {
    ($which:literal) => {
        concat!(
            "lateral (select case when step.turn is not null and step.turn <> all($5) then coalesce(
                (select 0 from ",
            $crate::store::jobs::postgres::turns::without_lane!("step.turn", $which, "1"),
            " one),
                (select 0 from ",
            $crate::store::jobs::postgres::turns::heads_of_lanes!("step.turn", $which, "1"),
            " one)) end as crashes offset 0) first_job"
        )
    };
}

/// Common table expressions up to `turns (turn, place)`: at most `$3` orgs that have a job to
/// run, beginning after `$4` and going round, without those in `$5`. The walk knows in
/// `step.taken` whether an org before was given the one suspect; with `any` it does not look.
macro_rules! turns {
    ($which:literal) => {
        $crate::store::jobs::postgres::turns::turns!(
            @ $crate::store::jobs::postgres::turns::first_job!($which)
        )
    };
    (any $which:literal) => {
        $crate::store::jobs::postgres::turns::turns!(
            @ $crate::store::jobs::postgres::turns::any_job!($which)
        )
    };
    (@ $($job:tt)*) => {
        concat!(
            "ahead (turn, served, n, taken) as (
                select step.turn, crashes is not null, (crashes is not null)::integer,
                       step.taken or coalesce(crashes > 0, false)
                from (select taken, ",
            $crate::store::jobs::postgres::turns::first_turn!("turn > $4"),
            " as turn from suspects offset 0) step, ",
            $($job)*,
            "
                union all
                select step.turn, crashes is not null, ahead.n + (crashes is not null)::integer,
                       step.taken or coalesce(crashes > 0, false)
                from ahead, lateral (select ahead.taken, ",
            $crate::store::jobs::postgres::turns::first_turn!("turn > ahead.turn"),
            " as turn offset 0) step, ",
            $($job)*,
            "
                where ahead.turn is not null and ahead.n < $3
            ),
            behind (turn, served, n, taken) as (
                select step.turn, crashes is not null, ahead.n + (crashes is not null)::integer,
                       step.taken or coalesce(crashes > 0, false)
                from (select max(n) as n, bool_or(taken) as taken from ahead) ahead, lateral (select ahead.taken, ",
            $crate::store::jobs::postgres::turns::first_turn!("turn <= $4"),
            " as turn offset 0) step, ",
            $($job)*,
            "
                where ahead.n < $3
                union all
                select step.turn, crashes is not null, behind.n + (crashes is not null)::integer,
                       step.taken or coalesce(crashes > 0, false)
                from behind, lateral (select behind.taken, ",
            $crate::store::jobs::postgres::turns::first_turn!("turn > behind.turn and turn <= $4"),
            " as turn offset 0) step, ",
            $($job)*,
            "
                where behind.turn is not null and behind.n < $3
            ),
            turns as materialized (
                select turn, row_number() over (order by lap, turn) as place
                from (select 0 as lap, turn from ahead where served union all select 1, turn from behind where served) served
            )"
        )
    };
}

pub(super) use {
    any_job, claimable, first_job, first_turn, heads_of_lanes, some_due, turns, without_lane,
};
