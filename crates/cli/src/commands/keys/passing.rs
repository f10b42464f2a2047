//! How far a pass is: a bar on a terminal, else a line every few seconds.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use patchbay_core::vault::reencrypt::{Progress, Trouble};

use super::many;
use crate::{
    exit::{Exit, Outcome, Stop},
    output::{self, Format, grouped},
};

const AT_MOST_EVERY: Duration = Duration::from_secs(5);
const STYLE: &str = "{prefix} {bar:20.cyan/black.bright} {human_pos} of {human_len}  {elapsed}";

/// What shows the progress of one pass.
#[derive(Debug)]
pub struct Passing {
    what: &'static str,
    bar: Option<ProgressBar>,
    says_lines: bool,
    said: Mutex<Instant>,
}

impl Passing {
    pub fn new(what: &'static str, format: Format) -> Self {
        let bar = format.is_live().then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template(STYLE) {
                bar.set_style(style);
            }
            bar.set_prefix(what);
            bar
        });
        Self {
            what,
            says_lines: format == Format::Text && bar.is_none(),
            bar,
            said: Mutex::new(Instant::now()),
        }
    }

    pub fn show(&self, progress: Progress) {
        if let Some(bar) = &self.bar {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if self.says_lines && said.elapsed() >= AT_MOST_EVERY {
            *said = Instant::now();
            output::complain(&format!(
                "{}: {} of {}",
                self.what,
                grouped(progress.done),
                grouped(progress.total)
            ));
        }
    }

    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Values that did not open are the end of a pass that otherwise did its work.
pub fn told(trouble: &Trouble) -> Outcome {
    if trouble.count == 0 {
        return Ok(());
    }
    Err(Stop::new(
        Exit::Unhealthy,
        format!(
            "{} could not be opened; they stay as they are, and so do the keys they name:\n  {}\n\
             Restore the missing key to the keyring file, or set these credentials anew, and run this again.",
            many(trouble.count, "value"),
            trouble.named.join("\n  ")
        ),
    ))
}
