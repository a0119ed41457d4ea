//! Refuses keys of objects that would hide one another.
//!
//! An object whose key reads as a size of an original, such as `cat_100x100.jpg`, is served only while that original,
//! `cat.jpg`, does not exist. The check reads the store before the upload is written, so two uploads at the same time
//! can both pass it.

use futures_util::future::try_join_all;

use super::error::UploadError;
use crate::origin::{Names, Store, StoreError};
use crate::support::deadline::Deadline;
use crate::support::error_chain::chain;
use crate::variant::{Grammar, ObjectKey};

#[derive(Debug)]
pub(super) struct CollisionCheck {
    pub(super) grammar: Grammar,
    pub(super) originals: Store,
    /// `urls.segment`: a folder may be a size.
    pub(super) has_size_folders: bool,
}

/// Maximum length of each listing.
const NAMES_MAX: usize = 1000;

/// Maximum number of folders that are looked into.
const FOLDERS_MAX: usize = 16;

impl CollisionCheck {
    /// # Errors
    /// The object would be hidden, or would hide another one; or the store did not answer.
    pub(super) async fn check(&self, key: &ObjectKey, deadline: &Deadline) -> Result<(), UploadError> {
        if let Some(original) = self.grammar.original_of(key)
            && self.exists(&original, deadline).await?
        {
            return Err(UploadError::HiddenBy(original.to_string()));
        }
        match self.hidden_by(key, deadline).await? {
            // An original that exists already hides nothing else.
            Some(object) if !self.exists(key, deadline).await? => Err(UploadError::Hides(object.to_string())),
            _ => Ok(()),
        }
    }

    /// An object that `original` would hide.
    async fn hidden_by(&self, original: &ObjectKey, deadline: &Deadline) -> Result<Option<ObjectKey>, UploadError> {
        let (folder, name) = split(original);
        let stem = name.rsplit_once('.').filter(|(stem, extension)| !stem.is_empty() && !extension.is_empty());
        let stem = stem.map_or(name, |(stem, _)| stem);
        let hidden = |names: &Names| {
            let is_hidden = |key: &&ObjectKey| self.grammar.original_of(key).as_ref() == Some(original);
            names.objects.iter().find(is_hidden).cloned()
        };
        let names = self.list(&format!("{folder}{stem}"), deadline).await?;
        let mut found = hidden(&names);
        if found.is_none() && !names.is_complete {
            let mut prefixes: Vec<_> =
                [stem, name].iter().flat_map(|name| [format!("{folder}{name}_"), format!("{folder}{name}-")]).collect();
            prefixes.dedup();
            let listings = try_join_all(prefixes.iter().map(|prefix| self.list(prefix, deadline))).await?;
            found = listings.iter().find_map(hidden);
        }
        if found.is_none() && self.has_size_folders {
            found = self.hidden_in_folders(original, deadline).await?;
        }
        Ok(found)
    }

    /// An object in a folder whose name is a size.
    async fn hidden_in_folders(
        &self,
        original: &ObjectKey,
        deadline: &Deadline,
    ) -> Result<Option<ObjectKey>, UploadError> {
        let (folder, name) = split(original);
        let names = self.list(folder, deadline).await?;
        let keys = names.folders.iter().filter_map(|size| ObjectKey::new(&format!("{folder}{size}/{name}")).ok());
        let keys = keys.filter(|key| self.grammar.original_of(key).as_ref() == Some(original)).take(FOLDERS_MAX);
        for key in keys {
            if self.exists(&key, deadline).await? {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    async fn exists(&self, key: &ObjectKey, deadline: &Deadline) -> Result<bool, UploadError> {
        let found = deadline.run(self.originals.head(key)).await.map_err(|_| UploadError::StoreTimeout)?;
        found.map(|object| object.is_some()).map_err(|error| UploadError::from_store(&error))
    }

    /// Lists names. If the store refuses listings, the upload is not checked.
    async fn list(&self, prefix: &str, deadline: &Deadline) -> Result<Names, UploadError> {
        let listing = deadline.run(self.originals.list_names(prefix, NAMES_MAX)).await;
        match listing.map_err(|_| UploadError::StoreTimeout)? {
            Ok(names) => Ok(names),
            Err(error @ StoreError::Timeout { .. }) => Err(UploadError::from_store(&error)),
            Err(error) => {
                tracing::warn!(error = chain(&error), "upload not checked for hidden objects: listing failed");
                Ok(Names { is_complete: true, ..Names::default() })
            }
        }
    }
}

/// Splits a key into its folder, with the slash, and its name.
fn split(key: &ObjectKey) -> (&str, &str) {
    key.as_str().split_at(key.as_str().rfind('/').map_or(0, |slash| slash + 1))
}
