"""The machine that every service is: tables, tip, commit barrier, host."""
