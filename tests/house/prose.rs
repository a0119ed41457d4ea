//! Checks the style of comments.

use crate::sources::{crate_folders, sources};

/// Sentences that begin with these words lack their subject.
const OPENINGS: &[&str] = &["What ", "Whoever ", "Whether "];

#[test]
fn comments_name_their_subject() {
    let folders = std::iter::once("src".to_owned()).chain(crate_folders());
    for source in folders.flat_map(|folder| sources(&folder)) {
        for (number, line) in source.text.lines().enumerate() {
            let Some(comment) = line.trim_start().strip_prefix("//") else { continue };
            let comment = comment.trim_start_matches(['/', '!']).trim_start();
            let opening = OPENINGS.iter().find(|opening| comment.starts_with(**opening));
            assert!(opening.is_none(), "{}:{}: {comment}", source.path.display(), number + 1);
        }
    }
}
