"""What tests share. Checked like product code."""
