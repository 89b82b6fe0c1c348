"""What a row says, why it does not count, what each number means. Pure steps on lazy frames."""
