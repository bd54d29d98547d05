"""Tests of the project with faults: failing writes, power cuts, full disks, kills, bad clusters."""
