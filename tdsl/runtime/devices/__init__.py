"""OpenCL devices: finding them, arrays on them, and kernels that run there.

The only part of tdsl that knows pyopencl, which is imported when a device is first asked for.
"""

from tdsl.runtime.devices.arrays import DeviceArray
from tdsl.runtime.devices.device import Device, device_facts, find_device, has_devices, list_devices
from tdsl.runtime.devices.errors import CapabilityError, DeviceError
from tdsl.runtime.devices.kernel import DeviceKernel, load_device_kernel

__all__ = [
    "CapabilityError",
    "Device",
    "DeviceArray",
    "DeviceError",
    "DeviceKernel",
    "device_facts",
    "find_device",
    "has_devices",
    "list_devices",
    "load_device_kernel",
]
