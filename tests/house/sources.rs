//! The Rust sources of the workspace, without comments and literals.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file.
pub struct Source {
    /// Relative to the repository.
    pub path: PathBuf,
    /// Module path inside its crate: `origin::s3::client`. Empty for a crate root.
    pub module: String,
    /// The unmodified content of the file.
    pub text: String,
    /// The code: comments, strings and characters are blank, line numbers are kept.
    pub code: String,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The sources below `folder`, such as `src` or `crates/pixels/src`.
pub fn sources(folder: &str) -> Vec<Source> {
    let mut folders = vec![root().join(folder)];
    let mut sources = Vec::new();
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(Source::read(folder, &path));
            }
        }
    }
    assert!(!sources.is_empty(), "no sources in {folder}");
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// The source folders of the crates in `crates/`.
pub fn crate_folders() -> Vec<String> {
    let entries = fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut folders: Vec<_> = entries.map(|name| format!("crates/{}/src", name.to_str().unwrap())).collect();
    folders.sort();
    folders
}

impl Source {
    fn read(folder: &str, path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let inside = path.strip_prefix(root().join(folder)).unwrap().with_extension("");
        let module = inside.to_str().unwrap().replace('/', "::");
        let module = if matches!(module.as_str(), "lib" | "main") { String::new() } else { module };
        Self { path: path.strip_prefix(root()).unwrap().to_owned(), module, code: code_of(&text), text }
    }

    /// True if this module is `module` or lies below it.
    pub fn is_in(&self, module: &str) -> bool {
        self.module.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }

    /// First segment of the module path.
    pub fn top(&self) -> &str {
        self.module.split("::").next().unwrap()
    }

    /// True if the code contains the whole path `path` followed by `::`. For example, `moka` is not found in
    /// `mymoka::sync`.
    pub fn names(&self, path: &str) -> bool {
        let is_part_of_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        self.code.match_indices(path).any(|(at, _)| {
            !is_part_of_word(self.code[..at].chars().next_back()) && self.code[at + path.len()..].starts_with("::")
        })
    }

    /// The identifiers that follow `prefix::`, including those in braces: `a` and `b` of `use crate::{a::X, b}`.
    pub fn after(&self, prefix: &str) -> Vec<&str> {
        let start = format!("{prefix}::");
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices(&start) {
            let rest = &self.code[at + start.len()..];
            match rest.strip_prefix('{') {
                Some(group) => found.extend(group_heads(group)),
                None => found.push(identifier(rest)),
            }
        }
        found.retain(|name| !name.is_empty());
        found
    }
}

/// The identifier at the start of `text`, or "".
pub fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// First identifiers of the comma-separated paths up to the brace that closes the group.
fn group_heads(group: &str) -> Vec<&str> {
    let (mut depth, mut heads, mut expects_head) = (0, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expects_head = true,
            _ if expects_head && !c.is_whitespace() => {
                heads.push(identifier(&group[at..]));
                expects_head = false;
            }
            _ => {}
        }
    }
    heads
}

/// `text` with comments, strings and character literals replaced by spaces.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '"' => quoted(rest),
            'r' if !code.ends_with(|c: char| c.is_alphanumeric() || c == '_') => raw_string(rest).unwrap_or(0),
            '\'' => character(rest).unwrap_or(0),
            _ => 0,
        };
        let length = if skipped == 0 { c.len_utf8() } else { skipped };
        if skipped == 0 {
            code.push(c);
        } else {
            code.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        rest = &rest[length..];
    }
    code
}

/// Length of the string literal at the start of `text`.
fn quoted(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of the raw string literal at the start of `text`, if there is one.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text[1..].chars().take_while(|c| *c == '#').count();
    let body = text[1 + hashes..].strip_prefix('"')?;
    let end = body.find(&format!("\"{}", "#".repeat(hashes)))?;
    Some(1 + hashes + 1 + end + 1 + hashes)
}

/// Length of the character literal at the start of `text`. A lifetime is not a literal.
fn character(text: &str) -> Option<usize> {
    let inside = text[1..].chars().next()?;
    if inside == '\\' {
        return text[3..].find('\'').map(|end| 3 + end + 1);
    }
    text[1 + inside.len_utf8()..].starts_with('\'').then(|| 1 + inside.len_utf8() + 1)
}

#[test]
fn literals_and_comments_are_not_code() {
    let code = code_of("a // b\n\"c\\\"d\" r#\"e\"f\"# 'g' '\\'' &'h i");
    assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "&'h", "i"]);
}

#[test]
fn paths_in_braces_are_found() {
    let code = "use crate::{a::{X, Y}, b};\ncrate::c::d();".to_owned();
    let source = Source { path: PathBuf::new(), module: String::new(), text: code.clone(), code };
    assert_eq!(source.after("crate"), ["a", "b", "c"]);
    assert!(!source.names("rate"));
    assert!(source.names("crate"));
}
