"""What everything stands on: types, places, disk, devices, records, and how a command ends."""
