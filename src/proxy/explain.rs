//! Explains which object a path names and what a request for it would find, without making a variant.

use super::error::RequestError;
use super::request::signature::SignaturePolicy;
use crate::config::{Config, Serve};
use crate::origin::{ObjectMeta, Store};
use crate::support::error_chain::chain;
use crate::variant::{
    AddressedVariant, Format, Grammar, GrammarError, NearMiss, ObjectKey, ParsedPath, Signature, SizeDecision, Variant,
};
use crate::variants::{Error, is_made_from, not_smaller_than};

/// Metadata of an object, `None` if it does not exist, or the error of the store.
pub type ObjectStatus = Result<Option<ObjectMeta>, String>;

/// Meaning of a path.
#[derive(Debug)]
pub enum Explanation {
    /// The path is invalid for this reason.
    Invalid(String),
    /// The path names an original.
    Original {
        key: ObjectKey,
        object: ObjectStatus,
        /// Why the path does not name a variant, although it resembles one that does.
        hint: Option<String>,
        /// Why the signature is not sufficient.
        forbidden: Option<String>,
        /// Why the original is not served although it exists.
        refused: Option<String>,
    },
    /// The path names a variant.
    Variant(Box<ExplainedVariant>),
}

/// A variant, and the state of the objects that a request for it would look up.
#[derive(Debug)]
pub struct ExplainedVariant {
    pub variant: Variant,
    pub canonical_path: String,
    /// Key of the variant in its store.
    pub key: ObjectKey,
    pub access: VariantAccess,
    pub original: ObjectStatus,
    /// The object with the literal name of the path, which is served if the original does not exist.
    pub literal: Option<(ObjectKey, ObjectStatus)>,
    pub stored: ObjectStatus,
    /// True if the stored variant was made from the current original.
    pub is_current: bool,
    /// Extensions of the formats that `Accept` may select instead.
    pub negotiable: Vec<&'static str>,
    /// The variants in negotiable formats that are made later.
    pub later: Vec<LateVariant>,
    /// Why the variant would not be made although its original exists.
    pub refused: Option<String>,
}

/// The state of a variant that is made later.
#[derive(Debug)]
pub struct LateVariant {
    pub format: Format,
    pub key: ObjectKey,
    pub stored: ObjectStatus,
    /// True if the stored variant was made from the current original.
    pub is_current: bool,
    /// The format that clients get instead, because its variant is not larger.
    pub not_smaller_than: Option<Format>,
}

/// Results of the checks that precede the lookup of a variant.
#[derive(Debug, Default)]
pub struct VariantAccess {
    /// Why the signature is not sufficient.
    pub forbidden: Option<String>,
    /// Path of the allowed size that requests are redirected to.
    pub redirected_to: Option<String>,
    /// Why the size is not allowed, if requests are not redirected.
    pub size_not_allowed: Option<String>,
}

/// Explains paths.
#[derive(Debug)]
pub struct Explainer {
    grammar: Grammar,
    signatures: SignaturePolicy,
    originals: Store,
    variants: Store,
    serve: Serve,
    immutable: bool,
    side_max: u16,
    original_bytes_max: u64,
}

impl Explainer {
    /// An explainer for the paths of `config` and its two stores.
    ///
    /// # Errors
    /// A setting of the URL grammar cannot be used.
    pub fn new(config: &Config, originals: Store, variants: Store) -> Result<Self, GrammarError> {
        Ok(Self {
            grammar: Grammar::new(config)?,
            signatures: SignaturePolicy::new(config),
            originals,
            variants,
            serve: config.originals.serve,
            immutable: config.originals.immutable,
            side_max: config.limits.max_side.get(),
            original_bytes_max: config.limits.original_bytes.as_u64(),
        })
    }

    /// Parses the path and query of a request and looks up the objects that it names.
    pub async fn explain(&self, target: &str) -> Explanation {
        let parsed = match self.grammar.parse(target) {
            Ok(parsed) => parsed,
            Err(error) => return Explanation::Invalid(error.to_string()),
        };
        let signature = self.signatures.verify(&parsed, target.split_once('?').map(|(_, query)| query));
        let forbidden = signature.as_ref().err().map(ToString::to_string);
        match parsed {
            ParsedPath::Object(key, hint) => {
                let hint = (hint == NearMiss::SideTooLarge)
                    .then(|| format!("a side may be at most {} pixels (limits.max_side)", self.side_max));
                let refused = (self.serve == Serve::None).then(|| "originals.serve is \"none\"".to_owned());
                Explanation::Original { object: status(&self.originals, &key).await, key, hint, forbidden, refused }
            }
            ParsedPath::Variant(mut addressed) => {
                if matches!(signature, Ok(Signature::Valid { .. })) {
                    addressed.size_decision = SizeDecision::Allowed;
                }
                Explanation::Variant(Box::new(self.explain_variant(addressed, forbidden).await))
            }
        }
    }

    async fn explain_variant(&self, addressed: AddressedVariant, forbidden: Option<String>) -> ExplainedVariant {
        let AddressedVariant { variant, literal_key: literal, negotiable, size_decision } = addressed;
        let access = VariantAccess { forbidden, ..self.explain_size_decision(size_decision) };
        let key = variant.storage_key();
        let (original, stored) = tokio::join!(status(&self.originals, &variant.original), status(&self.variants, &key));
        let literal = match original {
            Ok(None) => Some((literal.clone(), status(&self.originals, &literal).await)),
            Ok(Some(_)) | Err(_) => None,
        };
        let is_current = self.is_current(&original, &stored);
        let refused = original.as_ref().ok().and_then(Option::as_ref).and_then(|meta| self.refusal(meta));
        let offers = if negotiable { self.grammar.negotiated() } else { &[] };
        let later = self.explain_later(&variant, offers, &original).await;
        ExplainedVariant {
            canonical_path: self.grammar.canonical_path(&variant),
            variant,
            key,
            access,
            original,
            literal,
            stored,
            is_current,
            later,
            negotiable: offers.iter().map(|format| format.extension()).collect(),
            refused,
        }
    }

    async fn explain_later(&self, variant: &Variant, offers: &[Format], original: &ObjectStatus) -> Vec<LateVariant> {
        let mut later = Vec::new();
        let is_late = |format: &&Format| self.grammar.is_made_later(**format) && **format != variant.encoding.format();
        for format in offers.iter().filter(is_late) {
            let key = variant.with_format(*format, &self.grammar).storage_key();
            let stored = status(&self.variants, &key).await;
            let is_current = self.is_current(original, &stored);
            let not_smaller_than = stored.as_ref().ok().and_then(Option::as_ref).and_then(not_smaller_than);
            later.push(LateVariant { format: *format, key, stored, is_current, not_smaller_than });
        }
        later
    }

    fn is_current(&self, original: &ObjectStatus, stored: &ObjectStatus) -> bool {
        match (original, stored) {
            (Ok(Some(original)), Ok(Some(stored))) => self.immutable || is_made_from(stored, original),
            (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
        }
    }

    fn explain_size_decision(&self, decision: SizeDecision) -> VariantAccess {
        match decision {
            SizeDecision::Allowed => VariantAccess::default(),
            SizeDecision::RedirectTo(nearest) => {
                VariantAccess { redirected_to: Some(self.grammar.canonical_path(&nearest)), ..VariantAccess::default() }
            }
            SizeDecision::Refused(nearest) => {
                let error = RequestError::size_not_allowed(&self.grammar, &nearest);
                VariantAccess { size_not_allowed: Some(error.to_string()), ..VariantAccess::default() }
            }
        }
    }

    /// The reason why no variant of the original can be made, if its metadata shows one.
    fn refusal(&self, original: &ObjectMeta) -> Option<String> {
        let is_too_large = original.bytes > self.original_bytes_max;
        is_too_large.then(|| Error::original_too_large(original.bytes, self.original_bytes_max).to_string())
    }
}

async fn status(store: &Store, key: &ObjectKey) -> ObjectStatus {
    store.head(key).await.map_err(|error| chain(&error))
}
