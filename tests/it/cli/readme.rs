//! The README's tour does what it says, typed as it stands.

use std::process::Command;

use super::desk::Desk;

const README: &str = include_str!("../../../README.md");

#[tokio::test]
async fn the_five_minutes_with_curl_work_as_they_stand() {
    let desk = Desk::new();
    let _up = desk.up(&["--sandbox"]).await;
    let (_, tour) = README.split_once("In another terminal:").unwrap();
    let (_, tour) = tour.split_once("```sh\n").unwrap();
    let (tour, _) = tour.split_once("```").unwrap();
    let script = tour
        .replace("127.0.0.1:7420", &format!("127.0.0.1:{}", desk.port))
        .replace("~/.local/share/patchbay", desk.data().to_str().unwrap());
    assert_ne!(script, tour);

    let folder = tempfile::tempdir().unwrap();
    let mut bash = Command::new("bash");
    let said = Desk::typed(bash.current_dir(folder.path()), &script);
    assert!(said.contains("\"status\":\"active\""), "{said}");
    let (watched, records) = said.split_once("event: end").expect("the job was watched");
    assert!(watched.contains("event: progress"), "{said}");
    assert!(
        records.contains("\"state\":\"succeeded\"") && records.contains("\"next\":\""),
        "{records}"
    );
}
