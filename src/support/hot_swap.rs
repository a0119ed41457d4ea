//! What can be replaced while it is in use.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

/// The one of its kind that counts now. Whoever was handed a former one goes on with that. Reading takes no lock, and clones
/// share what is current.
pub struct Current<T>(Arc<ArcSwap<T>>);

impl<T> Current<T> {
    /// `first`, until it is replaced.
    #[must_use]
    pub fn new(first: impl Into<Arc<T>>) -> Self {
        Self(Arc::new(ArcSwap::new(first.into())))
    }

    /// What counts now.
    #[must_use]
    pub fn get(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// From now on `next` counts.
    pub fn set(&self, next: impl Into<Arc<T>>) {
        self.0.store(next.into());
    }
}

impl<T> Clone for Current<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Default> Default for Current<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Current<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Current").field(&self.get()).finish()
    }
}
