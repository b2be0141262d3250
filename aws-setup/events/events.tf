# The same as ../events.yaml and ../forward.yaml, for Terraform: terraform apply -var endpoint=https://…/hooks/aws/events -var event_key=zce_…
# EventBridge is regional: once for each region, with a provider of that region; or with bus, to forward to another one.
terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "endpoint" {
  type        = string
  default     = ""
  description = "Where zerocloud takes events; empty with bus."
  validation {
    condition     = can(regex("^(https://[^ ]+/hooks/aws/events)?$", var.endpoint))
    error_message = "Must be an https address that ends in /hooks/aws/events"
  }
}

variable "event_key" {
  type        = string
  default     = ""
  sensitive   = true
  description = "The event key that zerocloud showed for this AWS account; empty with bus."
}

variable "bus" {
  type        = string
  default     = ""
  description = "ARN of the event bus to forward to; empty where this posts to zerocloud itself."
}

variable "allow_forwarding" {
  type        = list(string)
  default     = []
  description = "AWS accounts that may forward their events to this one's default bus."
}

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  posts  = var.bus == ""
  target = local.posts ? one(aws_cloudwatch_event_api_destination.zerocloud[*].arn) : var.bus
}

resource "aws_cloudwatch_event_connection" "zerocloud" {
  count              = local.posts ? 1 : 0
  name               = "zerocloud"
  description        = "Lets this AWS account tell zerocloud of its instances"
  authorization_type = "API_KEY"
  auth_parameters {
    api_key {
      key   = "x-zerocloud-key"
      value = var.event_key
    }
  }
}

resource "aws_cloudwatch_event_api_destination" "zerocloud" {
  count                            = local.posts ? 1 : 0
  name                             = "zerocloud"
  connection_arn                   = aws_cloudwatch_event_connection.zerocloud[0].arn
  http_method                      = "POST"
  invocation_endpoint              = var.endpoint
  invocation_rate_limit_per_second = 300
}

resource "aws_iam_role" "events" {
  name_prefix = "zerocloud-events-"
  description = "Lets EventBridge hand events of instances to zerocloud"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "events.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.this.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "tell" {
  name = "tell"
  role = aws_iam_role.events.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = local.posts ? "events:InvokeApiDestination" : "events:PutEvents"
      Resource = local.target
    }]
  })
}

resource "aws_cloudwatch_event_rule" "instances" {
  name        = "zerocloud-instances"
  description = "What happens to EC2 instances and Auto Scaling groups"
  event_pattern = jsonencode({
    "$or" = [
      {
        source      = ["aws.ec2"]
        detail-type = ["EC2 Instance State-change Notification"]
      },
      {
        source      = ["aws.ec2"]
        detail-type = ["AWS API Call via CloudTrail"]
        detail = {
          eventSource = ["ec2.amazonaws.com"]
          eventName   = ["RunInstances", "StartInstances", "StopInstances", "TerminateInstances", "CreateTags", "DeleteTags"]
        }
      },
      {
        source      = ["aws.autoscaling"]
        detail-type = ["AWS API Call via CloudTrail"]
        detail = {
          eventSource = ["autoscaling.amazonaws.com"]
          eventName   = ["CreateAutoScalingGroup", "UpdateAutoScalingGroup", "DeleteAutoScalingGroup", "SetDesiredCapacity"]
        }
      },
    ]
  })
}

resource "aws_cloudwatch_event_target" "zerocloud" {
  rule      = aws_cloudwatch_event_rule.instances.name
  target_id = "zerocloud"
  arn       = local.target
  role_arn  = aws_iam_role.events.arn
  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }
}

resource "aws_cloudwatch_event_bus_policy" "forwarded" {
  count          = length(var.allow_forwarding) == 0 ? 0 : 1
  event_bus_name = "default"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "zerocloud-forwarded"
      Effect    = "Allow"
      Principal = { AWS = var.allow_forwarding }
      Action    = "events:PutEvents"
      Resource  = "arn:${data.aws_partition.this.partition}:events:${data.aws_region.this.name}:${data.aws_caller_identity.this.account_id}:event-bus/default"
      Condition = { StringEquals = { "events:source" = ["aws.ec2", "aws.autoscaling"] } }
    }]
  })
}
