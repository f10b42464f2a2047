//! What `patchbay --help` says to type works as it stands.

use std::process::Command;

use patchbay_tests::patchbay_binary;

use super::desk::Desk;

/// The indented lines that follow a line with these words.
fn steps<'a>(help: &'a str, words: &str) -> Vec<&'a str> {
    let (_, after) = help.split_once(words).unwrap();
    let lines = after.lines().skip(1);
    let steps: Vec<&str> = lines
        .map_while(|line| line.strip_prefix("  "))
        .filter(|line| !line.is_empty())
        .collect();
    assert!(!steps.is_empty(), "{help}");
    steps
}

#[tokio::test]
async fn the_steps_of_the_help_text_work_as_they_stand() {
    let desk = Desk::new();
    let help = desk.run(&["--help"]).out;
    let starting = steps(&help, "Try it");
    let starting: Vec<&str> = starting[0].split_whitespace().collect();
    assert_eq!(starting[..2], ["patchbay", "up"], "{help}");
    let _up = desk.up(&starting[2..]).await;

    let typed = steps(&help, "in another terminal").join("\n");
    let program = patchbay_binary().display();
    let mut bash = Command::new("bash");
    bash.env_clear().env("PATCHBAY_DATA_DIR", desk.data());
    let lines = format!("patchbay() {{ '{program}' \"$@\"; }}\n{typed}");
    let said = Desk::typed(&mut bash, &lines);
    assert!(said.contains("catalog: succeeded"), "{said}");
}

#[tokio::test]
async fn the_help_of_the_sandbox_flag_names_every_stand_in() {
    let desk = Desk::new();
    let up = desk.up(&["--sandbox"]).await;
    let log = up.log().unwrap();
    let (_, running) = log.split_once("stand-ins of ").unwrap();
    let (running, _) = running.split_once(" at ").unwrap();
    let help = desk.run(&["up", "--help"]).out;
    let (_, flag) = help.split_once(" --sandbox\n").unwrap();
    let (flag, _) = flag.split_once("--sandbox-data").unwrap();
    let flag = flag.to_lowercase();
    for stand_in in running.split(", ") {
        assert!(flag.contains(stand_in), "{stand_in} is not in: {flag}");
    }
}
