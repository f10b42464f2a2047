//! How an action says that it is about to do what cannot be taken back, before it does it.
//!
//! Whoever runs the action writes that down first. After a crash in between nobody knows
//! whether it was done, and nobody does it again by themselves.

use patchbay_core::failure::FailureKind;
use tokio::sync::{mpsc, oneshot};

use crate::error::ProviderError;

/// The provider's end: it has to [`begin`](Self::begin) before it acts.
#[derive(Debug, Clone)]
pub struct Effect {
    key: String,
    asking: mpsc::Sender<oneshot::Sender<()>>,
}

/// The end of whoever runs the action.
#[derive(Debug)]
pub struct EffectWatch {
    asked: mpsc::Receiver<oneshot::Sender<()>>,
}

/// An action that waits for leave to go on.
#[derive(Debug)]
pub struct Waiting(oneshot::Sender<()>);

impl Effect {
    /// Both ends. `key` is the same whenever the same work is tried: `{job}:{step}`.
    #[must_use]
    pub fn new(key: impl Into<String>) -> (Self, EffectWatch) {
        let (asking, asked) = mpsc::channel(1);
        let key = key.into();
        (Self { key, asking }, EffectWatch { asked })
    }

    /// What names the effect at the provider, so that a second one is recognised.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Waits until the intent is written down. The last thing before the act itself.
    ///
    /// # Errors
    /// Nobody gave leave: nothing may be done.
    pub async fn begin(&self) -> Result<(), ProviderError> {
        let (leave, given) = oneshot::channel();
        let asked = self.asking.send(leave).await.is_ok();
        if asked && given.await.is_ok() {
            return Ok(());
        }
        Err(ProviderError::new(
            FailureKind::Internal,
            "Nothing was done: what was about to be done could not be written down first.",
            "Ask for it again.",
        ))
    }
}

impl EffectWatch {
    /// The action's next wish to begin. Never answers where there is none.
    pub async fn asked(&mut self) -> Waiting {
        match self.asked.recv().await {
            Some(leave) => Waiting(leave),
            None => std::future::pending().await,
        }
    }
}

impl Waiting {
    /// Lets the action go on. Dropped instead, it gets an error.
    pub fn go_on(self) {
        if self.0.send(()).is_err() {
            tracing::debug!("an action that no longer waits was given leave");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_action_goes_on_only_with_leave() {
        let (effect, mut watch) = Effect::new("job:0");
        let watching = async {
            watch.asked().await.go_on();
            drop(watch.asked().await);
        };
        let acting = async { (effect.begin().await, effect.begin().await) };
        let ((), (first, second)) = tokio::join!(watching, acting);
        assert_eq!(first, Ok(()));
        assert_eq!(second.unwrap_err().kind, FailureKind::Internal);
    }

    #[tokio::test]
    async fn an_action_that_nobody_watches_does_nothing() {
        let (effect, watch) = Effect::new("job:0");
        drop(watch);
        assert!(effect.begin().await.is_err());
    }
}
