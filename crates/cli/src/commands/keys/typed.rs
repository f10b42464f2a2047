//! Something that cannot be undone is typed out, or said twice in a script.

use std::io::{BufRead, IsTerminal};

use crate::{
    exit::{Exit, Outcome, Stop},
    output,
};

/// Goes on only where the person means it: `--yes-i-mean` says it, or it is typed.
pub fn confirm(warning: &str, what: &str, expected: &str, given: Option<&str>) -> Outcome {
    let typed = match given {
        Some(text) => text.to_owned(),
        None if !std::io::stdin().is_terminal() => {
            return Err(Stop::new(
                Exit::Refused,
                format!(
                    "{warning}\nNothing was done. If you mean it, say so with --yes-i-mean \"{expected}\""
                ),
            ));
        }
        None => {
            output::complain(&format!("{warning}\nType {what} to go on: {expected}"));
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line)?;
            line
        }
    };
    if typed.trim() == expected {
        return Ok(());
    }
    Err(Stop::new(
        Exit::Refused,
        format!("that was not {what} (`{expected}`): nothing was done"),
    ))
}
