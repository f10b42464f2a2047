//! Which crate may know which. The picture is in ARCHITECTURE.md; this is the rule.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

use crate::source_tree::{Source, root, sources};

/// Every package of ours and which others of ours its code may use. A new package needs a line.
const MAY_USE: [(&str, &[&str]); 11] = [
    ("patchbay-migrations", &[]),
    ("patchbay-sandbox", &[]),
    // The embedded mode migrates its own database at start.
    ("patchbay-core", &["patchbay-migrations"]),
    ("patchbay-providers", &["patchbay-core"]),
    ("patchbay-api", &["patchbay-core", "patchbay-providers"]),
    ("patchbay-worker", &["patchbay-core", "patchbay-providers"]),
    ("patchbay-scheduler", &["patchbay-core"]),
    ("patchbay", &PRODUCT),
    ("patchbay-bench", &PRODUCT),
    ("patchbay-tests", &["patchbay-migrations"]),
    // It judges the product from outside: servers and processes of the harness, no code of ours.
    ("patchbay-faults", &["patchbay-tests"]),
];

const PRODUCT: [&str; 7] = [
    "patchbay-api",
    "patchbay-core",
    "patchbay-migrations",
    "patchbay-providers",
    "patchbay-sandbox",
    "patchbay-scheduler",
    "patchbay-worker",
];

/// Stand-ins, servers and tables, which tests of any crate may use beside what its code uses.
const FOR_TESTS: [&str; 3] = ["patchbay-migrations", "patchbay-sandbox", "patchbay-tests"];

/// Libraries that have one place, who may use them, and why nobody else.
const LIBRARY_HOLDERS: [(&str, &[&str], &str); 6] = [
    (
        "axum",
        &[
            "patchbay-api",
            "patchbay",
            "patchbay-sandbox",
            "patchbay-bench",
            "patchbay-faults",
            "patchbay-tests",
        ],
        "HTTP is the edge: handlers live in patchbay-api, and core and providers never see a request",
    ),
    (
        "apalis",
        &["patchbay-worker", "patchbay-bench"],
        "the carrier of jobs is the worker's affair; others enqueue through patchbay-core",
    ),
    (
        "apalis-core",
        &["patchbay-worker", "patchbay-bench"],
        "the carrier of jobs is the worker's affair; others enqueue through patchbay-core",
    ),
    (
        "redis",
        &["patchbay-core", "patchbay-bench", "patchbay-tests"],
        "Redis only carries hints, behind the interfaces of patchbay-core",
    ),
    (
        "reqwest",
        &[
            "patchbay-core",
            "patchbay",
            "patchbay-bench",
            "patchbay-tests",
            "patchbay-faults",
        ],
        "all outbound traffic goes through the one client of patchbay-core (deadlines, body cap, address policy)",
    ),
    (
        "sea-orm",
        &[
            "patchbay-core",
            "patchbay-api",
            "patchbay-worker",
            "patchbay",
            "patchbay-bench",
            "patchbay-tests",
            "patchbay-faults",
        ],
        "a provider gets a session and returns values; queries live in the stores of patchbay-core",
    ),
];

fn workspace_packages() -> Vec<Package> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("`cargo metadata` runs");
    metadata.packages
}

fn rules() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    MAY_USE
        .iter()
        .map(|(package, others)| (*package, others.iter().copied().collect()))
        .collect()
}

#[test]
fn crates_use_each_other_only_in_the_stated_directions() {
    let rules = rules();
    let mut wrong = Vec::new();
    for package in workspace_packages() {
        let name = package.name.as_str();
        let Some(allowed) = rules.get(name) else {
            wrong.push(format!(
                "{name} is new: add a line to MAY_USE in tests/it/architecture.rs"
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let other = dependency.name.as_str();
            let for_tests = dependency.kind == DependencyKind::Development
                && (FOR_TESTS.contains(&other) || name == "patchbay-tests");
            if rules.contains_key(other) && !allowed.contains(other) && !for_tests {
                wrong.push(format!("{name} must not depend on {other}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "Dependency direction (api, worker, scheduler -> core; api, worker -> providers -> core; \
         cli -> all; sandbox and migrations -> nothing of ours). Move the code to the crate that \
         may know both, or pass a value instead:\n  {}",
        wrong.join("\n  ")
    );
}

#[test]
fn a_library_with_one_place_is_used_only_there() {
    let mut wrong = Vec::new();
    for package in workspace_packages() {
        for (library, holders, reason) in LIBRARY_HOLDERS {
            let used = package
                .dependencies
                .iter()
                .any(|dependency| dependency.name == library);
            if used && !holders.contains(&package.name.as_str()) {
                wrong.push(format!("{} depends on {library}: {reason}", package.name));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "Remove these dependencies:\n  {}",
        wrong.join("\n  ")
    );
}

#[test]
fn no_package_shadows_a_crate_of_the_standard_library() {
    for package in workspace_packages() {
        assert!(
            !["core", "std", "alloc", "test", "proc_macro"].contains(&package.name.as_str()),
            "package `{}` shadows the standard library's crate: every `core::...` path inside its \
             users would change meaning. Name it patchbay-{}",
            package.name,
            package.name
        );
    }
}

#[test]
fn providers_touch_no_store_no_queue_and_no_other_provider() {
    const FORBIDDEN: [(&str, &str); 6] = [
        ("sea_orm", "a database"),
        ("patchbay_core::store", "a store"),
        ("patchbay_core::entities", "a table"),
        ("patchbay_core::hints", "a queue"),
        ("redis::", "a queue"),
        ("reqwest", "an HTTP client of its own"),
    ];
    let sources = sources("crates/providers/src");
    let keys: BTreeSet<String> = sources
        .iter()
        .filter(|source| source.path.ends_with("manifest.toml"))
        .filter_map(|source| Some(source.path.parent()?.file_name()?.to_str()?.to_owned()))
        .collect();

    let mut wrong = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        let own = keys
            .iter()
            .find(|key| source.path.iter().any(|part| part == key.as_str()));
        for (place, line) in source.lines() {
            for (path, thing) in FORBIDDEN {
                if line.contains(path) {
                    wrong.push(format!("{place}: names `{path}`, {thing}"));
                }
            }
            // The registry outside the folders is the one place that knows them all.
            let Some(own) = own else { continue };
            for other in keys.iter().filter(|key| *key != own) {
                if line.contains(&format!("crate::{other}"))
                    || line.contains(&format!("super::{other}::"))
                {
                    wrong.push(format!("{place}: provider {own} names provider {other}"));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "A provider gets a session and returns values; the worker stores them. Return the value \
         instead, or move what two providers share up to crates/providers/src:\n  {}",
        wrong.join("\n  ")
    );
}

/// What opens a credential, or sends it to a provider. Only a worker needs it, and `patchbay keys`
/// and `doctor`, which run where the keyring is.
const OF_A_WORKER: [(&str, &str); 6] = [
    ("Keyring", "the keys that open credentials"),
    ("Vault", "what opens them"),
    ("open_credential", "opens one"),
    ("open_args", "opens what was sealed to a worker"),
    ("Outbound", "the way to a provider"),
    ("OutboundConfig", "the way to a provider"),
];

/// Modules that hold it: a glob would hide what is taken.
const HIDDEN_BY: [&str; 2] = ["vault::*", "outbound::*"];

/// Where the processes without keys are made: their crates, and the commands that start them.
const WITHOUT_KEYS: [&str; 5] = [
    "crates/api/src",
    "crates/scheduler/src",
    "crates/cli/src/commands/api.rs",
    "crates/cli/src/commands/scheduler.rs",
    "crates/cli/src/commands/scheduler",
];

/// Each place in these sources that names what only a worker needs, comments apart.
fn needs_of_a_worker(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        for (place, line) in source.lines() {
            let code = line.split("//").next().unwrap_or_default();
            let words: Vec<&str> = code
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .collect();
            for (name, what) in OF_A_WORKER {
                if words.contains(&name) {
                    found.push(format!("{place}: names `{name}`, {what}"));
                }
            }
            for glob in HIDDEN_BY.iter().filter(|glob| code.contains(**glob)) {
                found.push(format!("{place}: takes `{glob}`"));
            }
        }
    }
    found
}

#[test]
fn api_and_scheduler_hold_no_key_and_call_no_provider() {
    let all = sources("crates");
    let own = all.into_iter().filter(|source| {
        let mut places = WITHOUT_KEYS.iter();
        places.any(|place| source.path.starts_with(place))
    });
    let own: Vec<Source> = own.collect();
    for place in WITHOUT_KEYS {
        assert!(
            own.iter().any(|source| source.path.starts_with(place)),
            "nothing stands at {place}: mend WITHOUT_KEYS in tests/it/architecture.rs"
        );
    }
    let wrong = needs_of_a_worker(&own);
    assert!(
        wrong.is_empty(),
        "An API or a scheduler that is stolen must give away no credential. Seal to the workers \
         (`SealingPublicKey`) and let a job do it:\n  {}",
        wrong.join("\n  ")
    );
}

#[test]
fn the_rule_about_keys_finds_them_where_they_are() {
    let found = needs_of_a_worker(&sources("crates/worker/src")).join("\n");
    for (name, _) in OF_A_WORKER {
        assert!(
            found.contains(&format!("names `{name}`")),
            "no worker names {name} any more: mend OF_A_WORKER in tests/it/architecture.rs"
        );
    }
    let slips = [
        "use patchbay_core::{store::Store, vault::{self, Keyring}};",
        "    let vault = vault::Vault::new(keys, deployment); // why",
        "use patchbay_core::vault::*;",
        "// A Vault, a Keyring: words of a comment.",
    ];
    let slips = Source {
        path: "crates/api/src/slip.rs".into(),
        text: slips.join("\n"),
    };
    assert_eq!(
        needs_of_a_worker(&[slips]),
        [
            "crates/api/src/slip.rs:1: names `Keyring`, the keys that open credentials",
            "crates/api/src/slip.rs:2: names `Vault`, what opens them",
            "crates/api/src/slip.rs:3: takes `vault::*`",
        ]
    );
}
