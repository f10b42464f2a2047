//! Rules about the text of the tree that no lint knows.

use std::{collections::BTreeSet, path::Path};

use crate::source_tree::{Source, entries, folders, root, sources};

const LINES_PER_FILE: usize = 450;
/// Longer files, each with the reason why two would read worse.
const LONGER: [(&str, usize, &str); 0] = [];

/// Names that say nothing about what is inside.
const DRAWERS: [&str; 10] = [
    "utils", "util", "common", "helpers", "helper", "types", "manager", "service", "services",
    "misc",
];

/// Text that must not stay in the tree, and what to do instead. Assembled from halves, so that
/// this file does not contain them.
const LEFTOVERS: [(&str, &str); 8] = [
    (
        concat!("todo", "!("),
        "write it, or return an error that says it is not supported",
    ),
    (
        concat!("unimplemented", "!("),
        "write it, or return an error that says it is not supported",
    ),
    (concat!("dbg", "!("), "remove it, or log with tracing"),
    (
        concat!("TO", "DO"),
        "do it now, or open an issue and name what is missing in the documents",
    ),
    (concat!("FIX", "ME"), "fix it now, or open an issue"),
    (
        concat!("#[al", "low("),
        "use #[expect(lint, reason = \"...\")]: it fails once it is not needed",
    ),
    (
        concat!("#![al", "low("),
        "use #![expect(lint, reason = \"...\")]: it fails once it is not needed",
    ),
    (
        concat!("#[ig", "nore"),
        "make the test run everywhere, or delete it",
    ),
];

/// The page from which the product was first built. Whoever reads the tree does not have it.
const PAGE_ELSEWHERE: &str = concat!("DES", "IGN");

/// What a path in a document begins with.
const ROOTS: [&str; 5] = ["crates/", "tests/", "migrations/", "docs/", "scripts/"];

/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: [&str; 4] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Use", "rs/"),
];

/// What a provider's folder may hold (a file, or a folder for a role in several files), so that
/// knowing one is knowing all. `shape` turns the provider's objects into unified records.
const PROVIDER_PARTS: [&str; 7] = [
    "manifest.toml",
    "mod",
    "client",
    "shape",
    "streams",
    "actions",
    "webhook",
];
const PROVIDER_MUST_HAVE: [&str; 3] = ["manifest.toml", "mod", "client"];

fn assert_none(rule: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{rule}\n  {}", wrong.join("\n  "));
}

fn rust_sources() -> Vec<Source> {
    sources("").into_iter().filter(Source::is_rust).collect()
}

#[test]
fn nothing_unfinished_or_silenced_stays_in_the_code() {
    let mut wrong = Vec::new();
    for source in rust_sources() {
        for (place, line) in source.lines() {
            for (leftover, instead) in LEFTOVERS {
                if line.contains(leftover) {
                    wrong.push(format!("{place}: `{leftover}`: {instead}"));
                }
            }
        }
    }
    assert_none("Leftovers:", &wrong);
}

#[test]
fn rust_files_fit_in_the_head() {
    let mut wrong = Vec::new();
    for source in rust_sources() {
        let longer = LONGER
            .iter()
            .find(|(path, _, _)| source.path == Path::new(path));
        let limit = longer.map_or(LINES_PER_FILE, |(_, limit, _)| *limit);
        let lines = source.text.lines().count();
        if lines > limit {
            wrong.push(format!(
                "{}: {lines} lines, at most {limit}",
                source.path.display()
            ));
        }
    }
    assert_none(
        "Split these files by role (a file that needs scrolling to be understood wants to be two):",
        &wrong,
    );
}

#[test]
fn exceptions_to_the_length_of_files_are_still_needed() {
    for (path, _, reason) in LONGER {
        let text = std::fs::read_to_string(root().join(path)).unwrap_or_default();
        assert!(
            text.lines().count() > LINES_PER_FILE && !reason.is_empty(),
            "{path} is short or gone: remove it from LONGER in tests/it/tidy.rs"
        );
    }
}

#[test]
fn names_of_files_and_folders_say_what_is_inside() {
    let mut wrong = Vec::new();
    for folder in folders("") {
        for path in entries(&folder) {
            let stem = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .unwrap_or_default();
            let is_code = path.is_dir() || path.extension().is_some_and(|end| end == "rs");
            if is_code && DRAWERS.contains(&stem) {
                wrong.push(
                    path.strip_prefix(root())
                        .unwrap_or(&path)
                        .display()
                        .to_string(),
                );
            }
        }
    }
    assert_none(
        "Drawers: name these after the one question they answer:",
        &wrong,
    );
}

#[test]
fn lines_end_where_their_text_ends() {
    let mut wrong = Vec::new();
    for source in sources("") {
        for (place, line) in source.lines() {
            if line.ends_with([' ', '\t', '\r']) {
                wrong.push(format!("{place}: white space at the end"));
            }
            if source.is_rust() && line.contains('\t') {
                wrong.push(format!("{place}: a tab"));
            }
        }
        if !source.text.is_empty() && !source.text.ends_with('\n') {
            wrong.push(format!(
                "{}: no line end at the end of the file",
                source.path.display()
            ));
        }
    }
    assert_none("White space (`make fmt` mends Rust files):", &wrong);
}

#[test]
fn nothing_depends_on_one_machine() {
    let mut wrong = Vec::new();
    for source in sources("") {
        for (place, line) in source.lines() {
            for path in MACHINE_PATHS {
                if line.contains(path) {
                    wrong.push(format!("{place}: `{path}`"));
                }
            }
        }
    }
    assert_none(
        "Use a path relative to the tree, a setting, or a temporary folder:",
        &wrong,
    );
}

#[test]
fn nothing_points_to_a_page_that_is_not_here() {
    let mut wrong = Vec::new();
    for source in sources("") {
        for (place, line) in source.lines() {
            if line.contains(PAGE_ELSEWHERE) {
                wrong.push(place);
            }
        }
    }
    assert_none(
        "Point to docs/job-states.md, ARCHITECTURE.md or a page of docs/adr instead:",
        &wrong,
    );
}

/// Paths of the tree between backticks, placeholders and patterns apart.
fn paths_named(line: &str) -> Vec<&str> {
    let quoted = line.split('`').skip(1).step_by(2);
    let words = quoted.flat_map(str::split_whitespace);
    let paths = words.filter(|word| ROOTS.iter().any(|root| word.starts_with(root)));
    let is_upper = |part: &str| {
        let stem = part.split('.').next().unwrap_or_default();
        let mut letters = stem.chars().filter(|c| c.is_alphabetic()).peekable();
        stem != "README" && letters.peek().is_some() && letters.all(char::is_uppercase)
    };
    let is_placeholder =
        |path: &str| path.contains(['*', '{', '<', '$']) || path.split('/').any(is_upper);
    paths
        .map(|path| path.trim_end_matches([',', '.', ':', ';']))
        .filter(|path| !is_placeholder(path))
        .collect()
}

#[test]
fn paths_in_documents_lead_somewhere() {
    let mut wrong = Vec::new();
    let documents = sources("").into_iter();
    for document in documents.filter(|source| source.path.extension().is_some_and(|e| e == "md")) {
        for (place, line) in document.lines() {
            for path in paths_named(line) {
                if !root().join(path).exists() {
                    wrong.push(format!("{place}: `{path}`"));
                }
            }
        }
    }
    assert_none("These paths of documents do not exist:", &wrong);
}

#[test]
fn paths_are_found_between_backticks() {
    let line = "`crates/core/src/` and `vi docs/cli.md`, not docs/x.md, `crates/*/src`, \
                `tests/{a,b}.rs`, `docs/NAME.md`, `migrations/<name>`, `docs/README.md`";
    assert_eq!(
        paths_named(line),
        ["crates/core/src/", "docs/cli.md", "docs/README.md"]
    );
}

#[test]
fn every_crate_says_what_it_is_for() {
    let mut wrong = Vec::new();
    for source in rust_sources() {
        let is_entry = ["src/lib.rs", "src/main.rs"]
            .iter()
            .any(|end| source.path.ends_with(end));
        if is_entry && !source.text.starts_with("//!") {
            wrong.push(source.path.display().to_string());
        }
    }
    assert_none(
        "Begin these files with `//!`: what the crate is for, what it must not do:",
        &wrong,
    );
}

#[test]
fn provider_folders_look_alike() {
    let providers: Vec<_> = folders("crates/providers/src")
        .into_iter()
        .filter(|folder| folder.join("manifest.toml").exists())
        .collect();
    let mut wrong = Vec::new();
    for provider in providers {
        let parts: BTreeSet<String> = entries(&provider)
            .iter()
            .map(|path| part_name(path))
            .collect();
        let name = provider
            .strip_prefix(root())
            .unwrap_or(&provider)
            .display()
            .to_string();
        for part in parts
            .iter()
            .filter(|part| !PROVIDER_PARTS.contains(&part.as_str()))
        {
            wrong.push(format!("{name}: `{part}` is none of {PROVIDER_PARTS:?}"));
        }
        for part in PROVIDER_MUST_HAVE
            .iter()
            .filter(|part| !parts.contains(**part))
        {
            wrong.push(format!("{name}: `{part}` is missing"));
        }
    }
    assert_none(
        "Give each provider the same parts (a role in several files is a folder of that name):",
        &wrong,
    );
}

/// `client.rs` and the folder `client/` are both the part `client`; other files keep their end.
fn part_name(path: &Path) -> String {
    let is_rust = path.extension().is_some_and(|end| end == "rs");
    let name = if is_rust {
        path.file_stem()
    } else {
        path.file_name()
    };
    name.map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
