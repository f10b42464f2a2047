//! The repository's own text files, for tests about the tree.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders without anything we wrote.
const NOT_OURS: [&str; 5] = [".git", "target", ".cache", "node_modules", "fixtures"];

/// The folder of the workspace's `Cargo.toml`.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ stands in the workspace")
}

/// A text file of the tree.
pub struct Source {
    /// Path from the root.
    pub path: PathBuf,
    pub text: String,
}

impl Source {
    pub fn is_rust(&self) -> bool {
        self.path
            .extension()
            .is_some_and(|extension| extension == "rs")
    }

    /// Each line with `path:number`, as editors and terminals link it.
    pub fn lines(&self) -> impl Iterator<Item = (String, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (format!("{}:{}", self.path.display(), index + 1), line))
    }
}

/// Text files under a folder of the tree (`""` is the whole tree), in order of path.
pub fn sources(under: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join(under), &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Folders under a folder of the tree, itself included.
pub fn folders(under: &str) -> Vec<PathBuf> {
    let mut found = vec![root().join(under)];
    let mut next = 0;
    while let Some(folder) = found.get(next).cloned() {
        found.extend(entries(&folder).into_iter().filter(|path| path.is_dir()));
        next += 1;
    }
    found
}

/// File and folder paths directly in a folder, without those that are not ours.
pub fn entries(folder: &Path) -> Vec<PathBuf> {
    let listing = fs::read_dir(folder).unwrap_or_else(|error| {
        panic!("reading {}: {error}", folder.display());
    });
    listing
        .map(|entry| entry.expect("a listed entry can be read").path())
        .filter(|path| !NOT_OURS.iter().any(|name| path.ends_with(name)))
        .collect()
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for path in entries(folder) {
        if path.is_dir() {
            collect(&path, found);
        } else if is_text(&path)
            && let Ok(text) = fs::read_to_string(&path)
        {
            let path = path
                .strip_prefix(root())
                .expect("collected under the root")
                .to_owned();
            found.push(Source { path, text });
        }
    }
}

fn is_text(path: &Path) -> bool {
    const EXTENSIONS: [&str; 9] = [
        "rs", "toml", "md", "sql", "sh", "yml", "yaml", "service", "mjs",
    ];
    match path.extension().and_then(|extension| extension.to_str()) {
        Some(extension) => EXTENSIONS.contains(&extension),
        // Makefile and scripts; a licence stays as its authors wrote it.
        None => path.file_name().is_some_and(|name| name != "LICENSE"),
    }
}
