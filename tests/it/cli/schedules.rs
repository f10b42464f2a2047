//! Schedules from the command line, against a running `patchbay up`.

use serde_json::Value;

use super::desk::Desk;

#[tokio::test]
async fn a_schedule_is_made_shown_paused_run_and_deleted() {
    let desk = Desk::new();
    let _up = desk.up(&["--sandbox"]).await;
    desk.connect();
    let made = desk.json(&[
        "schedules",
        "create",
        "square",
        "--stream",
        "catalog",
        "--cron",
        "30 2 * * *",
        "--time-zone",
        "Europe/Berlin",
    ]);
    let id = made["id"].as_str().unwrap();
    assert_eq!(made["next"].as_array().unwrap().len(), 5);

    let listed = desk.run(&["schedules"]);
    assert!(
        listed.out.contains("30 2 * * * Europe/Berlin"),
        "{listed:?}"
    );
    assert_eq!(desk.json(&["schedules", "list", "square"])[0]["id"], id);
    let paused = desk.json(&["schedules", "pause", id]);
    assert_eq!(paused["state"], "paused");
    assert_eq!(desk.json(&["schedules", "resume", id])["state"], "active");

    let ran = desk.run(&["schedules", "run", id, "--follow"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let shown = desk.run(&["schedules", "show", id]);
    assert!(shown.out.contains("Next        "), "{shown:?}");

    let refused = desk.run(&[
        "schedules",
        "create",
        "square",
        "--stream",
        "catalog",
        "--every",
        "5s",
    ]);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(refused.err.contains("every"), "{refused:?}");
    assert_eq!(desk.run(&["schedules", "delete", id]).code, 0);
    assert_eq!(desk.json(&["schedules"]), Value::Array(Vec::new()));
    assert_eq!(desk.run(&["schedules", "show", id]).code, 5);
}
