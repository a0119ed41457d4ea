//! Checks that manifests, documents and images are consistent with one another.

#[test]
fn the_readme_has_the_bucket_policies_of_the_docs() {
    let (readme, docs) = (include_str!("../../README.md"), include_str!("../../docs/S3.md"));
    let blocks: Vec<_> = docs.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        assert!(serde_json::from_str::<serde_json::Value>(block).is_ok(), "{block}");
        assert!(readme.contains(block), "README.md lacks {block}");
    }
}

#[test]
fn docs_explain_every_dependency() {
    let manifest = concat!(include_str!("../../Cargo.toml"), include_str!("../../crates/pixels/Cargo.toml"));
    let docs = include_str!("../../docs/DEPENDENCIES.md");
    let linked = |section: &&str| {
        let head = section.lines().next().unwrap();
        head == "dependencies]" || head.starts_with("target.") && head.ends_with(".dependencies]")
    };
    let sections = manifest.split("\n[").filter(linked);
    let lines = sections.flat_map(|section| section.lines().skip(1)).filter(|line| !line.starts_with('#'));
    let mut needed: Vec<_> = lines.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect();
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|row| row.split_once('|'));
    let mut explained: Vec<_> =
        rows.flat_map(|(names, _)| names.split('`')).filter(|name| name.contains(char::is_alphanumeric)).collect();
    needed.sort_unstable();
    needed.dedup();
    explained.sort_unstable();
    assert_eq!(explained, needed);
}

#[test]
fn images_and_workflows_use_the_minimum_rust_version() {
    let rust = include_str!("../../Cargo.toml").lines().find_map(|line| line.strip_prefix("rust-version = "));
    let rust = rust.unwrap().trim_matches('"');
    let places = [
        (include_str!("../../deploy/docker/Dockerfile"), "FROM rust:"),
        (include_str!("../../deploy/docker/Dockerfile.api-receiver"), "FROM rust:"),
        (include_str!("../../.github/workflows/ci.yml"), "rustup toolchain install "),
        (include_str!("../../.github/workflows/release.yml"), "rustup toolchain install "),
    ];
    for (text, before) in places {
        let (_, after) = text.split_once(before).unwrap();
        let version = after.split(['-', ' ']).next().unwrap();
        assert_eq!(version, rust, "{before}{version}");
    }
}
