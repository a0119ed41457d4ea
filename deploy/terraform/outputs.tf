output "url" {
  description = "Domain name of the distribution."
  value       = "https://${local.domain}"
}

output "domain_name" {
  description = "Target for the DNS records of aliases."
  value       = aws_cloudfront_distribution.pictures.domain_name
}

output "distribution_id" {
  description = "Id of the distribution, for invalidations: aws cloudfront create-invalidation --distribution-id ... --paths '/photos/cat*'"
  value       = aws_cloudfront_distribution.pictures.id
}

output "bucket" {
  description = "Name of the bucket. Put originals below originals/."
  value       = aws_s3_bucket.pictures.id
}

output "task_role_arn" {
  description = "Role that may read originals and write variants."
  value       = aws_iam_role.task.arn
}

output "log_group" {
  description = "Log group of the proxy."
  value       = aws_cloudwatch_log_group.proxy.name
}

output "proxy_security_group_id" {
  description = "Security group of the tasks, for rules that let other clients in, such as Prometheus on port 8081."
  value       = aws_security_group.proxy.id
}
