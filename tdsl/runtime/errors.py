"""What a call, the thread pool, the loader or the cache can refuse.

::

    TdslError
      ArgumentTypeError   (TypeError)    an argument of the wrong kind or dtype, or the wrong count
      ArgumentValueError  (ValueError)   shape, size, strides, alignment, overlap, read-only
      KernelError         (RuntimeError) a kernel that ran and reported an error
        IndexRangeError   (IndexError)   an index read from data that lies outside its tensor
        AssumptionError   (ValueError)   sizes that break an assumption of the algorithm
        KernelMemoryError (MemoryError)  a temporary buffer that could not be allocated
      LoadError           (RuntimeError) an object that does not link into this process
"""

from __future__ import annotations

from tdsl.errors import TdslError


class ArgumentTypeError(TdslError, TypeError):
    """An argument of the wrong kind or dtype, or the wrong number of arguments."""


class ArgumentValueError(TdslError, ValueError):
    """An argument of the right kind whose shape, strides, memory or value does not fit."""


class KernelError(TdslError, RuntimeError):
    """A kernel ran and reported an error."""


class IndexRangeError(KernelError, IndexError):
    """An index that was read from data lies outside the tensor it indexes."""


class AssumptionError(KernelError, ValueError):
    """The sizes of this call break an assumption that the algorithm was built under."""


class KernelMemoryError(KernelError, MemoryError):
    """A temporary buffer of a kernel could not be allocated."""


class LoadError(TdslError, RuntimeError):
    """An object that does not link into this process: an unknown symbol, or damaged bytes."""
