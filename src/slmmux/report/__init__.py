"""A bank's evaluation as one HTML page that opens offline: charts, their data, every question."""
