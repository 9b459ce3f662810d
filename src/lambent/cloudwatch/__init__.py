"""CloudWatch metrics: observations added up by the minute, kept for 15 days, and asked for in any longer period."""
