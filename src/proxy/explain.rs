//! What a path means, and what of it is there: the steps of a request, without making anything.

use super::Proxy;
use crate::config::Serve;
use crate::origin::{ListPage, ObjectMeta, PAGE_OBJECTS_MAX, Store, StoreError};
use crate::support::error_chain::chain;
use crate::variant::{Addressed, Allowance, Hint, Named, ObjectKey, Signature, Variant};

/// What a store says of an object; or why it says nothing.
pub type Seen = Result<Option<ObjectMeta>, String>;

/// What a path means.
#[derive(Debug)]
pub enum Explanation {
    /// It names nothing, and this is why.
    Refused(String),
    /// An original as it is.
    Original {
        key: ObjectKey,
        object: Seen,
        /// Why it is no variant, if it looks much like one.
        hint: Option<String>,
        /// Why its signature is not enough.
        forbidden: Option<String>,
        /// Why it would not be served though it is there.
        refused: Option<String>,
    },
    /// A variant.
    Variant(Box<ExplainedVariant>),
}

/// What is known of a variant that a path names.
#[derive(Debug)]
pub struct ExplainedVariant {
    pub variant: Variant,
    /// The path that stands for all that mean the same.
    pub canonical: String,
    /// Why its signature is not enough.
    pub forbidden: Option<String>,
    /// The path that clients are sent to, where this size is not allowed and another stands in for it.
    pub snapped: Option<String>,
    /// Why this size is not allowed, where none stands in for it.
    pub disallowed: Option<String>,
    pub original: Seen,
    /// The object of the path's own name, which is served where there is no such original.
    pub literal: Option<(ObjectKey, Seen)>,
    /// In the variants' store.
    pub key: ObjectKey,
    pub stored: Seen,
    /// Whether what is stored was made of the original as it is.
    pub is_current: bool,
    /// The formats that the client's `Accept` may choose in place of this one.
    pub negotiable: Vec<&'static str>,
    /// Why it would not be made though its original is there.
    pub refused: Option<String>,
}

impl Proxy {
    /// Reads a path and query as a request's would be, and looks at what they name in the stores.
    pub async fn explain(&self, target: &str) -> Explanation {
        let named = match self.grammar.parse(target) {
            Ok(named) => named,
            Err(error) => return Explanation::Refused(error.to_string()),
        };
        let signature = self.signature(&named, target.split_once('?').map(|(_, query)| query));
        let forbidden = signature.as_ref().err().map(|failure| failure.detail().to_owned());
        match named {
            Named::Object(key, hint) => {
                let hint = (hint == Hint::SideTooLarge)
                    .then(|| format!("a side may be at most {} pixels (limits.max_side)", self.side_max));
                let refused = (self.serve == Serve::None).then(|| "originals.serve is \"none\"".to_owned());
                Explanation::Original { object: seen(&self.originals, &key).await, key, hint, forbidden, refused }
            }
            Named::Variant(mut addressed) => {
                if matches!(signature, Ok(Signature::Valid { .. })) {
                    addressed.allowance = Allowance::Allowed;
                }
                let variant = self.explain_variant(addressed).await;
                Explanation::Variant(Box::new(ExplainedVariant { forbidden, ..variant }))
            }
        }
    }

    /// One page of the originals whose keys begin with `prefix` and come behind `after`.
    ///
    /// # Errors
    /// The originals' store does not list.
    pub async fn originals(&self, prefix: &str, after: Option<&str>) -> Result<ListPage, StoreError> {
        self.originals.list(prefix, after, PAGE_OBJECTS_MAX).await
    }

    async fn explain_variant(
        &self,
        Addressed { variant, literal, negotiable, allowance }: Addressed,
    ) -> ExplainedVariant {
        let key = variant.storage_key();
        let (original, stored) = tokio::join!(seen(&self.originals, &variant.original), seen(&self.variants, &key));
        let literal = match original {
            Ok(None) => Some((literal.clone(), seen(&self.originals, &literal).await)),
            Ok(Some(_)) | Err(_) => None,
        };
        let is_current = match (&original, &stored) {
            (Ok(Some(original)), Ok(Some(stored))) => self.maker.is_made_of(stored, original),
            _ => false,
        };
        let refused = original.as_ref().ok().and_then(Option::as_ref).and_then(|meta| self.maker.refusal(meta));
        let (snapped, disallowed) = match allowance {
            Allowance::Allowed => (None, None),
            Allowance::Snapped(to) => (Some(self.grammar.show(&to)), None),
            Allowance::Refused(nearest) => (None, Some(self.refused(&nearest).detail().to_owned())),
        };
        let negotiable = if negotiable { self.offers.iter().map(|offer| offer.extension()).collect() } else { vec![] };
        let canonical = self.grammar.show(&variant);
        ExplainedVariant {
            variant,
            canonical,
            forbidden: None,
            snapped,
            disallowed,
            original,
            literal,
            key,
            stored,
            is_current,
            negotiable,
            refused,
        }
    }
}

async fn seen(store: &Store, key: &ObjectKey) -> Seen {
    store.head(key).await.map_err(|error| chain(&error))
}
