# The same role as role.yaml, for Terraform: terraform apply -var principal=… -var external_id=…
terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "principal" {
  type        = string
  description = "ARN that zerocloud runs as; ending in root it means that whole AWS account."
  validation {
    condition     = can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(root|(role|user)/.+)$", var.principal))
    error_message = "Must be the ARN of a role or user, or of an AWS account's root."
  }
}

variable "external_id" {
  type        = string
  description = "The long random text that zerocloud's settings hold for this AWS account."
  validation {
    condition     = can(regex("^[A-Za-z0-9_+=,.@:/-]{16,1224}$", var.external_id))
    error_message = "Must be 16 to 1224 letters, digits or any of _+=,.@:/-"
  }
}

variable "former_external_id" {
  type        = string
  default     = ""
  description = "The external id before it, while it is being rotated; else empty."
}

variable "role_name" {
  type    = string
  default = "zerocloud"
}

variable "ends" {
  type        = string
  default     = "none"
  description = "What zerocloud may do to instances here: none, stop or terminate."
  validation {
    condition     = contains(["none", "stop", "terminate"], var.ends)
    error_message = "Must be none, stop or terminate."
  }
}

variable "tags" {
  type        = string
  default     = "no"
  description = "Whether zerocloud may write its tags and the owner's to instances: no or yes."
  validation {
    condition     = contains(["no", "yes"], var.tags)
    error_message = "Must be no or yes."
  }
}

variable "owner_tag" {
  type        = string
  default     = "owner"
  description = "The key of the owner's tag."
}

variable "launches" {
  type        = bool
  default     = false
  description = "Whether zerocloud may ask CloudTrail who launched what no event told of."
}

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}

locals {
  instances = "arn:${data.aws_partition.this.partition}:ec2:*:${data.aws_caller_identity.this.account_id}:instance/*"
  groups    = "arn:${data.aws_partition.this.partition}:autoscaling:*:${data.aws_caller_identity.this.account_id}:autoScalingGroup:*:autoScalingGroupName/*"
}

resource "aws_iam_role" "zerocloud" {
  name                 = var.role_name
  description          = "Assumed by zerocloud, which gives every instance a lease"
  max_session_duration = 3600
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = var.principal }
      Condition = { StringEquals = { "sts:ExternalId" = compact([var.external_id, var.former_external_id]) } }
    }]
  })
}

resource "aws_iam_role_policy" "see" {
  name = "see"
  role = aws_iam_role.zerocloud.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "See"
      Effect   = "Allow"
      Action = [
        "autoscaling:DescribeAutoScalingGroups",
        "cloudtrail:DescribeTrails",
        "cloudtrail:GetTrailStatus",
        "ec2:DescribeInstanceAttribute",
        "ec2:DescribeInstances",
        "ec2:DescribeRegions",
        "ec2:DescribeSpotInstanceRequests",
        "ec2:DescribeVolumes",
      ]
      Resource = "*"
    }]
  })
}

resource "aws_iam_role_policy" "stop" {
  count = var.ends == "none" ? 0 : 1
  name  = "stop"
  role  = aws_iam_role.zerocloud.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "StopAndStartAgain"
        Effect   = "Allow"
        Action   = ["ec2:StartInstances", "ec2:StopInstances"]
        Resource = local.instances
      },
      {
        Sid      = "PutGroupsToSleepAndWakeThem"
        Effect   = "Allow"
        Action   = "autoscaling:UpdateAutoScalingGroup"
        Resource = local.groups
      },
    ]
  })
}

resource "aws_iam_role_policy" "terminate" {
  count = var.ends == "terminate" ? 1 : 0
  name  = "terminate"
  role  = aws_iam_role.zerocloud.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Terminate"
        Effect   = "Allow"
        Action   = "ec2:TerminateInstances"
        Resource = local.instances
      },
      {
        Sid      = "CancelTheRequestOfPersistentSpot"
        Effect   = "Allow"
        Action   = "ec2:CancelSpotInstanceRequests"
        Resource = "*"
      },
    ]
  })
}

resource "aws_iam_role_policy" "tag" {
  count = var.tags == "yes" ? 1 : 0
  name  = "tag"
  role  = aws_iam_role.zerocloud.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Tag"
        Effect   = "Allow"
        Action   = "ec2:CreateTags"
        Resource = local.instances
        Condition = {
          "ForAllValues:StringEqualsIgnoreCase" = {
            "aws:TagKeys" = ["zerocloud:lease", "zerocloud:expires", "zerocloud:owner", var.owner_tag]
          }
        }
      },
      {
        Sid      = "TagGroups"
        Effect   = "Allow"
        Action   = "autoscaling:CreateOrUpdateTags"
        Resource = local.groups
        Condition = {
          "ForAllValues:StringEqualsIgnoreCase" = {
            "aws:TagKeys" = ["zerocloud:lease", "zerocloud:expires", "zerocloud:owner", var.owner_tag]
          }
        }
      },
    ]
  })
}

resource "aws_iam_role_policy" "launches" {
  count = var.launches ? 1 : 0
  name  = "launches"
  role  = aws_iam_role.zerocloud.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "WhoLaunchedIt"
      Effect   = "Allow"
      Action   = "cloudtrail:LookupEvents"
      Resource = "*"
    }]
  })
}

output "role_arn" {
  description = "The role_arn of this AWS account in zerocloud's settings."
  value       = aws_iam_role.zerocloud.arn
}
