# CloudFront. The cache key is the path, with the signature of the query and the Accept header only if the settings need them.

locals {
  domain   = length(var.aliases) > 0 ? var.aliases[0] : aws_cloudfront_distribution.pictures.domain_name
  redirect = var.mode == "redirect"
  signed   = var.signing_keys_secret_arn != ""

  # The parts of the bucket that CloudFront reads.
  public_prefixes = concat(var.bucket_first ? ["originals"] : [], local.redirect ? ["variants"] : [])
}

resource "aws_cloudfront_cache_policy" "pictures" {
  name    = "${var.name}-pictures"
  comment = "The Cache-Control of resized decides"
  min_ttl = 0
  # For objects of the bucket that have no Cache-Control. resized always sends one.
  default_ttl = 3600
  max_ttl     = 31536000

  parameters_in_cache_key_and_forwarded_to_origin {
    cookies_config {
      cookie_behavior = "none"
    }
    headers_config {
      header_behavior = length(var.negotiate) > 0 ? "whitelist" : "none"
      dynamic "headers" {
        for_each = length(var.negotiate) > 0 ? [1] : []
        content {
          items = ["Accept"]
        }
      }
    }
    query_strings_config {
      query_string_behavior = local.signed ? "whitelist" : "none"
      dynamic "query_strings" {
        for_each = local.signed ? [1] : []
        content {
          items = ["expires", "signature"]
        }
      }
    }
    enable_accept_encoding_brotli = false
    enable_accept_encoding_gzip   = false
  }
}

# The target of a redirect has the version of the variant in its query, so a replaced variant never matches a stale copy.
resource "aws_cloudfront_cache_policy" "variants" {
  count       = local.redirect ? 1 : 0
  name        = "${var.name}-variants"
  min_ttl     = 0
  default_ttl = 3600
  max_ttl     = 31536000

  parameters_in_cache_key_and_forwarded_to_origin {
    cookies_config {
      cookie_behavior = "none"
    }
    headers_config {
      header_behavior = "none"
    }
    query_strings_config {
      query_string_behavior = "whitelist"
      query_strings {
        items = ["v"]
      }
    }
    enable_accept_encoding_brotli = false
    enable_accept_encoding_gzip   = false
  }
}

# Origin and the headers of preflight requests are forwarded but are not part of the key.
data "aws_cloudfront_origin_request_policy" "cors" {
  name = "Managed-CORS-S3Origin"
}

# Headers that resized sends and the bucket does not.
resource "aws_cloudfront_response_headers_policy" "bucket" {
  count = length(local.public_prefixes) > 0 ? 1 : 0
  name  = "${var.name}-bucket"

  security_headers_config {
    content_type_options {
      override = false
    }
    # Originals are untrusted, so scripts in them must not run.
    content_security_policy {
      content_security_policy = "default-src 'none'; sandbox"
      override                = false
    }
  }

  cors_config {
    access_control_allow_credentials = false
    origin_override                  = false
    access_control_allow_headers {
      items = ["*"]
    }
    access_control_allow_methods {
      items = ["GET", "HEAD"]
    }
    access_control_allow_origins {
      items = ["*"]
    }
  }

  custom_headers_config {
    items {
      header   = "Cross-Origin-Resource-Policy"
      value    = "cross-origin"
      override = false
    }
    items {
      header   = "Cache-Control"
      value    = "public, max-age=3600"
      override = false
    }
  }
}

resource "aws_cloudfront_function" "accept" {
  count   = length(var.negotiate) > 0 ? 1 : 0
  name    = "${var.name}-accept"
  runtime = "cloudfront-js-2.0"
  comment = "Of Accept no more than AVIF and WebP"
  code    = file("${path.module}/accept.js")
  publish = true
}

resource "aws_cloudfront_origin_access_control" "bucket" {
  count                             = length(local.public_prefixes) > 0 ? 1 : 0
  name                              = "${var.name}-bucket"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

# Connects CloudFront to the network. The proxy cannot be reached in any other way.
resource "aws_cloudfront_vpc_origin" "proxy" {
  vpc_origin_endpoint_config {
    name                   = "${var.name}-proxy"
    arn                    = aws_lb.proxy.arn
    http_port              = 80
    https_port             = 443
    origin_protocol_policy = "http-only"
    origin_ssl_protocols {
      items    = ["TLSv1.2"]
      quantity = 1
    }
  }
}

resource "aws_cloudfront_distribution" "pictures" {
  enabled         = true
  comment         = var.name
  aliases         = var.aliases
  http_version    = "http2and3"
  is_ipv6_enabled = true
  price_class     = var.price_class

  origin {
    origin_id   = "proxy"
    domain_name = aws_lb.proxy.dns_name
    vpc_origin_config {
      vpc_origin_id = aws_cloudfront_vpc_origin.proxy.id
      # The maximum of CloudFront. Making a variant may take work.flight_time (1m).
      origin_read_timeout = 60
      # Must be shorter than the idle_timeout of the load balancer.
      origin_keepalive_timeout = 60
    }
  }

  # One origin adds the prefix originals/, which URLs do not have. The other serves variants/, where redirects lead.
  dynamic "origin" {
    for_each = local.public_prefixes
    content {
      origin_id                = origin.value
      domain_name              = aws_s3_bucket.pictures.bucket_regional_domain_name
      origin_path              = origin.value == "originals" ? "/originals" : ""
      origin_access_control_id = aws_cloudfront_origin_access_control.bucket[0].id
    }
  }

  # The bucket first, then the proxy for missing objects.
  dynamic "origin_group" {
    for_each = var.bucket_first ? [1] : []
    content {
      origin_id = "bucket-first"
      failover_criteria {
        status_codes = [403, 404]
      }
      member {
        origin_id = "originals"
      }
      member {
        origin_id = "proxy"
      }
    }
  }

  default_cache_behavior {
    target_origin_id           = var.bucket_first ? "bucket-first" : "proxy"
    viewer_protocol_policy     = "redirect-to-https"
    allowed_methods            = ["GET", "HEAD", "OPTIONS"]
    cached_methods             = ["GET", "HEAD"]
    compress                   = false
    cache_policy_id            = aws_cloudfront_cache_policy.pictures.id
    origin_request_policy_id   = data.aws_cloudfront_origin_request_policy.cors.id
    response_headers_policy_id = var.bucket_first ? aws_cloudfront_response_headers_policy.bucket[0].id : null

    dynamic "function_association" {
      for_each = aws_cloudfront_function.accept
      content {
        event_type   = "viewer-request"
        function_arn = function_association.value.arn
      }
    }
  }

  dynamic "ordered_cache_behavior" {
    for_each = local.redirect ? [1] : []
    content {
      path_pattern               = "/variants/*"
      target_origin_id           = "variants"
      viewer_protocol_policy     = "redirect-to-https"
      allowed_methods            = ["GET", "HEAD", "OPTIONS"]
      cached_methods             = ["GET", "HEAD"]
      compress                   = false
      cache_policy_id            = aws_cloudfront_cache_policy.variants[0].id
      origin_request_policy_id   = data.aws_cloudfront_origin_request_policy.cors.id
      response_headers_policy_id = aws_cloudfront_response_headers_policy.bucket[0].id
    }
  }

  # By default CloudFront caches errors for ten seconds, even with no-store. That is too long for a task that is overloaded for one second.
  dynamic "custom_error_response" {
    for_each = [500, 502, 503, 504]
    content {
      error_code            = custom_error_response.value
      error_caching_min_ttl = 1
    }
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    cloudfront_default_certificate = var.certificate_arn == ""
    acm_certificate_arn            = var.certificate_arn == "" ? null : var.certificate_arn
    ssl_support_method             = var.certificate_arn == "" ? null : "sni-only"
    minimum_protocol_version       = var.certificate_arn == "" ? "TLSv1" : "TLSv1.2_2021"
  }
}
