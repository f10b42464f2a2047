//! The setting that says how fast accounts of a provider are called.

use super::value::{Period, Value};
use crate::pace::Rate;

/// `None`: as fast as they can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderRate(pub Option<Rate>);

impl Value for ProviderRate {
    const ALLOWED: &'static str =
        "CALLS/TIME such as 10/s, 300/m or 20/2s, the time at most 1h; or off";

    fn parse(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        let (calls, time) = text.split_once('/').ok_or("has no `/`")?;
        let calls = calls.parse().map_err(|_| "has no number of calls")?;
        let is_unit = time.starts_with(|character: char| character.is_ascii_alphabetic());
        let time = if is_unit { &format!("1{time}") } else { time };
        let rate = Rate::new(calls, Period::parse(time)?.0).ok_or("allows no call at all")?;
        Ok(Self(Some(rate)))
    }

    fn shown(&self) -> String {
        self.0
            .map_or_else(|| "off".to_owned(), |rate| rate.to_string())
    }
}
