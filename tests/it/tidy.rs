//! House rules that the compiler cannot check: the import rule, a header on every file, and the tests that
//! `docs/safety.md` names.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder that `cargo test` runs in. Read at run time: the build folder outlives a checkout, the compiled path may not.
fn root() -> PathBuf {
    std::env::current_dir().unwrap()
}

/// Every Rust file below `folder`, with its text.
pub fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut open = vec![root.join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no Rust files");
    found
}

fn part(path: &Path, folder: &str) -> bool {
    let path = path.to_str().unwrap();
    path.starts_with(&format!("{folder}/")) || path == format!("{folder}.rs")
}

/// The lines of code in `part` that mention one of `words`.
fn offences(folder: &str, words: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    for (path, text) in sources("src").into_iter().filter(|(path, _)| part(path, folder)) {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if words.iter().any(|word| code.contains(word)) {
                all.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    all
}

#[test]
fn every_file_says_what_it_is() {
    for folder in ["src", "gateway", "tests"] {
        for (path, text) in sources(folder) {
            assert!(text.starts_with("//!"), "{} does not start with //!", path.display());
        }
    }
}

#[test]
fn no_file_is_called_after_nothing() {
    for (path, _) in ["src", "gateway/src"].into_iter().flat_map(sources) {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        assert!(!["mod", "util", "utils", "common", "helpers", "services"].contains(&stem), "{}", path.display());
    }
}

#[test]
fn the_model_knows_nothing_that_runs() {
    let running = [
        "tokio",
        "reqwest",
        "aws_sdk",
        "aws_config",
        "Timestamp::now",
        "crate::reactor",
        "crate::store",
        "crate::aws",
        "std::fs",
    ];
    assert_eq!(offences("src/model", &running), Vec::<String>::new());
}

#[test]
fn the_reactor_decides_without_io_clock_or_chance() {
    let impure = [
        "tokio",
        "reqwest",
        "aws_sdk",
        "aws_config",
        "Timestamp::now",
        "rand::",
        "std::fs",
        "std::time",
        "crate::store",
        "crate::aws",
        "crate::driver",
        "crate::clock",
    ];
    assert_eq!(offences("src/reactor", &impure), Vec::<String>::new());
}

#[test]
fn adapters_know_no_stage_and_the_gateway_no_lease() {
    let stages =
        ["crate::reactor", "crate::driver", "crate::detector", "crate::notifier", "crate::reaper", "crate::web"];
    for adapter in ["src/store", "src/aws"] {
        assert_eq!(offences(adapter, &stages), Vec::<String>::new());
    }
    for (path, text) in sources("gateway/src") {
        assert!(!text.contains("zerocloud::"), "{} knows the product", path.display());
    }
}

#[test]
fn pages_know_documents_and_pure_functions_and_nothing_that_runs() {
    let running = [
        "crate::aws",
        "crate::driver",
        "crate::detector",
        "crate::notifier",
        "crate::reaper",
        "crate::scheduler",
        "crate::leader",
        "crate::serve",
        "aws_sdk",
    ];
    assert_eq!(offences("src/web", &running), Vec::<String>::new());
}

#[test]
fn every_dependency_is_used() {
    for (manifest, folders) in [
        ("Cargo.toml", vec!["src"]),
        ("gateway/Cargo.toml", vec!["gateway/src"]),
        ("tests/ec2-double/Cargo.toml", vec!["tests/ec2-double/src"]),
        ("tests/github-double/Cargo.toml", vec!["tests/github-double/src"]),
    ] {
        let text = fs::read_to_string(root().join(manifest)).unwrap();
        let code: String = folders.into_iter().flat_map(sources).map(|(_, text)| text).collect();
        let section = text.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
        let names = section.lines().filter_map(|line| line.split(['=', '.']).next()).map(str::trim);
        for name in names.filter(|name| !name.is_empty() && !name.starts_with('#')) {
            // Those whose library has another name than its package.
            let library = match name {
                "md-5" => "md5".to_owned(),
                "rustls-webpki" => "webpki".to_owned(),
                _ => name.replace('-', "_"),
            };
            assert!(code.contains(&library), "{manifest} names {name}, which nothing uses");
        }
    }
}

#[test]
fn only_the_reaper_ends_anything() {
    let ends = [".terminate(", ".stop(account", ".stop(\n", "aws.stop(", "aws.start("];
    let mut outside = Vec::new();
    for folder in [
        "src/driver",
        "src/detector",
        "src/notifier",
        "src/follower",
        "src/serve",
        "src/cli",
        "src/scheduler",
        "src/leader",
    ] {
        outside.extend(offences(folder, &ends));
    }
    assert_eq!(outside, Vec::<String>::new());
}

#[test]
fn the_tests_that_the_safety_page_names_exist() {
    let page = fs::read_to_string(root().join("docs/safety.md")).unwrap();
    let code: String = ["src", "gateway", "tests"].into_iter().flat_map(sources).map(|(_, text)| text).collect();
    let mut named = 0;
    for name in page.split('`').skip(1).step_by(2).filter(|word| word.contains('_') && !word.contains('/')) {
        if let Some(test) = name.strip_prefix("test:") {
            named += 1;
            assert!(code.contains(&format!("fn {test}(")), "docs/safety.md names {test}, which is gone");
        }
    }
    assert!(named > 0, "docs/safety.md names no test");
}

/// Whoever goes from landmark to landmark hears their names. Judged are the pages of how things stand and of AWS accounts.
#[test]
fn no_page_names_two_landmarks_alike() {
    let mut judged = 0;
    for entry in fs::read_dir(root().join("src/web/templates")).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        judged += 1;
        let text = fs::read_to_string(entry.path()).unwrap();
        let mut names: Vec<&str> =
            text.split("aria-labelledby=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        names.sort_unstable();
        let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
        assert!(twice.is_none(), "{name}: {twice:?}");
    }
    assert!(judged >= 8, "{judged}");
}
