#!/usr/bin/env bash
# The rivals, each in the virtual environment that the shared bench.py expects below PEERS_ROOT.
set -euo pipefail
root=${PEERS_ROOT:-${TMPDIR:-/tmp}/peers}
mkdir -p "$root"/{models,out,ref}

install() {  # venv, packages...
  [ -x "$root/venv-$1/bin/python" ] || python3 -m venv "$root/venv-$1"
  "$root/venv-$1/bin/python" -m pip install --quiet --disable-pip-version-check "${@:2}"
}

install hl numpy halide
install main numpy onnxruntime onnx onnxscript openvino numba torch==2.13.0
install jax numpy jax onnx
echo "peers installed in $root"
