//! Causes of errors that a code of S3 identifies, and how to fix each.

/// Why S3 refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The object is in a storage class that must be restored before it can be read.
    Archived,
    /// The credentials may not use the KMS key of the object.
    KeyDenied,
    /// The KMS key is disabled or deleted.
    KeyUnusable,
    WrongSecret,
    UnknownAccessKey,
    ExpiredCredentials,
    ClockSkew,
    NoBucket,
    WrongRegion,
    Throttled,
}

impl Cause {
    /// The cause of an error response; `None` if the code does not identify one. A denied use of a KMS key has the code
    /// of every other denial, and its message names the permission.
    pub(super) fn of(status: u16, code: Option<&str>, message: &str) -> Option<Self> {
        match code {
            Some("InvalidObjectState" | "ObjectNotInActiveTierError") => Some(Self::Archived),
            Some("AccessDenied") if message.contains("kms:") => Some(Self::KeyDenied),
            Some("KMS.AccessDeniedException") => Some(Self::KeyDenied),
            Some(code) if code.starts_with("KMS.") => Some(Self::KeyUnusable),
            Some("SignatureDoesNotMatch") => Some(Self::WrongSecret),
            Some("InvalidAccessKeyId") => Some(Self::UnknownAccessKey),
            Some("ExpiredToken" | "ExpiredTokenException" | "InvalidToken" | "TokenRefreshRequired") => {
                Some(Self::ExpiredCredentials)
            }
            Some("RequestTimeTooSkewed") => Some(Self::ClockSkew),
            Some("NoSuchBucket") => Some(Self::NoBucket),
            Some("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
                Some(Self::WrongRegion)
            }
            Some("SlowDown" | "ServiceUnavailable" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded") => {
                Some(Self::Throttled)
            }
            // The response to a HEAD request has no code.
            None if matches!(status, 301 | 307) => Some(Self::WrongRegion),
            None if status == 429 => Some(Self::Throttled),
            Some(_) | None => None,
        }
    }

    /// How to fix the cause. `region` is the region of the bucket, if S3 named it.
    pub(super) fn advice(self, region: Option<&str>) -> String {
        let advice = match self {
            Self::Archived => {
                "the object is in an archive storage class: restore it (aws s3api restore-object), and keep originals in a class \
                 that can be read at once"
            }
            Self::KeyDenied => {
                "the object is encrypted with a KMS key: grant these credentials kms:Decrypt on the key, and kms:GenerateDataKey \
                 if they write"
            }
            Self::KeyUnusable => "the KMS key of the object cannot be used: enable it, or cancel its deletion",
            Self::WrongSecret => {
                "the secret does not belong to the access key, or a proxy before the store changes requests: check \
                 AWS_SECRET_ACCESS_KEY, s3.endpoint and s3.region"
            }
            Self::UnknownAccessKey => "the store does not know the access key: check AWS_ACCESS_KEY_ID and s3.endpoint",
            Self::ExpiredCredentials => "the session token is invalid or has expired: renew the credentials",
            Self::ClockSkew => "synchronize the clock of this machine with NTP",
            Self::NoBucket => "create the bucket, or correct its name in the address of the store, or s3.endpoint",
            Self::WrongRegion => {
                return match region {
                    Some(region) => format!("the bucket is in another region: set s3.region = \"{region}\""),
                    None => "the bucket is in another region: set s3.region to it".to_owned(),
                };
            }
            Self::Throttled => {
                "the store limits the rate of requests: lower s3.concurrency, or raise the limit of the store"
            }
        };
        advice.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_specific_advice() {
        let table = [
            (403, "InvalidObjectState", "restore-object"),
            (403, "KMS.DisabledException", "enable it"),
            (400, "KMS.KMSInvalidStateException", "enable it"),
            (403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
            (403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
            (400, "ExpiredToken", "renew"),
            (403, "RequestTimeTooSkewed", "NTP"),
            (404, "NoSuchBucket", "create the bucket"),
            (301, "PermanentRedirect", "s3.region"),
            (400, "AuthorizationHeaderMalformed", "s3.region"),
            (503, "SlowDown", "s3.concurrency"),
        ];
        for (status, code, expected) in table {
            let advice = Cause::of(status, Some(code), "").unwrap().advice(None);
            assert!(advice.contains(expected), "{code}: {advice}");
        }
        let denied = "User: arn:aws:iam::1:user/u is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:k";
        assert_eq!(Cause::of(403, Some("AccessDenied"), denied), Some(Cause::KeyDenied));
        assert_eq!(Cause::of(403, Some("AccessDenied"), "Access Denied"), None);
        assert_eq!(Cause::of(404, Some("NoSuchKey"), ""), None);
        assert!(Cause::WrongRegion.advice(Some("eu-west-1")).contains("s3.region = \"eu-west-1\""));
    }
}
