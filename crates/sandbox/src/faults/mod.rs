//! Faults by switch: what a stand-in does wrong, where, how often.
//!
//! A fault names an endpoint pattern and an effect, and strikes by probability (seeded),
//! by count, or always. Several may strike one request. They are set from the options,
//! from code through [`Faults`], or over `/_control/faults`.

mod effect;
mod layer;
mod refusal;
mod spoil;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

pub use effect::Effect;
pub(crate) use layer::{LayerState, Struck, apply};
pub(crate) use refusal::{Refusal, Render};

/// One switch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// `POST /square/v2/orders/search`, or a path alone for every method; `*` stands for
    /// any run of characters. Default: every request to a provider.
    #[serde(default = "everywhere")]
    pub endpoint: String,
    pub effect: Effect,
    /// 0 to 1; default 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// How often it strikes before it is spent; default: without end.
    #[serde(default)]
    pub times: Option<u64>,
    /// Matching requests let through first.
    #[serde(default)]
    pub after: u64,
}

fn everywhere() -> String {
    "*".to_owned()
}

fn always() -> f64 {
    1.0
}

impl Fault {
    /// The effect on every request, without end.
    #[must_use]
    pub fn everywhere(effect: Effect) -> Self {
        Self {
            endpoint: everywhere(),
            effect,
            probability: always(),
            times: None,
            after: 0,
        }
    }

    /// The effect on requests that match `endpoint`, without end.
    #[must_use]
    pub fn at(endpoint: impl Into<String>, effect: Effect) -> Self {
        Self {
            endpoint: endpoint.into(),
            ..Self::everywhere(effect)
        }
    }

    /// The same, at most `times` times.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    /// The same, after letting `after` matching requests through.
    #[must_use]
    pub fn after(self, after: u64) -> Self {
        Self { after, ..self }
    }

    /// The same, with this probability.
    #[must_use]
    pub fn probability(self, probability: f64) -> Self {
        Self {
            probability,
            ..self
        }
    }

    fn check(&self) -> Result<(), BadFault> {
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(BadFault::Probability(self.probability));
        }
        match self.effect {
            Effect::ServerError { status } if !(500..600).contains(&status) => {
                Err(BadFault::Status(status))
            }
            Effect::SlowBody { chunk_bytes: 0, .. } => Err(BadFault::Chunk),
            Effect::HugeBody { bytes } if bytes > LARGEST_BODY => Err(BadFault::Body(bytes)),
            _ => Ok(()),
        }
    }
}

/// What a fault may add to an answer.
const LARGEST_BODY: usize = 64 << 20;

/// A fault that cannot be set.
#[derive(Debug, thiserror::Error)]
pub enum BadFault {
    #[error("probability is {0}; allowed is 0 to 1")]
    Probability(f64),
    #[error("status is {0}; a server error is 500 to 599")]
    Status(u16),
    #[error("chunk_bytes is 0; allowed is 1 and more")]
    Chunk,
    #[error("bytes is {0}; allowed is at most {LARGEST_BODY}")]
    Body(usize),
}

/// The switches that are on. Clones share them.
#[derive(Debug, Clone)]
pub struct Faults(Arc<Mutex<Switches>>);

#[derive(Debug)]
struct Switches {
    on: Vec<Switch>,
    rng: Xoshiro256PlusPlus,
    nonce: u32,
}

#[derive(Debug)]
struct Switch {
    fault: Fault,
    matched: u64,
    struck: u64,
}

/// A fault that is on, and how often it has struck.
#[derive(Debug, Clone, Serialize)]
pub struct FaultState {
    #[serde(flatten)]
    pub fault: Fault,
    pub struck: u64,
}

impl Faults {
    /// None on; `seed` decides what probabilities will decide.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        Self(Arc::new(Mutex::new(Switches {
            on: Vec::new(),
            rng,
            nonce: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Switches> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns one more fault on.
    ///
    /// # Errors
    /// [`BadFault`] when a number is outside its range.
    pub fn add(&self, fault: Fault) -> Result<(), BadFault> {
        fault.check()?;
        self.lock().on.push(Switch {
            fault,
            matched: 0,
            struck: 0,
        });
        Ok(())
    }

    /// Turns all off.
    pub fn clear(&self) {
        self.lock().on.clear();
    }

    /// Those that are on, with their counts; spent ones included.
    #[must_use]
    pub fn list(&self) -> Vec<FaultState> {
        let switches = self.lock();
        switches
            .on
            .iter()
            .map(|switch| FaultState {
                fault: switch.fault.clone(),
                struck: switch.struck,
            })
            .collect()
    }

    /// What strikes this request.
    fn strike(&self, method: &str, path: &str) -> Vec<Effect> {
        let mut guard = self.lock();
        let Switches { on, rng, .. } = &mut *guard;
        let mut effects = Vec::new();
        for switch in on.iter_mut() {
            let fault = &switch.fault;
            if !matches(&fault.endpoint, method, path) {
                continue;
            }
            switch.matched += 1;
            let spent = fault.times.is_some_and(|times| switch.struck >= times);
            if switch.matched <= fault.after || spent {
                continue;
            }
            if fault.probability < 1.0 && !rng.random_bool(fault.probability) {
                continue;
            }
            switch.struck += 1;
            effects.push(fault.effect.clone());
        }
        effects
    }

    fn next_nonce(&self) -> u32 {
        let mut switches = self.lock();
        switches.nonce = switches.nonce.wrapping_add(1);
        switches.nonce
    }
}

/// What a handler must do differently, because only it knows its rows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Quirks {
    /// The nonce for the cursor that is handed out after the last page.
    pub endless_cursor: Option<u32>,
    pub repeat_across_pages: bool,
    /// The token endpoint does not look at PKCE.
    pub ignore_pkce: bool,
    /// The token endpoint grants one scope less than agreed.
    pub fewer_scopes: bool,
}

fn matches(pattern: &str, method: &str, path: &str) -> bool {
    if pattern.starts_with('/') {
        wildcard(pattern, path)
    } else {
        wildcard(pattern, &format!("{method} {path}"))
    }
}

/// `*` stands for any run of characters, everything else for itself.
fn wildcard(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_requests() {
        assert!(matches("*", "GET", "/square/v2/locations"));
        assert!(matches(
            "GET /square/v2/locations",
            "GET",
            "/square/v2/locations"
        ));
        assert!(!matches(
            "POST /square/v2/locations",
            "GET",
            "/square/v2/locations"
        ));
        assert!(matches(
            "/square/v2/catalog/*",
            "POST",
            "/square/v2/catalog/search"
        ));
        assert!(!matches(
            "/square/v2/catalog",
            "POST",
            "/square/v2/catalog/search"
        ));
        assert!(matches("*/search", "POST", "/square/v2/orders/search"));
        assert!(matches(
            "/*/v2/*/search",
            "POST",
            "/square/v2/orders/search"
        ));
        assert!(!matches("aba*aba", "GET", "aba"));
    }

    #[test]
    fn a_fault_strikes_after_a_while_and_is_then_spent() {
        let faults = Faults::new(1);
        faults
            .add(Fault::everywhere(Effect::ExpiredToken).after(1).times(2))
            .expect("valid");
        let struck: Vec<usize> = (0..5)
            .map(|_| faults.strike("GET", "/square/x").len())
            .collect();
        assert_eq!(struck, [0, 1, 1, 0, 0]);
    }

    #[test]
    fn probability_is_decided_by_the_seed() {
        let run = |seed| {
            let faults = Faults::new(seed);
            faults
                .add(Fault::everywhere(Effect::MalformedJson).probability(0.5))
                .expect("valid");
            (0..64)
                .map(|_| faults.strike("GET", "/").len())
                .collect::<Vec<_>>()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
        let struck: usize = run(3).iter().sum();
        assert!((16..48).contains(&struck), "{struck} of 64 at one half");
    }

    #[test]
    fn numbers_outside_their_range_are_refused() {
        let faults = Faults::new(1);
        let refused = faults.add(Fault::everywhere(Effect::ExpiredToken).probability(1.5));
        assert_eq!(
            refused.expect_err("1.5").to_string(),
            "probability is 1.5; allowed is 0 to 1"
        );
        assert!(
            faults
                .add(Fault::everywhere(Effect::ServerError { status: 404 }))
                .is_err()
        );
        assert!(faults.list().is_empty());
    }
}
