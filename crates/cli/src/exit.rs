//! How the program ends: stable exit codes, and one line that says why.

use std::{fmt, process::ExitCode};

use patchbay_core::{config::ConfigError, store::StoreError};

/// Exit codes. Scripts rely on them: a number never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// A fault that is none of the others.
    Internal = 1,
    /// Wrong arguments or a wrong configuration.
    Usage = 2,
    /// Patchbay, or a server it needs, does not answer.
    Unreachable = 3,
    /// The API key is missing, unknown or may not do this.
    Unauthorized = 4,
    /// No such connection, job or provider.
    NotFound = 5,
    /// Patchbay refused the request: a wrong field, or a state that does not allow it.
    Refused = 6,
    /// A job ended without success (failed, cancelled or quarantined).
    JobEnded = 7,
    /// `patchbay doctor` found something to repair.
    Unhealthy = 8,
    /// The data folder or an address is in use by another process.
    InUse = 9,
    /// A consent ended without a connection.
    ConsentEnded = 10,
    /// Interrupted from the keyboard.
    Interrupted = 130,
    /// Stopped by further SIGTERMs before its work had ended.
    Terminated = 143,
}

impl Exit {
    /// Every code, in order.
    pub const ALL: [Self; 12] = [
        Self::Internal,
        Self::Usage,
        Self::Unreachable,
        Self::Unauthorized,
        Self::NotFound,
        Self::Refused,
        Self::JobEnded,
        Self::Unhealthy,
        Self::InUse,
        Self::ConsentEnded,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What it means, for the help page.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Internal => "a fault that is none of the others",
            Self::Usage => "wrong arguments or a wrong configuration",
            Self::Unreachable => "Patchbay, or a server it needs, does not answer",
            Self::Unauthorized => "the API key is missing, unknown, or may not do this",
            Self::NotFound => "no such connection, job or provider",
            Self::Refused => {
                "Patchbay refused the request: a wrong field, or a state that does not allow it"
            }
            Self::JobEnded => "a job ended without success: failed, cancelled or quarantined",
            Self::Unhealthy => "`patchbay doctor` found something to repair",
            Self::InUse => "the data folder or an address is in use by another process",
            Self::ConsentEnded => {
                "a consent ended without a connection: refused, failed or not given in time"
            }
            Self::Interrupted => "interrupted from the keyboard",
            Self::Terminated => {
                "a serving process was stopped by a further SIGTERM before its work had ended"
            }
        }
    }
}

/// The page of `patchbay help exit-codes`.
pub fn table() -> String {
    let rows = Exit::ALL.map(|exit| format!("{:>5}  {}", exit.code(), exit.meaning()));
    format!(
        "    0  success; with --follow: every job succeeded\n{}",
        rows.join("\n")
    )
}

/// Why a command stops without success.
#[derive(Debug)]
pub struct Stop {
    /// The exit code.
    pub exit: Exit,
    message: String,
    /// Which of the API's problems it is, such as `/problems/not-found`.
    problem: Option<String>,
}

/// What a command comes to.
pub type Outcome<T = ()> = Result<T, Stop>;

impl Stop {
    /// A stop with its code and its words: what happened, what to do.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self {
            exit,
            message: message.to_string(),
            problem: None,
        }
    }

    /// A problem that the API answered with.
    pub fn problem(exit: Exit, message: String, kind: String) -> Self {
        Self {
            exit,
            message,
            problem: Some(kind),
        }
    }

    /// Whether the API answered with this kind of problem.
    pub fn is_problem(&self, slug: &str) -> bool {
        let kind = self.problem.as_deref();
        kind.and_then(|kind| kind.strip_prefix("/problems/")) == Some(slug)
    }

    /// The same with a further line.
    pub fn and(mut self, line: impl fmt::Display) -> Self {
        self.message = format!("{}\n{line}", self.message);
        self
    }

    /// A fault of ours or of the machine.
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::new(Exit::Internal, message)
    }

    /// Wrong arguments.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Prints the reason and gives the exit code.
    pub fn tell(self) -> ExitCode {
        if !self.message.is_empty() {
            crate::output::complain(&format!("patchbay: {}", self.message));
        }
        ExitCode::from(self.exit.code())
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for Stop {
    fn from(error: ConfigError) -> Self {
        Self::usage(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::internal(error)
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::internal(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 130, 143]);
        let page = include_str!("../../../docs/cli.md");
        for exit in Exit::ALL {
            let row = format!("| {} | {} |", exit.code(), exit.meaning());
            assert!(page.contains(&row), "docs/cli.md lacks the row: {row}");
        }
    }
}
