//! The carrier: hints, workers and schedulers, with a real database and a real Redis.

mod alone;
mod cut_short;
mod database_silent;
mod hints;
mod hints_redis;
mod redis_away;
mod scheduler;
mod schedules;
mod slots;
mod stage;
mod stop;
mod worker;
