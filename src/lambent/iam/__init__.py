"""Identity and Access Management: roles, and the policies that say what they may do. Global: keyed by account alone."""
