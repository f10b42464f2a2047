//! When a schedule runs, as a body says it.

use patchbay_core::schedule::{CronTimes, Period, Timing};

use crate::{extract::Faults, problem::FieldError};

/// The place of a pattern that names none.
const NO_PLACE: &str = "UTC";

/// What a body says of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said<'a> {
    pub every: Option<&'a str>,
    pub cron: Option<&'a str>,
    pub time_zone: Option<&'a str>,
}

/// Reads it, every error at once. `None`: it says nothing of it.
pub fn read(said: Said<'_>, faults: &Faults) -> Result<Option<Timing>, Vec<FieldError>> {
    let mut errors = Vec::new();
    if let (Some(_), Some(_)) = (said.every, said.cron) {
        let message = "goes not together with `every`; send one or the other";
        errors.push(FieldError::at("/cron", message));
    }
    let every = said.every.map(Period::parse).transpose();
    if let Err(error) = &every {
        errors.push(FieldError::at("/every", error.to_string()));
    }
    let cron = match (said.cron, said.time_zone) {
        (Some(pattern), zone) => CronTimes::parse(pattern, zone.unwrap_or(NO_PLACE)).map(Some),
        // A pattern that the schema refused is told already.
        (None, Some(_)) if !faults.touch("/cron") => {
            let message = "goes only together with `cron`: a period is the same everywhere";
            errors.push(FieldError::at("/time_zone", message));
            Ok(None)
        }
        (None, _) => Ok(None),
    };
    if let Err((pattern, zone)) = &cron {
        let told = [("/cron", pattern), ("/time_zone", zone)];
        errors.extend(told.into_iter().filter_map(|(pointer, error)| {
            Some(FieldError::at(pointer, error.as_ref()?.to_string()))
        }));
    }
    match (every, cron) {
        (Ok(every), Ok(cron)) if errors.is_empty() => {
            Ok(every.map(Timing::Every).or(cron.map(Timing::Cron)))
        }
        _ => Err(errors),
    }
}
