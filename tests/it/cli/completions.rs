//! The scripts that complete commands in a shell.

use std::process::Command;

use super::desk::Desk;

fn completed_by_bash(script: &str, typed: &str) -> Vec<String> {
    let complete = format!(
        "{script}\nCOMP_WORDS=({typed})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
         _patchbay patchbay \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD - 1]}}\"\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    // Too long for an argument.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, complete).unwrap();
    let shell = Command::new("bash").arg(file.path()).output().unwrap();
    let said = String::from_utf8(shell.stdout).unwrap();
    assert!(
        shell.status.success() && shell.stderr.is_empty(),
        "{said}\n{}",
        String::from_utf8_lossy(&shell.stderr)
    );
    said.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_their_own_commands_and_settings() {
    let desk = Desk::new();
    let script = desk.run(&["completions", "bash"]);
    assert_eq!(script.code, 0, "{script:?}");
    for (typed, expected) in [
        ("patchbay retr", "retry-policy"),
        ("patchbay alerts ackn", "acknowledge"),
        ("patchbay sync --data", "--data-dir"),
    ] {
        assert_eq!(completed_by_bash(&script.out, typed), [expected], "{typed}");
    }
}

#[test]
fn every_shell_gets_a_script_with_every_command() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = desk.run(&["completions", shell]);
        assert_eq!(script.code, 0, "{script:?}");
        for command in ["oauth-clients", "exit-codes", "records"] {
            assert!(script.out.contains(command), "{shell} lacks {command}");
        }
    }
    assert_eq!(desk.run(&["completions", "csh"]).code, 2);
}
