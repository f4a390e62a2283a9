"""Where Twisted finds the policy of :mod:`quiet_hours`."""

from quiet_hours import QuietHoursPlugin

quiet_hours = QuietHoursPlugin()
