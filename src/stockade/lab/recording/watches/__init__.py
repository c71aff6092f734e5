"""What a recording watches beside the operations: what processes hold, and how late the machine was."""
