//! A flag for every setting, on the commands that read it. Made from the table of
//! settings, so that no setting can lack its flag.

use clap::{Arg, ArgAction, ArgMatches, Command};
use patchbay_core::config::{Reader, SETTINGS, Setting};

/// Every command and whose settings it reads; none where it has no configuration at all.
const READ_BY: [(&str, &[Reader]); 25] = [
    ("up", &[Reader::Up]),
    ("api", &[Reader::Api]),
    ("worker", &[Reader::Worker]),
    ("scheduler", &[Reader::Scheduler]),
    ("migrate", &[Reader::Admin]),
    ("org", &[Reader::Admin]),
    ("key", &[Reader::Admin]),
    ("keys", &[Reader::Keys]),
    ("config", &Reader::ALL),
    ("doctor", &Reader::ALL),
    ("connect", &[Reader::Client]),
    ("connections", &[Reader::Client]),
    ("oauth-clients", &[Reader::Client]),
    ("act", &[Reader::Client]),
    ("sync", &[Reader::Client]),
    ("schedules", &[Reader::Client]),
    ("jobs", &[Reader::Client]),
    ("retry-policy", &[Reader::Client]),
    ("alerts", &[Reader::Client]),
    ("stats", &[Reader::Client]),
    ("records", &[Reader::Client]),
    ("providers", &[Reader::Client]),
    ("sandbox", &[]),
    ("completions", &[]),
    ("exit-codes", &[]),
];

/// Adds the flags to the tree of commands.
pub fn with_settings(tree: Command) -> Command {
    READ_BY.iter().fold(tree, |tree, (name, readers)| {
        tree.mut_subcommand(name, |command| {
            let read = |setting: &&Setting| {
                let mut by = setting.read_by.iter();
                by.any(|reader| readers.contains(reader))
            };
            command.args(SETTINGS.iter().filter(read).map(flag))
        })
    })
}

fn flag(setting: &'static Setting) -> Arg {
    let value = if setting.is_pattern() {
        "NAME=VALUE"
    } else {
        "VALUE"
    };
    let default = if setting.default.is_empty() {
        "none"
    } else {
        setting.default
    };
    let doc: Vec<&str> = setting
        .doc
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    Arg::new(setting.key)
        .long(setting.flag())
        .value_name(value)
        .help(format!(
            "{} Allowed: {}. [env: {}] [default: {default}]",
            doc.join(" "),
            setting.allowed,
            setting.variable()
        ))
        .help_heading("Settings")
        .action(if setting.is_pattern() {
            ArgAction::Append
        } else {
            ArgAction::Set
        })
        .global(true)
}

/// What was given: the key of the setting and its text.
pub fn settings_of(matches: &ArgMatches) -> Vec<(String, String)> {
    let mut innermost = matches;
    while let Some((_, inner)) = innermost.subcommand() {
        innermost = inner;
    }
    let given = |setting: &'static Setting| {
        let texts = innermost
            .try_get_many::<String>(setting.key)
            .ok()
            .flatten()
            .into_iter()
            .flatten();
        texts
            .map(|text| (setting.key.to_owned(), text.clone()))
            .collect::<Vec<_>>()
    };
    SETTINGS.iter().flat_map(given).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn given(arguments: &[&str]) -> Vec<(String, String)> {
        let matches = with_settings(crate::command::tree())
            .try_get_matches_from(arguments)
            .unwrap();
        settings_of(&matches)
    }

    #[test]
    fn the_tree_of_commands_is_sound() {
        with_settings(crate::command::tree()).debug_assert();
    }

    #[test]
    fn every_command_says_which_settings_it_reads() {
        let tree = crate::command::tree();
        let commands: BTreeSet<&str> = tree.get_subcommands().map(Command::get_name).collect();
        let listed: BTreeSet<&str> = READ_BY.iter().map(|(command, _)| *command).collect();
        assert_eq!(commands, listed, "READ_BY lists every command");
        let without = READ_BY.iter().filter(|(_, readers)| readers.is_empty());
        let without: Vec<&str> = without.map(|(command, _)| *command).collect();
        assert_eq!(without, ["sandbox", "completions", "exit-codes"]);
    }

    #[test]
    fn every_client_command_finds_the_data_folder() {
        for (command, _) in READ_BY
            .iter()
            .filter(|(_, readers)| readers.contains(&Reader::Client))
        {
            let tree = with_settings(crate::command::tree());
            let command = tree.find_subcommand(command).unwrap();
            assert!(
                command
                    .get_arguments()
                    .any(|flag| flag.get_id() == "data_dir"),
                "{}",
                command.get_name()
            );
        }
        for command in ["alerts", "retry-policy", "oauth-clients"] {
            assert_eq!(
                given(&["patchbay", command, "--data-dir", "/d"]),
                [("data_dir".to_owned(), "/d".to_owned())],
                "{command}"
            );
        }
    }

    #[test]
    fn every_setting_has_a_flag_on_a_command_that_reads_it() {
        let tree = with_settings(crate::command::tree());
        for setting in SETTINGS {
            let has = |command: &Command| {
                command
                    .get_arguments()
                    .any(|flag| flag.get_id() == setting.key)
            };
            assert!(
                tree.get_subcommands().any(has),
                "{} has no flag",
                setting.key
            );
        }
    }

    #[test]
    fn flags_become_settings_also_behind_a_nested_command() {
        assert_eq!(
            given(&[
                "patchbay",
                "up",
                "--listen",
                "127.0.0.1:0",
                "--providers-base-url",
                "square=http://x/"
            ]),
            [
                ("listen".to_owned(), "127.0.0.1:0".to_owned()),
                (
                    "providers.*.base_url".to_owned(),
                    "square=http://x/".to_owned()
                )
            ]
        );
        assert_eq!(
            given(&["patchbay", "jobs", "list", "--data-dir", "/d"]),
            [("data_dir".to_owned(), "/d".to_owned())]
        );
    }
}
