"""What can be wrong with a device."""

from __future__ import annotations

from tdsl.errors import TdslError


class DeviceError(TdslError, RuntimeError):
    """No such device, or a device that failed."""


class CapabilityError(DeviceError):
    """A kernel asks for more than the device has."""
