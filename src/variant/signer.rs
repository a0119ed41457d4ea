//! Signed paths: a signature made with a key permits a path, optionally until a time. docs/SIGNING.md describes the format.

use percent_encoding::percent_decode_str;
use ring::hmac;

use super::ObjectKey;
use crate::config;
use crate::support::hex;

/// Signs paths and verifies signatures.
pub struct Signer {
    /// At least one key. The first one signs.
    keys: Vec<hmac::Key>,
}

/// The signature in a query string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// The path is not signed.
    None,
    /// The path is signed, until the Unix time `expires` if it is given.
    Valid { expires: Option<u64> },
}

/// Reasons to refuse a signature. The messages tell clients what to fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error(
        "the signature of the URL is wrong: sign its decoded path, a line feed and expires, with a key of this server"
    )]
    Wrong,
    #[error("the signature of the URL has expired: request a new one")]
    Expired,
    #[error(
        "a signed URL must have signature and expires at most once in its query, and expires in seconds since 1970"
    )]
    Malformed,
}

/// Query parameters. All others are ignored.
const SIGNATURE: &str = "signature";
const EXPIRES: &str = "expires";

impl Signer {
    /// Creates a signer. Returns `None` if `signing.keys` is empty.
    #[must_use]
    pub fn new(signing: &config::Signing) -> Option<Self> {
        let keys: Vec<_> = signing.keys().map(|key| hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes())).collect();
        (!keys.is_empty()).then_some(Self { keys })
    }

    /// Returns the query that signs the path of `key`: `expires=1767225600&signature=...`.
    #[must_use]
    pub fn query(&self, key: &ObjectKey, expires: Option<u64>) -> String {
        let mut query = expires.map(|seconds| format!("{EXPIRES}={seconds}&")).unwrap_or_default();
        query.push_str(SIGNATURE);
        query.push('=');
        let signature =
            self.keys.first().map(|signing_key| hmac::sign(signing_key, signed_text(key, expires).as_bytes()));
        query.extend(signature.map(|signature| hex::encode(signature.as_ref())));
        query
    }

    /// Verifies the signature in `query` for the path of `key` at the Unix time `now`, in constant time.
    ///
    /// # Errors
    /// The signature is wrong, malformed or expired.
    pub fn verify(&self, key: &ObjectKey, query: Option<&str>, now: u64) -> Result<Signature, SignatureError> {
        let (mut signature, mut expires) = (None, None);
        for (name, value) in query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')) {
            let place = match name {
                SIGNATURE => &mut signature,
                EXPIRES => &mut expires,
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(SignatureError::Malformed);
            }
        }
        let Some(signature) = signature else { return Ok(Signature::None) };
        let expires = expires.map(seconds).transpose()?;
        let signature = hex::decode::<32>(signature).ok_or(SignatureError::Wrong)?;
        let signed = signed_text(key, expires);
        if !self.keys.iter().any(|key| hmac::verify(key, signed.as_bytes(), &signature).is_ok()) {
            return Err(SignatureError::Wrong);
        }
        match expires {
            Some(expires) if expires < now => Err(SignatureError::Expired),
            expires => Ok(Signature::Valid { expires }),
        }
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

/// The signed text. Keys contain no line feed, so a path cannot imitate another path with an expiry.
fn signed_text(key: &ObjectKey, expires: Option<u64>) -> String {
    let expires = expires.map(|seconds| seconds.to_string()).unwrap_or_default();
    format!("/{key}\n{expires}")
}

/// Parses a Unix time. Accepts only its canonical spelling, so that each signature belongs to one query.
fn seconds(text: &str) -> Result<u64, SignatureError> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_number).ok_or(SignatureError::Malformed)
}

/// A URL that is about to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlToSign {
    /// The key that the path of the URL names.
    pub key: ObjectKey,
    /// The URL without signature and fragment, ending in `?` or `&`. The query of [`Signer::query`] is appended to it.
    pub prefix: String,
}

impl UrlToSign {
    /// Parses a URL or a path.
    ///
    /// # Errors
    /// The URL is invalid. The error is advice for the operator.
    pub fn parse(url: &str) -> Result<Self, String> {
        let url = url.split_once('#').map_or(url, |(url, _)| url);
        let (before, query) = url.split_once('?').unwrap_or((url, ""));
        let path = match before.split_once("://") {
            Some((_, rest)) => rest.find('/').and_then(|slash| rest.get(slash..)),
            None => Some(before),
        };
        let path =
            path.and_then(|path| path.strip_prefix('/')).ok_or("write a URL, or a path that starts with a slash")?;
        let path = percent_decode_str(path).decode_utf8().map_err(|_| "the path is not UTF-8 once percent-decoded")?;
        let key = ObjectKey::new(&path).map_err(|error| error.to_string())?;
        let others: Vec<_> = query
            .split('&')
            .filter(|pair| !pair.is_empty() && !matches!(pair.split_once('='), Some((SIGNATURE | EXPIRES, _))))
            .collect();
        let prefix = if others.is_empty() { format!("{before}?") } else { format!("{before}?{}&", others.join("&")) };
        Ok(Self { key, prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "0123456789abcdef0123456789abcdef";
    const NEW: &str = "fedcba9876543210fedcba9876543210";

    fn signer(keys: &str) -> Signer {
        Signer::new(&config::Signing { keys: keys.into(), ..Default::default() }).unwrap()
    }

    fn key(text: &str) -> ObjectKey {
        ObjectKey::new(text).unwrap()
    }

    #[test]
    fn signatures_match_the_test_vectors_in_the_docs() {
        let docs = include_str!("../../docs/SIGNING.md");
        let rows: Vec<Vec<_>> = docs
            .lines()
            .filter(|line| line.starts_with("| `/"))
            .map(|line| line.split('|').map(|cell| cell.trim().trim_matches('`')).collect())
            .collect();
        assert!(rows.len() >= 4, "the table was not found");
        for row in rows {
            let (path, expires, signature) = (row[1], row[2].parse().ok(), row[3]);
            assert!(
                signer(OLD).query(&key(&path[1..]), expires).ends_with(&format!("signature={signature}")),
                "{path}"
            );
        }
    }

    #[test]
    fn a_signature_is_valid_for_its_path_and_time_with_any_of_the_keys_only() {
        let (old, both) = (signer(OLD), signer(&format!("{NEW},{OLD}")));
        let cat = key("cat_300x.jpg");
        let check = |signer: &Signer, key: &ObjectKey, query: &str, now| signer.verify(key, Some(query), now);
        let (plain, dated) = (old.query(&cat, None), old.query(&cat, Some(1000)));
        assert_eq!(check(&both, &cat, &plain, 5), Ok(Signature::Valid { expires: None }));
        assert_eq!(check(&both, &cat, &format!("v=1&{plain}&w"), 5), Ok(Signature::Valid { expires: None }));
        assert_eq!(check(&both, &cat, &dated, 1000), Ok(Signature::Valid { expires: Some(1000) }));
        assert_eq!(check(&both, &cat, &dated, 1001), Err(SignatureError::Expired));
        assert_eq!(check(&old, &cat, &both.query(&cat, None), 5), Err(SignatureError::Wrong), "the first key signs");
        assert_eq!(check(&old, &key("cat_301x.jpg"), &plain, 5), Err(SignatureError::Wrong));
        assert_eq!(check(&old, &cat, &dated.replace("1000", "1001"), 5), Err(SignatureError::Wrong));
        assert_eq!(check(&old, &cat, &dated.replace("expires=1000&", ""), 5), Err(SignatureError::Wrong));
        assert_eq!(check(&old, &cat, &format!("expires=9&{plain}"), 5), Err(SignatureError::Wrong));
        for query in ["signature=", "signature=zz", &plain[..plain.len() - 1], &format!("{plain}0")] {
            assert_eq!(check(&old, &cat, query, 5), Err(SignatureError::Wrong), "{query}");
        }
        let doubled = [format!("{plain}&{plain}"), format!("expires=1&{dated}"), dated.replace("1000", "01000")];
        for query in doubled.iter().chain([&dated.replace("1000", ""), &dated.replace("1000", "+1000")]) {
            assert_eq!(check(&old, &cat, query, 5), Err(SignatureError::Malformed), "{query}");
        }
        for query in [None, Some(""), Some("v=1&expires=5"), Some("signature")] {
            assert_eq!(old.verify(&cat, query, 5), Ok(Signature::None));
        }
    }

    #[test]
    fn a_url_is_signed_by_its_decoded_path() {
        for (url, path, rest) in [
            ("/a%20b_300x.jpg", "a b_300x.jpg", "/a%20b_300x.jpg?"),
            ("https://img.example.com/a_1x.jpg?v=2#top", "a_1x.jpg", "https://img.example.com/a_1x.jpg?v=2&"),
            ("/a_1x.jpg?signature=0&v=2&expires=1", "a_1x.jpg", "/a_1x.jpg?v=2&"),
        ] {
            assert_eq!(UrlToSign::parse(url), Ok(UrlToSign { key: key(path), prefix: rest.into() }));
        }
        for url in ["a.jpg", "https://img.example.com", "/", "/%ff", "/a/../b"] {
            assert!(UrlToSign::parse(url).is_err(), "{url}");
        }
    }
}
