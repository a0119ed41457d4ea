//! Reads config.toml, with the line of each key.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Table;
use toml::de::{DeTable, DeValue};

use crate::config::error::ConfigError;

/// The settings in a file.
pub(super) struct SettingsFile {
    pub(super) values: Table,
    /// Line of each section and key, by full name. Elements of lists are named by their index: `upload.tokens.0.name`.
    pub(super) lines: BTreeMap<String, usize>,
}

impl SettingsFile {
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| line_at(&text, span.start)),
            problem: error.message().to_owned(),
        })
    }

    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let values = toml::from_str(text)?;
        let mut lines = BTreeMap::new();
        collect_lines(text, "", DeTable::parse(text)?.get_ref(), &mut lines);
        Ok(Self { values, lines })
    }
}

fn collect_lines(text: &str, prefix: &str, table: &DeTable<'_>, lines: &mut BTreeMap<String, usize>) {
    for (name, value) in table {
        let key = format!("{prefix}{}", name.get_ref());
        lines.insert(key.clone(), line_at(text, name.span().start));
        match value.get_ref() {
            DeValue::Table(table) => collect_lines(text, &format!("{key}."), table, lines),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let DeValue::Table(table) = item.get_ref() {
                        collect_lines(text, &format!("{key}.{index}."), table, lines);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The number of the line that holds byte `offset`, counted from 1.
fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
