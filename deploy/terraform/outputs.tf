output "url" {
  description = "Where pictures are asked for."
  value       = "https://${local.domain}"
}

output "domain_name" {
  description = "What the DNS of aliases has to name."
  value       = aws_cloudfront_distribution.pictures.domain_name
}

output "distribution_id" {
  description = "For invalidations: aws cloudfront create-invalidation --distribution-id ... --paths '/photos/cat*'"
  value       = aws_cloudfront_distribution.pictures.id
}

output "bucket" {
  description = "Originals go below originals/ in it."
  value       = aws_s3_bucket.pictures.id
}

output "task_role_arn" {
  description = "The role that may read originals and write variants."
  value       = aws_iam_role.task.arn
}

output "log_group" {
  description = "Where the log is."
  value       = aws_cloudwatch_log_group.proxy.name
}

output "proxy_security_group_id" {
  description = "For whatever else is to reach the tasks, such as Prometheus on port 8081."
  value       = aws_security_group.proxy.id
}
