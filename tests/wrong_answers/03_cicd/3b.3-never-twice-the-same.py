exec(SOLUTION.replace('  name     = each.key\n  definition', '  name     = each.key\n  description = "made by Terraform, ${timestamp()}"\n  definition'))
