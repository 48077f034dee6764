"""The command line: click commands that know every task through the registry only."""
