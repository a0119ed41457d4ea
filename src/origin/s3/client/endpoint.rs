//! The URL of a bucket, and the region and service that requests to it are signed for.
//!
//! The rules are those of "Amazon S3 endpoints and quotas" and of the AWS SDKs: virtual hosts where the bucket's name allows, path
//! style elsewhere, access points and directory buckets at their own hosts.

use http::Uri;

/// A bucket as requests address it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct S3Endpoint {
    /// URL of the bucket, without a slash at its end.
    pub(super) url: String,
    /// Region and service of the signatures.
    pub(super) region: String,
    pub(super) service: &'static str,
}

/// The settings that the URL of a bucket depends on.
#[derive(Debug, Clone, Default)]
pub(super) struct EndpointSettings {
    /// URL of an S3 server; `None` for AWS.
    pub(super) url: Option<String>,
    pub(super) region: Option<String>,
    /// `endpoint/bucket/key` instead of `bucket.endpoint/key`.
    pub(super) path_style: bool,
    pub(super) fips: bool,
    pub(super) dual_stack: bool,
}

/// Suffixes of the names of directory buckets (S3 Express One Zone).
const DIRECTORY_BUCKET: &str = "--x-s3";

impl S3Endpoint {
    /// # Errors
    /// The reason why no request can be sent to `bucket`.
    pub(super) fn resolve(bucket: &str, settings: &EndpointSettings) -> Result<Self, String> {
        if let Some(arn) = bucket.strip_prefix("arn:") {
            return access_point(arn, settings);
        }
        let region = settings.region.clone().ok_or("no region: set s3.region or AWS_REGION")?;
        if bucket.ends_with(DIRECTORY_BUCKET) {
            return directory_bucket(bucket, region, settings);
        }
        let base = match &settings.url {
            Some(url) => BaseUrl::parse(url)?,
            None => BaseUrl { scheme: "https".into(), host: aws_host("s3", &region, settings), path: String::new() },
        };
        // Certificates are for one label, so names with dots are only virtual hosts without TLS.
        let is_virtual = !settings.path_style && !base.is_ip_address() && is_host_label(bucket, base.scheme == "http");
        let url = if is_virtual { base.with_label(bucket) } else { format!("{}/{bucket}", base.with_no_label()) };
        // The name of the global endpoint is not the region that it is signed for.
        let region = if region == "aws-global" { "us-east-1".to_owned() } else { region };
        Ok(Self { url, region, service: "s3" })
    }
}

/// The endpoint of `arn:partition:service:region:account:accesspoint:name`, whose text after `arn:` is `arn`.
fn access_point(arn: &str, settings: &EndpointSettings) -> Result<S3Endpoint, String> {
    let unknown = || format!("the ARN arn:{arn} does not name an access point of S3");
    let parts: Vec<_> = arn.split([':', '/']).collect();
    let [_partition, service, region, account, rest @ ..] = parts.as_slice() else { return Err(unknown()) };
    let (service, host) = match (*service, rest) {
        ("s3", ["accesspoint", name]) => ("s3", ("s3-accesspoint".to_owned(), name)),
        ("s3-object-lambda", ["accesspoint", name]) => ("s3-object-lambda", ("s3-object-lambda".to_owned(), name)),
        ("s3-outposts", ["outpost", outpost, "accesspoint", name]) => {
            ("s3-outposts", (format!("{outpost}.s3-outposts"), name))
        }
        _ => return Err(unknown()),
    };
    if region.is_empty() {
        return Err("a multi-region access point needs signatures of version 4A, which are not supported".to_owned());
    }
    let (host, name) = host;
    if account.is_empty() || !is_host_label(name, false) {
        return Err(unknown());
    }
    let base = match &settings.url {
        Some(url) => BaseUrl::parse(url)?,
        None => BaseUrl { scheme: "https".into(), host: aws_host(&host, region, settings), path: String::new() },
    };
    Ok(S3Endpoint { url: base.with_label(&format!("{name}-{account}")), region: (*region).to_owned(), service })
}

/// A directory bucket `name--zone--x-s3` is reached in its availability zone.
fn directory_bucket(bucket: &str, region: String, settings: &EndpointSettings) -> Result<S3Endpoint, String> {
    let zone = bucket.strip_suffix(DIRECTORY_BUCKET).and_then(|name| name.rsplit_once("--")).map(|(_, zone)| zone);
    let zone = zone.ok_or_else(|| format!("the name of the directory bucket {bucket} has no zone"))?;
    let fips = if settings.fips { "-fips" } else { "" };
    let base = match &settings.url {
        Some(url) => BaseUrl::parse(url)?,
        None => {
            let host = format!("s3express{fips}-{zone}.{region}.{}", dns_suffix(&region));
            BaseUrl { scheme: "https".into(), host, path: String::new() }
        }
    };
    let is_path_style = settings.path_style || base.is_ip_address();
    let url = if is_path_style { format!("{}/{bucket}", base.with_no_label()) } else { base.with_label(bucket) };
    Ok(S3Endpoint { url, region, service: "s3express" })
}

fn aws_host(service: &str, region: &str, settings: &EndpointSettings) -> String {
    if region == "aws-global" {
        return format!("{service}.{}", dns_suffix(region));
    }
    let fips = if settings.fips { "-fips" } else { "" };
    let dual_stack = if settings.dual_stack { ".dualstack" } else { "" };
    format!("{service}{fips}{dual_stack}.{region}.{}", dns_suffix(region))
}

/// The domain of a region's partition (the AWS SDKs' partitions.json).
fn dns_suffix(region: &str) -> &'static str {
    let suffixes = [
        ("cn-", "amazonaws.com.cn"),
        ("eusc-", "amazonaws.eu"),
        ("us-iso-", "c2s.ic.gov"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("eu-isoe-", "cloud.adc-e.uk"),
        ("us-isof-", "csp.hci.ic.gov"),
    ];
    suffixes.into_iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("amazonaws.com", |(_, suffix)| suffix)
}

/// The URL of an S3 server, taken apart.
struct BaseUrl {
    scheme: String,
    /// With the port, if there is one.
    host: String,
    /// Empty, or starts with a slash and does not end with one.
    path: String,
}

impl BaseUrl {
    fn parse(url: &str) -> Result<Self, String> {
        let invalid = || format!("s3.endpoint: {url:?} is not an http or https URL");
        let uri: Uri = url.parse().map_err(|_| invalid())?;
        match (uri.scheme_str(), uri.authority()) {
            (Some(scheme @ ("http" | "https")), Some(authority)) if uri.query().is_none() => Ok(Self {
                scheme: scheme.to_owned(),
                host: authority.as_str().to_owned(),
                path: uri.path().trim_end_matches('/').to_owned(),
            }),
            _ => Err(invalid()),
        }
    }

    fn with_label(&self, label: &str) -> String {
        format!("{}://{label}.{}{}", self.scheme, self.host, self.path)
    }

    fn with_no_label(&self) -> String {
        format!("{}://{}{}", self.scheme, self.host, self.path)
    }

    /// An IP address has no subdomains.
    fn is_ip_address(&self) -> bool {
        self.host.parse::<std::net::SocketAddr>().is_ok()
            || self.host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
    }
}

/// True if `name` can be the first label of a host, or several labels if `with_dots`.
fn is_host_label(name: &str, with_dots: bool) -> bool {
    let is_label = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        label.bytes().all(is_inner) && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_name = if with_dots { name.split('.').all(is_label) } else { is_label(name) };
    is_name && (3..=63).contains(&name.len()) && name.parse::<std::net::Ipv4Addr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, region: &str, path_style: bool) -> EndpointSettings {
        let url = Some(url.to_owned()).filter(|url| !url.is_empty());
        EndpointSettings { url, region: Some(region.to_owned()), path_style, ..Default::default() }
    }

    fn endpoint(url: &str, region: &str, path_style: bool, bucket: &str) -> Result<S3Endpoint, String> {
        S3Endpoint::resolve(bucket, &settings(url, region, path_style))
    }

    #[test]
    fn a_bucket_is_a_virtual_host_or_a_path_as_its_name_and_the_endpoint_allow() {
        let table = [
            ("", false, "pictures", "https://pictures.s3.eu-west-1.amazonaws.com"),
            ("", true, "pictures", "https://s3.eu-west-1.amazonaws.com/pictures"),
            // Certificates are for one label.
            ("", false, "my.pictures", "https://s3.eu-west-1.amazonaws.com/my.pictures"),
            ("", false, "My_Pictures", "https://s3.eu-west-1.amazonaws.com/My_Pictures"),
            ("https://s3.example.com", false, "pictures", "https://pictures.s3.example.com"),
            ("https://s3.example.com/base/", true, "pictures", "https://s3.example.com/base/pictures"),
            ("http://localhost:9000/base", true, "my.pictures", "http://localhost:9000/base/my.pictures"),
            ("http://localhost:9000/base", false, "my.pictures", "http://my.pictures.localhost:9000/base"),
            ("http://localhost:9000/base", false, "pictures", "http://pictures.localhost:9000/base"),
            ("http://127.0.0.1:8333", false, "pictures", "http://127.0.0.1:8333/pictures"),
            ("http://127.0.0.1", false, "pictures", "http://127.0.0.1/pictures"),
            ("http://[::1]:8333", false, "pictures", "http://[::1]:8333/pictures"),
        ];
        for (url, path_style, bucket, expected) in table {
            let endpoint = endpoint(url, "eu-west-1", path_style, bucket).unwrap();
            let found = (endpoint.url.as_str(), endpoint.region.as_str(), endpoint.service);
            assert_eq!(found, (expected, "eu-west-1", "s3"), "{url} {bucket}");
        }
    }

    #[test]
    fn hosts_of_aws_depend_on_the_partition_and_on_fips_and_dual_stack() {
        let url = |region: &str, fips, dual_stack| {
            let settings = EndpointSettings { fips, dual_stack, ..settings("", region, false) };
            S3Endpoint::resolve("pictures", &settings).unwrap()
        };
        assert_eq!(url("cn-north-1", false, false).url, "https://pictures.s3.cn-north-1.amazonaws.com.cn");
        assert_eq!(url("us-gov-west-1", true, false).url, "https://pictures.s3-fips.us-gov-west-1.amazonaws.com");
        assert_eq!(url("us-east-2", true, true).url, "https://pictures.s3-fips.dualstack.us-east-2.amazonaws.com");
        let global = url("aws-global", false, false);
        assert_eq!((global.url.as_str(), global.region.as_str()), ("https://pictures.s3.amazonaws.com", "us-east-1"));
    }

    #[test]
    fn an_access_point_has_a_host_in_its_own_region() {
        let table = [
            (
                "arn:aws:s3:us-west-2:123456789012:accesspoint:cats",
                "https://cats-123456789012.s3-accesspoint.us-west-2.amazonaws.com",
                "s3",
            ),
            (
                "arn:aws:s3:us-west-2:123456789012:accesspoint/cats",
                "https://cats-123456789012.s3-accesspoint.us-west-2.amazonaws.com",
                "s3",
            ),
            (
                "arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/cats",
                "https://cats-123456789012.s3-object-lambda.us-west-2.amazonaws.com",
                "s3-object-lambda",
            ),
            (
                "arn:aws:s3-outposts:us-west-2:123456789012:outpost:op-01234567890123456:accesspoint:cats",
                "https://cats-123456789012.op-01234567890123456.s3-outposts.us-west-2.amazonaws.com",
                "s3-outposts",
            ),
        ];
        for (bucket, url, service) in table {
            let endpoint = endpoint("", "eu-west-1", false, bucket).unwrap();
            let expected = S3Endpoint { url: url.into(), region: "us-west-2".into(), service };
            assert_eq!(endpoint, expected);
        }
    }

    #[test]
    fn a_directory_bucket_has_a_host_in_its_zone_and_a_service_of_its_own() {
        let endpoint = endpoint("", "us-east-1", false, "pictures--use1-az4--x-s3").unwrap();
        assert_eq!(endpoint.url, "https://pictures--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com");
        assert_eq!(endpoint.service, "s3express");
    }

    #[test]
    fn an_unusable_bucket_or_endpoint_is_refused_with_the_reason() {
        let table = [
            ("", "arn:aws:s3:us-west-2:123456789012:cats", "ARN"),
            ("", "arn:aws:s3::123456789012:accesspoint:c.mrap", "4A"),
            ("", "--x-s3", "zone"),
            ("s3.example.com", "pictures", "s3.endpoint"),
            ("ftp://s3.example.com", "pictures", "s3.endpoint"),
        ];
        for (url, bucket, reason) in table {
            let error = endpoint(url, "eu-west-1", false, bucket).unwrap_err();
            assert!(error.contains(reason), "{bucket}: {error}");
        }
        let error = S3Endpoint::resolve("pictures", &EndpointSettings::default()).unwrap_err();
        assert!(error.contains("s3.region"), "{error}");
    }
}
