# The bucket, with originals below originals/ and variants below variants/. Only the proxy and, in some recipes, CloudFront can read it.

resource "aws_s3_bucket" "pictures" {
  bucket = var.bucket
}

resource "aws_s3_bucket_public_access_block" "pictures" {
  bucket                  = aws_s3_bucket.pictures.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "pictures" {
  bucket = aws_s3_bucket.pictures.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

# The lifecycle rules of docs/S3.md.
resource "aws_s3_bucket_lifecycle_configuration" "pictures" {
  bucket = aws_s3_bucket.pictures.id

  rule {
    id     = "old variants"
    status = "Enabled"
    filter {
      prefix = "variants/"
    }
    expiration {
      days = var.variants_expire_days
    }
  }

  rule {
    id     = "uploads that were never completed"
    status = "Enabled"
    filter {
      prefix = "originals/.resized-incoming/"
    }
    expiration {
      days = 1
    }
  }

  rule {
    id     = "abandoned uploads"
    status = "Enabled"
    filter {
      prefix = ""
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

data "aws_iam_policy_document" "bucket" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.pictures.arn, "${aws_s3_bucket.pictures.arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  # The objects that this distribution may read. Without s3:ListBucket, S3 responds to a missing key with 403 instead of 404, which is
  # handled the same way.
  dynamic "statement" {
    for_each = local.public_prefixes
    content {
      sid       = "CloudFront${title(statement.value)}"
      actions   = ["s3:GetObject"]
      resources = ["${aws_s3_bucket.pictures.arn}/${statement.value}/*"]
      principals {
        type        = "Service"
        identifiers = ["cloudfront.amazonaws.com"]
      }
      condition {
        test     = "StringEquals"
        variable = "aws:SourceArn"
        values   = [aws_cloudfront_distribution.pictures.arn]
      }
    }
  }

  # Keys that start with this prefix are internal: unchecked uploads and the outbox.
  statement {
    sid       = "NothingOfTheProxysOwn"
    effect    = "Deny"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.pictures.arn}/*/.resized*"]
    principals {
      type        = "Service"
      identifiers = ["cloudfront.amazonaws.com"]
    }
  }
}

resource "aws_s3_bucket_policy" "pictures" {
  bucket     = aws_s3_bucket.pictures.id
  policy     = data.aws_iam_policy_document.bucket.json
  depends_on = [aws_s3_bucket_public_access_block.pictures]
}

# Traffic to S3 through the gateway endpoint is free.
resource "aws_vpc_endpoint" "s3" {
  count             = length(var.route_table_ids) > 0 ? 1 : 0
  vpc_id            = var.vpc_id
  service_name      = "com.amazonaws.${data.aws_region.here.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.route_table_ids
}
