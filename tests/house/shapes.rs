//! Limits the number of fields of a struct, and the number of files that contain its methods.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources::{Source, crate_folders, identifier, sources};

const FIELDS_MAX: usize = 12;
const IMPL_FILES_MAX: usize = 3;

fn all_sources() -> Vec<Vec<Source>> {
    std::iter::once("src".to_owned()).chain(crate_folders()).map(|folder| sources(&folder)).collect()
}

/// The struct declarations of a file with named fields: name and number of fields.
fn structs(code: &str) -> Vec<(&str, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("struct ") {
        let rest = &code[at + "struct ".len()..];
        let Some(open) = rest.find(['{', ';', '(']).filter(|open| rest[*open..].starts_with('{')) else { continue };
        let (mut depth, mut fields) = (0, 0);
        for (at, c) in rest[open..].char_indices() {
            match c {
                '{' | '(' | '[' | '<' => depth += 1,
                '}' | ')' | ']' => depth -= 1,
                '>' if !rest[open..open + at].ends_with('-') => depth -= 1,
                ':' if depth == 1 && !rest[open + at + 1..].starts_with(':') && !rest[..open + at].ends_with(':') => {
                    fields += 1
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        found.push((identifier(rest), fields));
    }
    found
}

#[test]
fn structs_outside_config_have_at_most_12_fields() {
    let sources = all_sources().into_iter().flatten().filter(|source| !source.path.starts_with("src/config"));
    for source in sources {
        for (name, fields) in structs(&source.code) {
            assert!(fields <= FIELDS_MAX, "{}: {name} has {fields} fields", source.path.display());
        }
    }
}

#[test]
fn the_methods_of_a_type_are_in_at_most_3_files() {
    for crate_sources in all_sources() {
        let mut files = BTreeMap::<String, BTreeSet<String>>::new();
        for source in &crate_sources {
            for line in source.code.lines() {
                let Some(rest) = line.strip_prefix("impl ").or_else(|| line.strip_prefix("impl<")) else { continue };
                let rest =
                    if line.starts_with("impl<") { rest.split_once("> ").map_or("", |(_, rest)| rest) } else { rest };
                if !rest.contains(" for ") {
                    files.entry(identifier(rest).to_owned()).or_default().insert(source.path.display().to_string());
                }
            }
        }
        for (name, files) in files {
            let folders: BTreeSet<_> =
                files.iter().filter_map(|file| file.rsplit_once('/')).map(|(folder, _)| folder).collect();
            // Types of the same name in unrelated folders are different types.
            assert!(files.len() <= IMPL_FILES_MAX || folders.len() > IMPL_FILES_MAX, "{name}: {files:?}");
        }
    }
}

#[test]
fn fields_are_counted() {
    let code = "struct A { pub a: Vec<(u8, B)>, b: fn(x: u8) -> std::io::Result<()> }\nstruct T(u8);\nstruct U;";
    assert_eq!(structs(code), [("A", 2)]);
}
