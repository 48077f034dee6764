"""Series on regular time grids: frequency, calendar, panel and the readers that build it."""
