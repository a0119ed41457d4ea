//! A shared value that can be replaced while it is in use.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

/// A value that a reload replaces atomically.
///
/// Clones share the value. [`HotSwap::get`] takes no lock. A replacement does not affect values that were already
/// returned.
pub struct HotSwap<T>(Arc<ArcSwap<T>>);

impl<T> HotSwap<T> {
    #[must_use]
    pub fn new(value: impl Into<Arc<T>>) -> Self {
        Self(Arc::new(ArcSwap::new(value.into())))
    }

    /// Returns the current value.
    #[must_use]
    pub fn get(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Replaces the value for all clones.
    pub fn set(&self, value: impl Into<Arc<T>>) {
        self.0.store(value.into());
    }
}

impl<T> Clone for HotSwap<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Default> Default for HotSwap<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for HotSwap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HotSwap").field(&self.get()).finish()
    }
}
