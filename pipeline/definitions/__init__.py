"""The typed row, the reasons why it does not count, the meaning of each number; pure steps."""
