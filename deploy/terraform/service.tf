# The proxy: Fargate tasks with a load balancer that only the network and CloudFront can reach.

data "aws_region" "here" {}

data "aws_vpc" "here" {
  id = var.vpc_id
}

# The addresses of CloudFront.
data "aws_ec2_managed_prefix_list" "cloudfront" {
  name = "com.amazonaws.global.cloudfront.origin-facing"
}

locals {
  listen_port = 8080
  admin_port  = 8081

  settings = merge({
    SERVER__LISTEN          = "0.0.0.0:${local.listen_port}"
    SERVER__TRUSTED_PROXIES = jsonencode([data.aws_vpc.here.cidr_block])
    # CloudFront and the load balancer append to this header. They pass on no other that names the client.
    SERVER__CLIENT_HEADER = "x-forwarded-for"
    # Must exceed the idle_timeout of the load balancer, so that it sends no request on a connection that the proxy is closing.
    SERVER__IDLE_TIMEOUT = "90s"
    # The admin listener. Health probes need no token; all other requests need it.
    ADMIN__LISTEN      = "0.0.0.0:${local.admin_port}"
    ORIGINALS__STORE   = "s3://${aws_s3_bucket.pictures.id}/originals"
    VARIANTS__STORE    = "s3://${aws_s3_bucket.pictures.id}/variants"
    S3__REGION         = data.aws_region.here.region
    MEMORY             = "${var.memory - 1024}MiB"
    FLEET__LEASE       = "true"
    FORMATS__NEGOTIATE = jsonencode(var.negotiate)
    ANSWERS__MODE      = var.mode
    LOG__FORMAT        = "json"
    LOG__ACCESS_HITS   = "false"
    },
    var.mode == "redirect" ? { VARIANTS__PUBLIC_URL = "https://${local.domain}/variants" } : {},
  var.settings)

  secrets = merge(
    { ADMIN__TOKEN = var.admin_token_secret_arn },
    var.signing_keys_secret_arn == "" ? {} : { SIGNING__KEYS = var.signing_keys_secret_arn },
  )
}

# Permissions of the proxy: those of docs/S3.md without uploads.
data "aws_iam_policy_document" "task" {
  statement {
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.pictures.arn}/originals/*"]
  }
  statement {
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    resources = ["${aws_s3_bucket.pictures.arn}/variants/*"]
  }
  # Without s3:ListBucket, S3 responds to a missing key with 403, which the proxy cannot distinguish from a missing
  # permission.
  statement {
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.pictures.arn]
  }
}

data "aws_iam_policy_document" "assumed_by_tasks" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "task" {
  name               = "${var.name}-task"
  assume_role_policy = data.aws_iam_policy_document.assumed_by_tasks.json
}

resource "aws_iam_role_policy" "task" {
  name   = "bucket"
  role   = aws_iam_role.task.id
  policy = data.aws_iam_policy_document.task.json
}

# Role that ECS uses to fetch the image and the secrets and to write the log.
data "aws_iam_policy_document" "execution" {
  statement {
    actions   = ["secretsmanager:GetSecretValue"]
    resources = values(local.secrets)
  }
}

resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution"
  assume_role_policy = data.aws_iam_policy_document.assumed_by_tasks.json
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

resource "aws_iam_role_policy" "execution" {
  name   = "secrets"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

resource "aws_cloudwatch_log_group" "proxy" {
  name              = "/ecs/${var.name}"
  retention_in_days = var.log_days
}

resource "aws_security_group" "balancer" {
  name        = "${var.name}-balancer"
  description = "Load balancer: in from CloudFront, out to the tasks"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "balancer" {
  security_group_id = aws_security_group.balancer.id
  description       = "CloudFront"
  prefix_list_id    = data.aws_ec2_managed_prefix_list.cloudfront.id
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
}

resource "aws_vpc_security_group_egress_rule" "balancer" {
  for_each                     = toset([tostring(local.listen_port), tostring(local.admin_port)])
  security_group_id            = aws_security_group.balancer.id
  description                  = "the tasks"
  referenced_security_group_id = aws_security_group.proxy.id
  ip_protocol                  = "tcp"
  from_port                    = tonumber(each.key)
  to_port                      = tonumber(each.key)
}

resource "aws_security_group" "proxy" {
  name        = "${var.name}-proxy"
  description = "Tasks: in from the load balancer, out to S3 and AWS services"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "proxy" {
  for_each                     = toset([tostring(local.listen_port), tostring(local.admin_port)])
  security_group_id            = aws_security_group.proxy.id
  description                  = "the load balancer: requests and health probes"
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = tonumber(each.key)
  to_port                      = tonumber(each.key)
}

resource "aws_vpc_security_group_egress_rule" "proxy" {
  security_group_id = aws_security_group.proxy.id
  description       = "S3, the registry, logs and secrets"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_lb" "proxy" {
  name                       = "${var.name}-proxy"
  internal                   = true
  load_balancer_type         = "application"
  security_groups            = [aws_security_group.balancer.id]
  subnets                    = var.private_subnet_ids
  drop_invalid_header_fields = true
  xff_header_processing_mode = "append"
  # Must exceed work.flight_time.
  idle_timeout = 70
}

resource "aws_lb_target_group" "proxy" {
  name        = "${var.name}-proxy"
  vpc_id      = var.vpc_id
  target_type = "ip"
  protocol    = "HTTP"
  port        = local.listen_port
  # ECS waits this long before it stops a task.
  deregistration_delay          = 15
  load_balancing_algorithm_type = "least_outstanding_requests"

  # Not /readyz: it is 503 if S3 does not respond at start, so ECS would replace the tasks again and again.
  health_check {
    port                = local.admin_port
    path                = "/healthz"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "proxy" {
  load_balancer_arn = aws_lb.proxy.arn
  protocol          = "HTTP"
  port              = 80

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.proxy.arn
  }
}

resource "aws_ecs_cluster" "pictures" {
  name = var.name
}

resource "aws_ecs_task_definition" "proxy" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  task_role_arn            = aws_iam_role.task.arn
  execution_role_arn       = aws_iam_role.execution.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  container_definitions = jsonencode([{
    name                   = "resized"
    image                  = var.image
    essential              = true
    readonlyRootFilesystem = true
    portMappings           = [for port in [local.listen_port, local.admin_port] : { containerPort = port, protocol = "tcp" }]
    environment            = [for key, value in local.settings : { name = "RESIZED_${key}", value = value }]
    secrets                = [for key, arn in local.secrets : { name = "RESIZED_${key}", valueFrom = arn }]
    healthCheck = {
      command     = ["CMD", "/program", "health"]
      interval    = 10
      timeout     = 6
      retries     = 3
      startPeriod = 5
    }
    # Must exceed server.drain_timeout.
    stopTimeout = 40
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.proxy.name
        awslogs-region        = data.aws_region.here.region
        awslogs-stream-prefix = "resized"
      }
    }
  }])
}

resource "aws_ecs_service" "proxy" {
  name                               = var.name
  cluster                            = aws_ecs_cluster.pictures.id
  task_definition                    = aws_ecs_task_definition.proxy.arn
  launch_type                        = "FARGATE"
  desired_count                      = var.tasks.min
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 30

  network_configuration {
    subnets         = var.private_subnet_ids
    security_groups = [aws_security_group.proxy.id]
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.proxy.arn
    container_name   = "resized"
    container_port   = local.listen_port
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  # The target group needs a listener, and the tasks need their permissions at start.
  depends_on = [
    aws_lb_listener.proxy,
    aws_iam_role_policy.task,
    aws_iam_role_policy.execution,
    aws_iam_role_policy_attachment.execution,
  ]

  lifecycle {
    # Managed by autoscaling.
    ignore_changes = [desired_count]
  }
}

resource "aws_appautoscaling_target" "proxy" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.pictures.name}/${aws_ecs_service.proxy.name}"
  min_capacity       = var.tasks.min
  max_capacity       = var.tasks.max
}

resource "aws_appautoscaling_policy" "proxy" {
  name               = "${var.name}-cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.proxy.service_namespace
  scalable_dimension = aws_appautoscaling_target.proxy.scalable_dimension
  resource_id        = aws_appautoscaling_target.proxy.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = 60
    scale_out_cooldown = 60
    # Scale in slowly, because each stopped task loses its cache.
    scale_in_cooldown = 600

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
