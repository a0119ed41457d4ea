variable "name" {
  description = "Begins the names of all that is made here."
  type        = string
  default     = "resized"

  validation {
    # An ALB's name has at most 32 characters, with "-proxy" behind it.
    condition     = can(regex("^[a-z][a-z0-9-]{0,24}[a-z0-9]$", var.name))
    error_message = "name must be 2 to 26 lower-case letters, digits and hyphens, with a letter first and no hyphen last."
  }
}

variable "bucket" {
  description = "The bucket's name, which is unique in all of AWS."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "bucket must be 3 to 63 lower-case letters, digits and hyphens. Dots are S3's, but TLS has no certificate for them."
  }
}

variable "image" {
  description = "The image of deploy/docker/Dockerfile in a registry, with a tag or digest that does not move."
  type        = string

  validation {
    condition     = can(regex("(:[A-Za-z0-9_][A-Za-z0-9._-]*|@sha256:[0-9a-f]{64})$", var.image)) && !endswith(var.image, ":latest")
    error_message = "image needs a tag other than latest, or a digest."
  }
}

variable "vpc_id" {
  description = "The network. CloudFront's VPC origins want an internet gateway in it, which need not be used."
  type        = string
}

variable "private_subnet_ids" {
  description = "Where load balancer and tasks are, in two availability zones at least. They have to reach the image's registry, CloudWatch Logs and Secrets Manager: by NAT or interface endpoints."
  type        = list(string)

  validation {
    condition     = length(distinct(var.private_subnet_ids)) >= 2
    error_message = "private_subnet_ids must be two different subnets at least."
  }
}

variable "route_table_ids" {
  description = "Of those subnets: they get a gateway endpoint for S3, so that pictures do not pass through NAT, which bills them. Empty makes none."
  type        = list(string)
  default     = []
}

variable "admin_token_secret_arn" {
  description = "A secret in Secrets Manager with the operator's token: aws secretsmanager create-secret --name resized-admin-token --secret-string \"$(openssl rand -hex 32)\""
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:secretsmanager:", var.admin_token_secret_arn))
    error_message = "admin_token_secret_arn must be the ARN of a secret in Secrets Manager."
  }
}

variable "architecture" {
  description = "What the image is built for: X86_64 or ARM64."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "architecture must be X86_64 or ARM64."
  }
}

variable "cpu" {
  description = "Of a task, in 1/1024 of a processor, as Fargate has it."
  type        = number
  default     = 2048

  validation {
    condition     = contains([1024, 2048, 4096], var.cpu)
    error_message = "cpu must be 1024, 2048 or 4096. For more, take more tasks."
  }
}

variable "memory" {
  description = "Of a task, in MiB, as Fargate has it for this cpu. All but 2048 is for pictures in memory (cache.memory); the rest is for work, connections and codecs."
  type        = number
  default     = 4096

  validation {
    condition     = var.memory % 1024 == 0 && var.memory >= max(3072, 2 * var.cpu) && var.memory <= min(8 * var.cpu, 30720)
    error_message = "memory must be whole GiB, 3072 to 30720, and 2 to 8 times cpu."
  }
}

variable "tasks" {
  description = "How many tasks at least and at most."
  type        = object({ min = number, max = number })
  default     = { min = 2, max = 8 }

  validation {
    condition     = var.tasks.min >= 1 && var.tasks.max >= var.tasks.min
    error_message = "tasks.min must be at least 1, and tasks.max at least tasks.min."
  }
}

variable "settings" {
  description = "More settings, as in config.toml: { CACHE__REVALIDATE_AFTER = \"10m\" } is cache.revalidate_after. None of them secret."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.settings) : can(regex("^[A-Z0-9_]+__[A-Z0-9_]+$", key))])
    error_message = "The names in settings are SECTION__KEY, in capitals and without RESIZED_."
  }
  validation {
    condition     = length(setintersection(keys(var.settings), ["FORMATS__NEGOTIATE", "ANSWERS__MODE", "SIGNING__KEYS"])) == 0
    error_message = "FORMATS__NEGOTIATE, ANSWERS__MODE and SIGNING__KEYS have variables of their own here (negotiate, mode, signing_keys_secret_arn), since CloudFront has to agree."
  }
}

variable "negotiate" {
  description = "formats.negotiate: [\"avif\", \"webp\"]. Then, and only then, CloudFront forwards Accept, and keeps a copy for each set of these that browsers take."
  type        = list(string)
  default     = []

  validation {
    condition     = length(setsubtract(var.negotiate, ["avif", "webp"])) == 0
    error_message = "negotiate may name avif and webp."
  }
}

variable "signing_keys_secret_arn" {
  description = "A secret in Secrets Manager with signing.keys. Then CloudFront's key has expires and signature of the query, and nothing else of it. Empty is no signing."
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
  description = "CloudFront asks the bucket's originals/ first, and the proxy for what is not there."
  type        = bool
  default     = false

  validation {
    condition     = !(var.bucket_first && var.signing_keys_secret_arn != "")
    error_message = "bucket_first answers originals without asking the proxy, which then cannot see their signatures."
  }
}

variable "aliases" {
  description = "Names of your own for the distribution, with certificate_arn. Their DNS is yours to set, to the output domain_name."
  type        = list(string)
  default     = []
}

variable "certificate_arn" {
  description = "A certificate of ACM in us-east-1 for aliases. Empty takes CloudFront's own name."
  type        = string
  default     = ""

  validation {
    condition     = (var.certificate_arn == "") == (length(var.aliases) == 0)
    error_message = "aliases and certificate_arn go together."
  }
  validation {
    condition     = var.certificate_arn == "" || can(regex("^arn:[a-z-]+:acm:us-east-1:", var.certificate_arn))
    error_message = "CloudFront takes certificates of ACM in us-east-1 alone."
  }
}

variable "price_class" {
  description = "Where CloudFront has its copies: PriceClass_100 (North America, Europe), PriceClass_200, PriceClass_All."
  type        = string
  default     = "PriceClass_All"

  validation {
    condition     = contains(["PriceClass_100", "PriceClass_200", "PriceClass_All"], var.price_class)
    error_message = "price_class must be PriceClass_100, PriceClass_200 or PriceClass_All."
  }
}

variable "variants_expire_days" {
  description = "After so many days from when it was made, a variant is deleted, and made again when it is asked for."
  type        = number
  default     = 90

  validation {
    condition     = var.variants_expire_days >= 1 && floor(var.variants_expire_days) == var.variants_expire_days
    error_message = "variants_expire_days must be whole days, at least 1."
  }
}

variable "log_days" {
  description = "How long CloudWatch keeps the log: 1, 3, 5, 7, 14, 30, 60, 90 ... days, as it has them."
  type        = number
  default     = 30
}
