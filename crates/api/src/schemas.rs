//! OpenAPI schemas of the closed lists in core, made from the lists themselves.

use patchbay_core::{
    alerts::{AlertKind, AlertState},
    breaker::State,
    connection::{ConnectionStatus, Health},
    events::EventKind,
    failure::{FailureKind, NextActionKind},
    health::window::Window,
    job::{JobKind, JobState, Queue},
    retry::Backoff,
    schedule::{Misfire, SchedulePull, TickOutcome},
};
use sea_orm::{ActiveEnum, Iterable};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

fn names<E>() -> Object
where
    E: ActiveEnum<Value = String> + Iterable,
{
    let names: Vec<String> = E::iter().map(|variant| variant.to_value()).collect();
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names))
        .build()
}

pub fn job_state() -> Object {
    names::<JobState>()
}

pub fn job_kind() -> Object {
    names::<JobKind>()
}

pub fn queue() -> Object {
    names::<Queue>()
}

pub fn connection_status() -> Object {
    names::<ConnectionStatus>()
}

pub fn health() -> Object {
    names::<Health>()
}

pub fn schedule_pull() -> Object {
    names::<SchedulePull>()
}

pub fn misfire() -> Object {
    names::<Misfire>()
}

pub fn tick_outcome() -> Object {
    names::<TickOutcome>()
}

pub fn backoff() -> Object {
    names::<Backoff>()
}

pub fn breaker_state() -> Object {
    let names: Vec<&str> = State::ALL.iter().map(|state| state.name()).collect();
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names))
        .build()
}

pub fn alert_kind() -> Object {
    names::<AlertKind>()
}

pub fn alert_state() -> Object {
    names::<AlertState>()
}

pub fn event_kind() -> Object {
    names::<EventKind>()
}

pub fn window() -> Object {
    let names: Vec<&str> = Window::ALL.iter().map(|window| window.name()).collect();
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names))
        .build()
}

pub fn next_action_kind() -> Object {
    let names: Vec<&str> = NextActionKind::ALL.iter().map(|kind| kind.name()).collect();
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names))
        .build()
}

pub fn failure_kind() -> Object {
    let names: Vec<&str> = FailureKind::ALL.iter().map(|kind| kind.name()).collect();
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names))
        .build()
}
