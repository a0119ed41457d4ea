//! The options of [`decode`](crate::decode()).

/// Decoding options.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Called after a bounded amount of work. Decoding stops with [`Error::Cancelled`](crate::Error::Cancelled) when it
    /// returns `false`.
    pub should_continue: &'a dyn Fn() -> bool,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { should_continue: &|| true }
    }
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").finish_non_exhaustive()
    }
}
