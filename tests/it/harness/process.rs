//! Processes start clean, stop, hang, and never outlive their test.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use patchbay_tests::Process;

const SHELL: &str = "/bin/sh";
const SOON: Duration = Duration::from_secs(5);

fn shell(script: &str, variables: &[(&str, &str)]) -> Process {
    Process::start(Path::new(SHELL), &["-c", script], variables).unwrap()
}

#[tokio::test]
async fn a_process_sees_only_the_variables_it_was_given() {
    let mut process = shell("env", &[("GIVEN", "yes")]);
    assert!(process.wait(SOON).await.unwrap().success());

    let log = process.log().unwrap();
    assert!(log.contains("GIVEN=yes"), "{log}");
    assert!(!log.contains("CARGO_"), "{log}");
}

#[tokio::test]
async fn a_process_that_ends_before_it_is_ready_is_an_error_with_its_log() {
    let mut process = shell("echo no database; exit 3", &[]);
    let error = process
        .ready(patchbay_tests::free_port())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no database") && error.contains("exit status: 3"),
        "{error}"
    );
}

#[tokio::test]
async fn a_killed_process_takes_its_own_children_along() {
    let mut process = shell("sleep 1000 & echo $!; wait", &[]);
    let child = loop {
        let log = process.log().unwrap();
        if let Some(line) = log.lines().next().filter(|_| log.ends_with('\n')) {
            break line.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    process.kill().unwrap();
    assert!(!process.is_running().unwrap());

    // The signal reaches it in its own time, and it is a zombie until the system collects it.
    let stat = format!("/proc/{child}/stat");
    let gone = |stat: &str| std::fs::read_to_string(stat).map_or(true, |text| text.contains(") Z"));
    let give_up = Instant::now() + SOON;
    while !gone(&stat) {
        assert!(Instant::now() < give_up, "{child} still runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_paused_process_does_nothing_until_it_may_go_on() {
    let mut process = shell(
        "trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done",
        &[],
    );
    while !process.log().unwrap().contains("up") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    process.pause().unwrap();
    assert!(process.terminate(Duration::from_millis(300)).await.is_err());

    process.resume().unwrap();
    assert_eq!(process.wait(SOON).await.unwrap().code(), Some(7));
}
