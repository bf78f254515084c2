//! The layers of `src/`: imports go downwards only, no two files import each other, directly or through others, and the
//! pure layers name nothing that does I/O. Reads the paths that the sources name; what is compiled for tests alone does
//! not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the top to the ground. What lies directly in `src/` is the ground, but for the crate's own file.
const LAYERS: [&str; 8] = ["lib", "ffi", "commands", "recovery", "world", "api", "config", "ground"];
const PURE: [&str; 3] = ["recovery", "api", "config"];
const IO: [&str; 7] = ["std::fs", "std::net", "Instant", "std::thread", "libc", "rustix", "ureq"];

/// A file: its module path (`recovery::follow`), and its code without tests and comments.
struct Source {
    file: String,
    module: Vec<String>,
    code: String,
}

impl Source {
    fn layer(&self) -> &str {
        match self.module.as_slice() {
            [] => "lib",
            [first, ..] => LAYERS.into_iter().find(|layer| layer == first).unwrap_or("ground"),
        }
    }

    /// The modules below this one that are compiled for tests alone.
    fn modules_for_tests(&self) -> Vec<Vec<String>> {
        let marked = self.code.split("#[cfg(test)]\n").skip(1).filter_map(|rest| rest.lines().next());
        let name = |line: &str| Some(line.trim().strip_suffix(';')?.rsplit_once("mod ")?.1.to_string());
        marked.filter_map(name).map(|name| [&self.module[..], &[name]].concat()).collect()
    }

    fn rank(&self) -> usize {
        LAYERS.iter().position(|layer| *layer == self.layer()).unwrap()
    }
}

fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    let mut found = Vec::new();
    for path in files {
        let file = path.strip_prefix(&src).unwrap().to_str().unwrap().to_string();
        let mut module: Vec<String> = file
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_string)
            .filter(|part| part != "lib")
            .collect();
        if module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        found.push(Source { file, module, code: code_of(&fs::read_to_string(&path).unwrap()) });
    }
    let for_tests: Vec<Vec<String>> = found.iter().flat_map(Source::modules_for_tests).collect();
    found.retain(|source| !for_tests.iter().any(|module| source.module.starts_with(module)));
    found
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

/// Without comments, and without the test module at the end.
fn code_of(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    lines.join("\n")
}

/// The paths that a file names from the crate's root: `use` declarations, with their braces written out, and paths in
/// the code.
fn paths(source: &Source) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    for word in ["crate::", "super::", "self::"] {
        let mut from = 0;
        while let Some(at) = source.code[from..].find(word).map(|at| at + from) {
            from = at + word.len();
            let before = source.code[..at].chars().next_back().unwrap_or(' ');
            if before.is_alphanumeric() || matches!(before, '_' | ':' | '$' | '(') && word != "crate::" {
                continue;
            }
            let rest: String = source.code[at..].chars().take_while(|c| *c != ';').collect();
            expand(&mut found, &source.module, Vec::new(), &rest);
        }
    }
    // `use child::Item` in a `mod.rs`, whose children are known by the `mod` in it.
    for line in source.code.lines() {
        if let Some(path) = line.trim().strip_prefix("use ").or(line.trim().strip_prefix("pub(crate) use "))
            && !["crate", "super", "self", "std"].iter().any(|root| path.starts_with(root))
        {
            let child = path.split([':', ';', ' ']).next().unwrap();
            let declared = source.code.contains(&format!("mod {child};"));
            if declared {
                let mut module = source.module.clone();
                module.push(child.to_string());
                found.insert(module);
            }
        }
    }
    found
}

/// `crate::a::{b, c::{d, e}}` is `a::b`, `a::c::d` and `a::c::e`.
fn expand(found: &mut BTreeSet<Vec<String>>, module: &[String], mut path: Vec<String>, text: &str) {
    let mut rest = text;
    loop {
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        rest = &rest[name.len()..];
        match name.as_str() {
            "crate" => path.clear(),
            "self" if path.is_empty() => path = module.to_vec(),
            "" | "self" => {}
            "super" if path.is_empty() => path = module[..module.len().saturating_sub(1)].to_vec(),
            "super" => drop(path.pop()),
            _ => path.push(name),
        }
        if let Some(inside) = rest.strip_prefix("::{") {
            for part in split(inside) {
                expand(found, module, path.clone(), part.trim());
            }
            return;
        }
        match rest.strip_prefix("::") {
            Some(next) => rest = next,
            None => break,
        }
    }
    found.insert(path);
}

/// The parts between the commas of a pair of braces.
fn split(inside: &str) -> Vec<&str> {
    let (mut depth, mut from, mut parts) = (0, 0, Vec::new());
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&inside[from..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inside[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts
}

/// Which files each file imports.
fn imports(sources: &[Source]) -> BTreeMap<usize, BTreeSet<usize>> {
    let mut graph = BTreeMap::new();
    for (importer, source) in sources.iter().enumerate() {
        let mut imported = BTreeSet::new();
        for path in paths(source) {
            // The longest module that the path begins with: what follows is an item of its file.
            let file = (0..=path.len())
                .rev()
                .find_map(|length| sources.iter().position(|other| other.module == path[..length]));
            imported.extend(file.filter(|file| *file != importer));
        }
        graph.insert(importer, imported);
    }
    graph
}

#[test]
fn imports_go_downwards_only() {
    let sources = sources();
    assert!(sources.len() > 30, "only {} files were found", sources.len());
    let mut wrong = Vec::new();
    for (importer, imported) in imports(&sources) {
        for file in imported {
            let (above, below) = (&sources[importer], &sources[file]);
            if above.rank() > below.rank() {
                wrong.push(format!(
                    "src/{} ({}) imports src/{} ({}), which lies above it: move what both need down, or pass it in",
                    above.file,
                    above.layer(),
                    below.file,
                    below.layer()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "layers from the top: {}\n{}", LAYERS.join(" > "), wrong.join("\n"));
}

#[test]
fn no_two_files_import_each_other() {
    let sources = sources();
    let graph = imports(&sources);
    let mut circles = BTreeSet::new();
    for start in graph.keys() {
        let (mut open, mut seen) = (vec![vec![*start]], BTreeSet::new());
        while let Some(path) = open.pop() {
            for next in &graph[path.last().unwrap()] {
                if next == start {
                    let mut names: Vec<&str> = path.iter().map(|file| sources[*file].file.as_str()).collect();
                    let first = names.iter().enumerate().min_by_key(|(_, name)| **name).unwrap().0;
                    names.rotate_left(first);
                    circles.insert(names.join(" > "));
                } else if seen.insert(*next) {
                    open.push([path.clone(), vec![*next]].concat());
                }
            }
        }
    }
    let list: Vec<String> = circles.into_iter().collect();
    assert!(
        list.is_empty(),
        "files that import each other; move what both need into a file below them:\n{}",
        list.join("\n")
    );
}

#[test]
fn the_pure_layers_do_no_io() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| PURE.contains(&source.layer())) {
        for (number, line) in source.code.lines().enumerate() {
            for name in IO.iter().filter(|name| names(line, name)) {
                wrong.push(format!("src/{}, code line {}: {name}: {}", source.file, number + 1, line.trim()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} decide and do no I/O; ask the trait `World` for it:\n{}",
        PURE.join(", "),
        wrong.join("\n")
    );
}

/// Whether the line has this name as a word of its own.
fn names(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let edge = |c: Option<char>| c.is_none_or(|c| !(c.is_alphanumeric() || c == '_'));
        edge(line[..at].chars().next_back()) && edge(line[at + name.len()..].chars().next())
    })
}

#[test]
fn unsafe_code_is_at_the_borders_only() {
    let mut wrong = Vec::new();
    for folder in ["src", "cli"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        collect(&root.join(folder), &mut files);
        for path in files {
            let file = path.strip_prefix(root).unwrap().to_str().unwrap().to_string();
            let folders = ["src/ffi/", "src/sys/"];
            let allowed = folders.iter().any(|folder| file.starts_with(folder))
                || ["src/sys.rs", "cli/sys.rs"].contains(&file.as_str());
            let code = code_of(&fs::read_to_string(&path).unwrap());
            if !allowed && code.lines().any(|line| names(line, "unsafe")) {
                wrong.push(file);
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "unsafe belongs into src/ffi, src/sys and cli/sys.rs, not: {}",
        wrong.join(", ")
    );
}
