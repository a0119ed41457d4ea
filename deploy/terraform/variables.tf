variable "name" {
  description = "Prefix of the names of all resources."
  type        = string
  default     = "resized"

  validation {
    # The name of a load balancer has at most 32 characters, including the suffix "-proxy".
    condition     = can(regex("^[a-z][a-z0-9-]{0,24}[a-z0-9]$", var.name))
    error_message = "name must be 2 to 26 lower-case letters, digits and hyphens, starting with a letter and not ending with a hyphen."
  }
}

variable "bucket" {
  description = "Name of the bucket, globally unique in AWS."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "bucket must be 3 to 63 lower-case letters, digits and hyphens. S3 allows dots, but its TLS certificate does not cover such names."
  }
}

variable "image" {
  description = "The image of deploy/docker/Dockerfile in a registry, with an immutable tag or a digest."
  type        = string

  validation {
    condition     = can(regex("(:[A-Za-z0-9_][A-Za-z0-9._-]*|@sha256:[0-9a-f]{64})$", var.image)) && !endswith(var.image, ":latest")
    error_message = "image needs a tag other than latest, or a digest."
  }
}

variable "vpc_id" {
  description = "The network. VPC origins of CloudFront require that it has an internet gateway, even if it is not used."
  type        = string
}

variable "private_subnet_ids" {
  description = "Subnets of the load balancer and the tasks, in at least two availability zones. They need access to the image registry, CloudWatch Logs and Secrets Manager, through NAT or interface endpoints."
  type        = list(string)

  validation {
    condition     = length(distinct(var.private_subnet_ids)) >= 2
    error_message = "private_subnet_ids must contain at least two different subnets."
  }
}

variable "route_table_ids" {
  description = "Route tables of these subnets. They get a gateway endpoint for S3, so that traffic to S3 is not billed by NAT. Empty creates no endpoint."
  type        = list(string)
  default     = []
}

variable "admin_token_secret_arn" {
  description = "Secret in Secrets Manager with the admin token: aws secretsmanager create-secret --name resized-admin-token --secret-string \"$(openssl rand -hex 32)\""
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:secretsmanager:", var.admin_token_secret_arn))
    error_message = "admin_token_secret_arn must be the ARN of a secret in Secrets Manager."
  }
}

variable "architecture" {
  description = "Architecture of the image: X86_64 or ARM64."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "architecture must be X86_64 or ARM64."
  }
}

variable "cpu" {
  description = "CPU of a task in units of 1/1024 vCPU, as in Fargate."
  type        = number
  default     = 2048

  validation {
    condition     = contains([1024, 2048, 4096], var.cpu)
    error_message = "cpu must be 1024, 2048 or 4096. To scale further, use more tasks."
  }
}

variable "memory" {
  description = "Memory of a task in MiB, as Fargate allows for this cpu. 1024 MiB are for the program, the buffers of sockets and the page cache; the rest is the setting memory."
  type        = number
  default     = 4096

  validation {
    condition     = var.memory % 1024 == 0 && var.memory >= max(3072, 2 * var.cpu) && var.memory <= min(8 * var.cpu, 30720)
    error_message = "memory must be whole GiB, 3072 to 30720, and 2 to 8 times cpu."
  }
}

variable "tasks" {
  description = "Minimum and maximum number of tasks."
  type        = object({ min = number, max = number })
  default     = { min = 2, max = 8 }

  validation {
    condition     = var.tasks.min >= 1 && var.tasks.max >= var.tasks.min
    error_message = "tasks.min must be at least 1, and tasks.max at least tasks.min."
  }
}

variable "settings" {
  description = "More settings as in config.toml: { CACHE__REVALIDATE_AFTER = \"10m\" } sets cache.revalidate_after. Do not put secrets here."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.settings) : can(regex("^[A-Z0-9_]+__[A-Z0-9_]+$", key))])
    error_message = "Names in settings must be SECTION__KEY, in capitals and without RESIZED_."
  }
  validation {
    condition     = length(setintersection(keys(var.settings), ["FORMATS__NEGOTIATE", "ANSWERS__MODE", "SIGNING__KEYS"])) == 0
    error_message = "FORMATS__NEGOTIATE, ANSWERS__MODE and SIGNING__KEYS must be set by the variables negotiate, mode and signing_keys_secret_arn, because they also configure CloudFront."
  }
}

variable "negotiate" {
  description = "formats.negotiate: [\"avif\", \"webp\"]. If set, CloudFront forwards Accept and caches one copy for each combination of these formats that browsers accept."
  type        = list(string)
  default     = []

  validation {
    condition     = length(setsubtract(var.negotiate, ["avif", "webp"])) == 0
    error_message = "negotiate may name avif and webp."
  }
}

variable "signing_keys_secret_arn" {
  description = "Secret in Secrets Manager with signing.keys. If set, the cache key contains the query parameters expires and signature. Empty turns signing off."
  type        = string
  default     = ""
}

variable "mode" {
  description = "answers.mode. With \"redirect\", CloudFront serves the bucket's variants/ under /variants/, where the redirects lead."
  type        = string
  default     = "stream"

  validation {
    condition     = contains(["stream", "redirect"], var.mode)
    error_message = "mode must be stream or redirect."
  }
}

variable "bucket_first" {
  description = "If true, CloudFront requests originals/ in the bucket first, and the proxy for missing objects."
  type        = bool
  default     = false

  validation {
    condition     = !(var.bucket_first && var.signing_keys_secret_arn != "")
    error_message = "bucket_first serves originals without the proxy, so their signatures would not be checked."
  }
}

variable "aliases" {
  description = "Custom domain names of the distribution; requires certificate_arn. Point their DNS records to the output domain_name."
  type        = list(string)
  default     = []
}

variable "certificate_arn" {
  description = "ACM certificate in us-east-1 for aliases. Empty uses the domain name of CloudFront."
  type        = string
  default     = ""

  validation {
    condition     = (var.certificate_arn == "") == (length(var.aliases) == 0)
    error_message = "aliases and certificate_arn must be set together."
  }
  validation {
    condition     = var.certificate_arn == "" || can(regex("^arn:[a-z-]+:acm:us-east-1:", var.certificate_arn))
    error_message = "CloudFront accepts only ACM certificates in us-east-1."
  }
}

variable "price_class" {
  description = "Edge locations of CloudFront: PriceClass_100 (North America, Europe), PriceClass_200, PriceClass_All."
  type        = string
  default     = "PriceClass_All"

  validation {
    condition     = contains(["PriceClass_100", "PriceClass_200", "PriceClass_All"], var.price_class)
    error_message = "price_class must be PriceClass_100, PriceClass_200 or PriceClass_All."
  }
}

variable "variants_expire_days" {
  description = "Age in days at which variants are deleted. They are made again on the next request."
  type        = number
  default     = 90

  validation {
    condition     = var.variants_expire_days >= 1 && floor(var.variants_expire_days) == var.variants_expire_days
    error_message = "variants_expire_days must be a whole number of days, at least 1."
  }
}

variable "log_days" {
  description = "Retention of the log in days, one of the values that CloudWatch allows: 1, 3, 5, 7, 14, 30, 60, 90 ..."
  type        = number
  default     = 30
}
