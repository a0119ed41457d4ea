# Checks the plans of the recipes without an account: terraform test.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_vpc" {
    defaults = { cidr_block = "10.0.0.0/16" }
  }
}

variables {
  bucket                 = "my-pictures"
  image                  = "registry.example.com/resized:0.1.0"
  vpc_id                 = "vpc-1"
  private_subnet_ids     = ["subnet-1", "subnet-2"]
  admin_token_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:resized-admin-token"
}

run "the_proxy_is_the_origin" {
  command = apply

  assert {
    condition     = aws_cloudfront_distribution.pictures.default_cache_behavior[0].target_origin_id == "proxy"
    error_message = "The proxy is not the origin."
  }
  assert {
    condition     = length(aws_cloudfront_distribution.pictures.origin) == 1 && length(aws_cloudfront_distribution.pictures.origin_group) == 0
    error_message = "There is another origin than the proxy."
  }
  assert {
    condition = alltrue([for in_key in aws_cloudfront_cache_policy.pictures.parameters_in_cache_key_and_forwarded_to_origin :
      in_key.query_strings_config[0].query_string_behavior == "none" && in_key.headers_config[0].header_behavior == "none"
    ])
    error_message = "The cache key is not the path alone."
  }
  assert {
    condition     = length(aws_cloudfront_function.accept) == 0
    error_message = "There is a function for Accept although Accept is not forwarded."
  }
}

run "the_bucket_is_asked_first" {
  command = apply

  variables {
    bucket_first = true
  }

  assert {
    condition     = aws_cloudfront_distribution.pictures.default_cache_behavior[0].target_origin_id == "bucket-first"
    error_message = "The origin group is not used."
  }
  assert {
    condition = alltrue([for group in aws_cloudfront_distribution.pictures.origin_group :
      [for member in group.member : member.origin_id] == ["originals", "proxy"] && group.failover_criteria[0].status_codes == toset([403, 404])
    ])
    error_message = "The origin group does not fail over from the bucket to the proxy at 403 and 404."
  }
}

run "redirects_lead_to_the_bucket" {
  command = apply

  variables {
    mode            = "redirect"
    aliases         = ["images.example.com"]
    certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
  }

  assert {
    condition     = [for behavior in aws_cloudfront_distribution.pictures.ordered_cache_behavior : [behavior.path_pattern, behavior.target_origin_id]] == [["/variants/*", "variants"]]
    error_message = "/variants/ is not served by the bucket."
  }
  assert {
    condition     = contains(jsondecode(aws_ecs_task_definition.proxy.container_definitions)[0].environment, { name = "RESIZED_VARIANTS__PUBLIC_URL", value = "https://images.example.com/variants" })
    error_message = "The proxy does not redirect to /variants/."
  }
}

run "accept_is_in_the_key_for_negotiation" {
  command = apply

  variables {
    negotiate = ["avif", "webp"]
  }

  assert {
    condition = alltrue([for in_key in aws_cloudfront_cache_policy.pictures.parameters_in_cache_key_and_forwarded_to_origin :
      in_key.headers_config[0].headers[0].items == toset(["Accept"])
    ])
    error_message = "Accept is not in the cache key."
  }
  assert {
    condition     = length(aws_cloudfront_function.accept) == 1
    error_message = "Accept is not normalized."
  }
}

run "signatures_are_in_the_key_for_signing" {
  command = apply

  variables {
    signing_keys_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:resized-signing-keys"
    settings                = { SIGNING__REQUIRE = "variants" }
  }

  assert {
    condition = alltrue([for in_key in aws_cloudfront_cache_policy.pictures.parameters_in_cache_key_and_forwarded_to_origin :
      in_key.query_strings_config[0].query_strings[0].items == toset(["expires", "signature"])
    ])
    error_message = "Signatures are not in the cache key."
  }
}

run "what_cannot_be_is_refused" {
  command = plan

  variables {
    name                    = "Resized"
    bucket                  = "my.pictures"
    image                   = "resized:latest"
    private_subnet_ids      = ["subnet-1", "subnet-1"]
    admin_token_secret_arn  = "secret"
    memory                  = 2048
    tasks                   = { min = 3, max = 2 }
    settings                = { ANSWERS__MODE = "redirect" }
    negotiate               = ["jxl"]
    mode                    = "both"
    bucket_first            = true
    signing_keys_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:resized-signing-keys"
    certificate_arn         = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
    variants_expire_days    = 0
  }

  expect_failures = [
    var.name, var.bucket, var.image, var.private_subnet_ids, var.admin_token_secret_arn, var.memory, var.tasks, var.settings,
    var.negotiate, var.mode, var.bucket_first, var.certificate_arn, var.variants_expire_days,
  ]
}
